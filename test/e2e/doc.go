// Package e2e tests the collector that was built, from the outside: it starts
// real servers and clients on the loopback interface and reads what the file
// exporter has written about them. How the receiver works it does not know.
//
// Every process is a child of the test, with its configuration and its files
// in a temporary directory, and is gone when its test is. The machine may do
// other things meanwhile: what the tests look at they find by its port.
//
// PERISCO_COLLECTOR names the collector; by default it is the one that `make
// collector` builds. Capturing needs CAP_BPF, CAP_PERFMON and a kernel with
// type information; tests that lack one of them say so and are skipped. A
// program that is not installed is a failure. So that MySQL is tested as MariaDB
// is, PERISCO_MYSQL names a server on this machine whose root has no password.
package e2e

// Package kubernetes tests what examples/kubernetes ships: that Kubernetes
// understands it, and the collector its configuration, on any machine; and, in
// `make k8s-check`, that the collector names both ends of exchanges with it, as
// a real API server and its access control have it.
package kubernetes

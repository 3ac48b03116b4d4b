// Package pb is what the services say to each other over gRPC.
//
// To make it again: protoc, with protoc-gen-go and protoc-gen-go-grpc in PATH.
package pb

//go:generate protoc --go_out=. --go_opt=paths=source_relative --go-grpc_out=. --go-grpc_opt=paths=source_relative bookstore.proto

module github.com/perisco-io/perisco/examples/bookstore

go 1.26.0

require (
	github.com/go-sql-driver/mysql v1.9.3
	google.golang.org/grpc v1.83.0
	google.golang.org/protobuf v1.36.12
)

require (
	filippo.io/edwards25519 v1.1.0 // indirect
	golang.org/x/net v0.55.0 // indirect
	golang.org/x/sys v0.45.0 // indirect
	golang.org/x/text v0.37.0 // indirect
	google.golang.org/genproto/googleapis/rpc v0.0.0-20260526163538-3dc84a4a5aaa // indirect
)

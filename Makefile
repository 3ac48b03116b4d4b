# `make` alone says what there is to make.

# No versions here: the Go tools' are in internal/tools/go.mod and internal/tools/lint/go.mod, the components' in the
# builder-config.yaml files, the C compiler's in bpf/bpf.go.
FUZZTIME   ?= 30s
BENCHCOUNT ?= 2
# What runs in virtual machines, too: packages, or some tests of them.
VM_TESTS   ?= receiver/internal/capture receiver=TestKernel

BUILDER := go tool -modfile=internal/tools/go.mod builder
LINT    := go tool -modfile=$(CURDIR)/internal/tools/lint/go.mod golangci-lint
# Tests that load programs into the kernel need root; they are compiled without it.
AS_ROOT := $(if $(filter-out 0,$(shell id -u)),-exec "sudo -E")
SOURCES := go.mod go.sum processor/go.mod processor/go.sum $(shell find bpf receiver processor -name '*.go' ! -name '*_test.go' -o -name '*.o')

.DELETE_ON_ERROR:
.PHONY: help setup run bookstore test test-vm k8s-check collector quickstart generate lint fuzz bench record clean

help:
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "make %-10s  %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: ## install what is missing on a Debian machine: compilers for BPF, servers and clients for the tests, qemu
	@internal/tools/setup

run: ## build and start the quickstart: every plaintext request of this machine in a browser
	@examples/quickstart/run

bookstore: ## build and start a small bookstore of several services and a database, watched by the quickstart
	@examples/bookstore/run

test: collector ## build the collector and run all tests, end to end ones too (as root where they need it)
	go test $(AS_ROOT) ./...
	cd processor && go test ./...
	cd test/kubernetes && go test -count=1 ./...
	cd test && go test -count=1 $(AS_ROOT) ./...

test-vm: ## run the tests of the capture in virtual machines, with Debian's kernels from 5.10 to the newest
	internal/tools/vm/test $(VM_TESTS)

k8s-check: collector ## test what examples/kubernetes ships with a real API server, and exchanges between pods (as root; builds it once, in some minutes)
	cd test/kubernetes && binaries=$$(../../internal/tools/k8s/build) && PERISCO_KUBERNETES=$$binaries go test -count=1 -v $(AS_ROOT) ./...

collector: _build/otelcol-perisco ## build _build/otelcol-perisco, the distribution for production

quickstart: _build/quickstart/quickstart ## build the distribution with the viewer, without starting it

_build/otelcol-perisco: builder-config.yaml $(SOURCES)
	$(BUILDER) --config $<

_build/quickstart/quickstart: examples/quickstart/builder-config.yaml $(SOURCES)
	@mkdir -p _build
	$(BUILDER) --config $<

# Its programs, one for each service.
_build/bookstore: $(shell find examples/bookstore -name '*.go' -o -name 'go.*')
	cd examples/bookstore && CGO_ENABLED=0 go build -o $(CURDIR)/$@/ ./...
	@touch $@

generate: ## remake what is generated: BPF objects and their Go types, metadata, documentation
	go generate ./...
	cd processor && go generate ./...

lint: ## run the linters of .golangci.yml
	$(LINT) run ./...
	cd processor && $(LINT) run ./...
	cd test && $(LINT) run ./...
	cd examples/bookstore && $(LINT) run ./...
	cd test/kubernetes && $(LINT) run ./...

fuzz: ## run every fuzz target for FUZZTIME
	@internal/tools/fuzz $(FUZZTIME)

bench: ## run the benchmarks and write BENCHMARKS.md
	@internal/tools/bench -count $(BENCHCOUNT)

record: ## list the connections of PCAP=file, or make a test conversation of one: N=1 OUT=testdata/http1/x.txtar COMMENT="..."
	go run ./receiver/internal/protocol/protocoltest/record -file "$(PCAP)" $(if $(OUT),-connection "$(N)" -out "$(OUT)" -comment "$(COMMENT)")

clean: ## remove what was built
	rm -rf _build

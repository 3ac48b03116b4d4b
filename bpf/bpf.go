// Package bpf holds the programs that run in the kernel, as C and compiled,
// and the types that they share with user space. They copy and count; they
// know no protocol.
package bpf

//go:generate go tool -modfile=../internal/tools/go.mod bpf2go -go-package bpf -cc clang-19 -strip llvm-strip-19 -no-global-types -target amd64,arm64 -type event -type policy -type alarm -type kind -type role -type flag -type missing -type loss -type opening -type filter -type network -type refusal Capture capture.c -- -std=gnu23 -O2 -g -mcpu=v3 -Wall -Wextra -Wno-unused-parameter -Werror

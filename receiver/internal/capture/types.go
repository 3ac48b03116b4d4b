//go:build linux && (amd64 || arm64)

package capture

import (
	"errors"
	"fmt"
	"os"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"
)

// types are those of the running kernel. Where it does not have them itself,
// but a file does, it cannot check programs by them.
type types struct {
	*btf.Spec
	own   bool
	cache *btf.Cache // of the kernel's, for the library, which would read them again
}

// readTypes takes them from a file if one is named.
func readTypes(path string) (types, error) {
	cache := btf.NewCache()
	own, err := cache.Kernel()
	if path != "" {
		spec, fileErr := btf.LoadSpec(path)
		if fileErr != nil {
			return types{}, fmt.Errorf("read BTF from %s: %w", path, fileErr)
		}
		return types{Spec: spec, own: err == nil, cache: cache}, nil
	}
	if errors.Is(err, os.ErrNotExist) || errors.Is(err, ebpf.ErrNotSupported) {
		return types{}, errors.New("no BTF at /sys/kernel/btf/vmlinux (kernel needs CONFIG_DEBUG_INFO_BTF, or capture::btf_path a file with its types)")
	}
	if err != nil {
		return types{}, fmt.Errorf("read BTF of the kernel: %w", err)
	}
	return types{Spec: own, own: true, cache: cache}, nil
}

// enumerates reports whether an enumeration has a value of this name.
func (t types) enumerates(enum, value string) bool {
	var e *btf.Enum
	if t.TypeByName(enum, &e) != nil {
		return false
	}
	for _, v := range e.Values {
		if v.Name == value {
			return true
		}
	}
	return false
}

// arity is how many arguments a function of the kernel has.
func (t types) arity(name string) (int, error) {
	var f *btf.Func
	if err := t.TypeByName(name, &f); err != nil {
		return 0, fmt.Errorf("function %s: not on this kernel: %w", name, err)
	}
	return len(f.Type.(*btf.FuncProto).Params), nil
}

//go:build linux && (amd64 || arm64)

package capture

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/features"
	"github.com/cilium/ebpf/rlimit"
	"golang.org/x/sys/unix"
)

// chargesMemlock reports whether maps are charged to RLIMIT_MEMLOCK: until 5.10,
// and to the memory cgroup since.
func chargesMemlock() bool {
	version, err := features.LinuxVersionCode()
	return err == nil && version < 5<<16|11<<8
}

// leastMemlock holds the maps there: 14 MiB with the default ring (TestFootprint)
// and some for each CPU.
const leastMemlock = 32 << 20

// checkPrivileges asks for what every backend needs, once and one by one: the
// library explains what fails by features that it takes the kernel not to have.
func checkPrivileges() error {
	if chargesMemlock() {
		if err := raiseMemlock(); err != nil {
			return err
		}
	}
	m, err := ebpf.NewMap(&ebpf.MapSpec{Type: ebpf.LRUHash, KeySize: 4, ValueSize: 4, MaxEntries: 1})
	if errors.Is(err, unix.EPERM) {
		return fmt.Errorf("create a BPF map: %w (no CAP_BPF: needs CAP_BPF and CAP_PERFMON, or root)", unix.EPERM)
	}
	if err != nil {
		return fmt.Errorf("create a BPF map: %w", err)
	}
	if err := m.Close(); err != nil {
		return err
	}
	err = probe(asm.Mov.Imm(asm.R0, 0), asm.Return())
	if errors.Is(err, unix.EPERM) {
		return fmt.Errorf("load a BPF program: %w (no CAP_PERFMON: needs CAP_BPF and CAP_PERFMON, or root)", unix.EPERM)
	}
	if err != nil {
		return fmt.Errorf("load a BPF program: %w", err)
	}
	err = probe(
		asm.Mov.Reg(asm.R1, asm.R10), asm.Add.Imm(asm.R1, -8), asm.Mov.Imm(asm.R2, 8), asm.Mov.Imm(asm.R3, 0),
		asm.FnProbeReadKernel.Call(), asm.Mov.Imm(asm.R0, 0), asm.Return(),
	)
	if err != nil {
		modes, _ := os.ReadFile(lockdownFile) // where securityfs is mounted
		return fmt.Errorf("load a BPF program that reads memory of the kernel: %w (%s)", errors.ErrUnsupported, lockdown(string(modes)))
	}
	return nil
}

func raiseMemlock() error {
	err := rlimit.RemoveMemlock()
	if err == nil {
		return nil
	}
	var limit unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_MEMLOCK, &limit) == nil && limit.Max >= leastMemlock {
		limit.Cur = limit.Max
		return unix.Setrlimit(unix.RLIMIT_MEMLOCK, &limit)
	}
	return fmt.Errorf("raise RLIMIT_MEMLOCK of %d bytes: %w (before kernel 5.11 needs CAP_SYS_RESOURCE, or a limit of %d from the start)",
		limit.Max, unix.EPERM, leastMemlock)
}

// probe tries to load a tracing program.
func probe(instructions ...asm.Instruction) error {
	program, err := ebpf.NewProgram(&ebpf.ProgramSpec{
		Type:         ebpf.RawTracepoint,
		Instructions: instructions,
		License:      "Dual MIT/GPL",
	})
	if err != nil {
		return err
	}
	return program.Close()
}

const lockdownFile = "/sys/kernel/security/lockdown"

// lockdown says what forbids to read memory of the kernel, as far as the
// kernel's text tells: it puts the mode that is on in brackets.
func lockdown(text string) string {
	_, mode, found := strings.Cut(text, "[")
	mode, _, _ = strings.Cut(mode, "]")
	if !found {
		return "needs kernel lockdown to be integrity or none"
	}
	return fmt.Sprintf("kernel lockdown is %s, needs to be integrity or none", mode)
}

//go:build linux && (amd64 || arm64)

package capture

import (
	"errors"
	"fmt"
	"math"
	"os"
	"slices"
	"strings"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"github.com/perisco-io/perisco/bpf"
)

// A backend is a way to see reads and writes. All produce the same events; they
// differ in how they find socket, length and bytes, and in which paths they see
// (PATHS.md).
type backend struct {
	name   string
	hooks  []string // its programs
	traces []string // tracepoints without which it cannot be
	since  string   // kernel that has them
	calls  bool     // hooks the beginning and the end of functions
	typed  bool     // its sockets come with a type, see bpf/config.h
	refuse string   // what a lack of permission means, once privileges were checked
}

// backends are in the order of preference: the first is the cheapest and
// depends the least on the kernel's inside; only the second and third see the
// bytes of io_uring and sendmmsg; the last runs for every syscall of the node.
var backends = []backend{
	{
		name:   Socklen,
		hooks:  []string{bpf.CaptureProgSocklenSend, bpf.CaptureProgSocklenRecv},
		traces: []string{"sock_send_length", "sock_recv_length"},
		since:  "6.3",
		typed:  true,
		refuse: "this kernel refuses programs on tracepoints",
	},
	{
		name: Fexit,
		hooks: []string{
			bpf.CaptureProgFexitSend, bpf.CaptureProgFexitRecv,
			bpf.CaptureProgFexitSendBegin, bpf.CaptureProgFexitRecvBegin,
		},
		calls:  true,
		typed:  true,
		refuse: "this kernel refuses BPF trampolines",
	},
	{
		name: Kprobe,
		hooks: []string{
			bpf.CaptureProgKprobeSend, bpf.CaptureProgKprobeRecv,
			bpf.CaptureProgKprobeSendBegin, bpf.CaptureProgKprobeRecvBegin,
		},
		calls:  true,
		refuse: "needs CAP_SYS_ADMIN",
	},
	{
		name:   Sysexit,
		hooks:  []string{bpf.CaptureProgSysexit},
		traces: []string{"sys_exit"},
		since:  "5.10",
		refuse: "this kernel refuses programs on tracepoints",
	},
}

// choose returns the backends to try, in this order.
func choose(name string) ([]backend, error) {
	if name == "" || name == Auto {
		return backends, nil
	}
	for _, b := range backends {
		if b.name == name {
			return []backend{b}, nil
		}
	}
	return nil, fmt.Errorf("backend %q: must be one of %s", name, strings.Join(Backends(), ", "))
}

// kprobesDir is there if the kernel has CONFIG_KPROBE_EVENTS.
const kprobesDir = "/sys/bus/event_source/devices/kprobe"

// check says in the user's terms why b cannot run, where that is known before.
func (b backend) check(types types) error {
	if !types.own && b.name != Kprobe {
		return errors.New("no BTF at /sys/kernel/btf/vmlinux, for which a file does not do here (kernel needs CONFIG_DEBUG_INFO_BTF)")
	}
	for _, trace := range b.traces {
		if _, err := types.AnyTypeByName("btf_trace_" + trace); err != nil {
			return fmt.Errorf("tracepoint %s: not on this kernel (needs %s or later)", trace, b.since)
		}
	}
	if b.name == Kprobe {
		if _, err := os.Stat(kprobesDir); errors.Is(err, os.ErrNotExist) {
			return errors.New("no kprobes (kernel needs CONFIG_KPROBE_EVENTS)")
		}
	}
	return nil
}

// callsPerCPU makes the map of calls larger where there are many CPUs: each
// keeps up to 128 free entries of such a map to itself (LOCAL_FREE_TARGET).
const callsPerCPU = 256

// adapt leaves in spec what b needs, and tells it what kernel there is.
func (b backend) adapt(spec *ebpf.CollectionSpec, types types) error {
	wanted := append([]string{bpf.CaptureProgState, bpf.CaptureProgDestroy, bpf.CaptureProgFindListeners}, b.hooks...)
	for name := range spec.Programs {
		if !slices.Contains(wanted, name) {
			delete(spec.Programs, name)
		}
	}
	if !types.own {
		withoutTypes(spec)
	}
	typed := b.typed && helpersTakeSockets(types)
	if err := spec.Variables[bpf.CaptureVarTyped].Set(typed); err != nil {
		return err
	}
	if typed {
		spec.Maps[bpf.CaptureMapConnectionsByAddress].MaxEntries = 1
	}
	if !b.calls {
		spec.Maps[bpf.CaptureMapCalls].MaxEntries = 1
		return nil
	}
	calls := spec.Maps[bpf.CaptureMapCalls]
	calls.MaxEntries = max(calls.MaxEntries, uint32(callsPerCPU*ebpf.MustPossibleCPU()))
	args, err := types.arity("tcp_recvmsg")
	if err != nil {
		return err
	}
	if args < 4 || args > 6 {
		return fmt.Errorf("function tcp_recvmsg: takes %d arguments on this kernel, known are 4 to 6", args)
	}
	return spec.Variables[bpf.CaptureVarRecvmsgArgs].Set(uint32(args))
}

// withoutTypes makes of programs on typed tracepoints such on plain ones: their
// arguments are the same. There are no iterators, so what is older than capture
// is taken for clients.
func withoutTypes(spec *ebpf.CollectionSpec) {
	delete(spec.Programs, bpf.CaptureProgFindListeners)
	for _, program := range spec.Programs {
		if program.Type == ebpf.Tracing {
			program.Type, program.AttachType, program.AttachTo = ebpf.RawTracepoint, ebpf.AttachNone, ""
		}
	}
}

// helpersTakeSockets reports whether tracing programs have the helpers that
// take a typed socket. They came in 5.11 and 5.12; bpf_for_each_map_elem, which
// came next, shows them by its number.
func helpersTakeSockets(types types) bool {
	return types.own && types.enumerates("bpf_func_id", "BPF_FUNC_for_each_map_elem")
}

// explain puts in what the lack of a permission means.
func (b backend) explain(err error) error {
	// The verifier says "permission denied", too, of what it takes for a mistake.
	if !errors.Is(err, os.ErrPermission) || errors.As(err, new(*ebpf.VerifierError)) {
		return err
	}
	why := b.refuse
	var limit unix.Rlimit
	if chargesMemlock() && unix.Getrlimit(unix.RLIMIT_MEMLOCK, &limit) == nil && limit.Cur < math.MaxInt64 {
		why += fmt.Sprintf(", or RLIMIT_MEMLOCK of %d bytes is too low", limit.Cur)
	}
	return fmt.Errorf("%w (%s)", err, why)
}

//go:build linux && (amd64 || arm64)

package capture

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"runtime"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

// need skips a path that this machine does not have.
func need(t *testing.T, path string) {
	t.Helper()
	switch path {
	case "a 32-bit task":
		if runtime.GOARCH != "amd64" {
			t.Skip("needs an x86 CPU")
		}
		out := os.NewFile(uintptr(file(nil)), "nowhere")
		defer out.Close()
		if err := run32(out); errors.Is(err, unix.ENOEXEC) {
			t.Skip("needs CONFIG_IA32_EMULATION")
		}
	case "kernel TLS":
		listener, err := net.Listen("tcp4", "127.0.0.1:0")
		must(err)
		defer listener.Close()
		c, err := net.Dial("tcp4", listener.Addr().String())
		must(err)
		defer c.Close()
		raw, err := c.(*net.TCPConn).SyscallConn()
		must(err)
		must(raw.Control(func(fd uintptr) { err = (&end{fd: int(fd)}).encrypt(tlsTX) }))
		if err != nil {
			t.Skip("needs CONFIG_TLS:", err)
		}
	case "io_uring":
		fd, _, errno := unix.Syscall(unix.SYS_IO_URING_SETUP, 1, uintptr(unsafe.Pointer(&uringParams{})), 0)
		if errno != 0 {
			t.Skip("needs io_uring:", errno)
		}
		must(unix.Close(int(fd)))
	case "a server that would speak MPTCP", "MPTCP at both ends":
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM, unix.IPPROTO_MPTCP)
		if err != nil {
			t.Skip("needs MPTCP:", err)
		}
		must(unix.Close(fd))
	}
}

// uapi/linux/tls.h
const (
	tlsTX = 1
	tlsRX = 2
)

// encrypt has the kernel make TLS of what this end sends, or receives.
func (e *end) encrypt(direction int) error {
	if err := unix.SetsockoptString(e.fd, unix.IPPROTO_TCP, unix.TCP_ULP, "tls"); err != nil {
		return err
	}
	// struct tls12_crypto_info_aes_gcm_128: TLS 1.2, that cipher, and a key of zeros
	info := append([]byte{0x03, 0x03, 51, 0}, make([]byte, 8+16+4+8)...)
	return unix.SetsockoptString(e.fd, unix.SOL_TLS, direction, string(info))
}

// receiveMapped maps the next n bytes, which must be whole pages, instead of
// reading them.
func (e *end) receiveMapped(n int) {
	p, err := unix.Mmap(e.fd, 0, n, unix.PROT_READ, unix.MAP_SHARED)
	must(err)
	await := []unix.PollFd{{Fd: int32(e.fd), Events: unix.POLLIN}}
	_, err = unix.Poll(await, 1000)
	must(err)
	// The head of struct tcp_zerocopy_receive, see uapi/linux/tcp.h.
	args := struct {
		address      uint64
		length, hint uint32
	}{uint64(addressOf(p)), uint32(n), 0}
	size := uint32(unsafe.Sizeof(args))
	_, _, errno := unix.Syscall6(unix.SYS_GETSOCKOPT, uintptr(e.fd), unix.IPPROTO_TCP, unix.TCP_ZEROCOPY_RECEIVE,
		uintptr(unsafe.Pointer(&args)), uintptr(unsafe.Pointer(&size)), 0)
	if errno != 0 || int(args.length) != n {
		panic(fmt.Sprintf("mapped %d bytes of %d: %v", args.length, n, errno))
	}
}

// struct mmsghdr of linux/socket.h
type mmsghdr struct {
	hdr unix.Msghdr
	len uint32
	_   uint32
}

// mmsg moves one message for each buffer.
func mmsg(call uintptr, fd int, buffers [][]byte) {
	messages := make([]mmsghdr, len(buffers))
	for i, p := range buffers {
		iov := &unix.Iovec{Base: &p[0], Len: uint64(len(p))}
		messages[i].hdr.Iov, messages[i].hdr.Iovlen = iov, 1
	}
	n, _, errno := unix.Syscall6(call, uintptr(fd), uintptr(unsafe.Pointer(&messages[0])), uintptr(len(messages)), 0, 0, 0)
	if errno != 0 || int(n) != len(messages) {
		panic(fmt.Sprintf("%d messages of %d: %v", n, len(messages), errno))
	}
}

// uapi/linux/io_uring.h
const (
	opSend         = 26
	opRecv         = 27
	offSQRing      = 0
	offSQEs        = 0x10000000
	enterGetEvents = 1
)

type uringParams struct {
	sqEntries, cqEntries, flags, sqThreadCPU, sqThreadIdle, features, wqFD uint32
	_                                                                      [3]uint32
	sq                                                                     struct {
		head, tail, ringMask, ringEntries, flags, dropped, array, _ uint32
		_                                                           uint64
	}
	cq struct {
		head, tail, ringMask, ringEntries, overflow, cqes, flags, _ uint32
		_                                                           uint64
	}
}

type uringSQE struct {
	opcode, flags uint8
	ioprio        uint16
	fd            int32
	off, addr     uint64
	len           uint32
	_             [36]byte
}

// A uring is an io_uring of one entry.
type uring struct {
	fd     int
	ring   []byte
	sqe    *uringSQE
	params uringParams
}

func newURing() *uring {
	u := &uring{}
	fd, _, errno := unix.Syscall(unix.SYS_IO_URING_SETUP, 1, uintptr(unsafe.Pointer(&u.params)), 0)
	if errno != 0 {
		panic(errno)
	}
	u.fd = int(fd)
	var err error
	size := max(u.params.sq.array+4, u.params.cq.cqes+16*u.params.cqEntries) // IORING_FEAT_SINGLE_MMAP
	u.ring, err = unix.Mmap(u.fd, offSQRing, int(size), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	must(err)
	sqes, err := unix.Mmap(u.fd, offSQEs, int(unsafe.Sizeof(uringSQE{})), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	must(err)
	u.sqe = (*uringSQE)(unsafe.Pointer(&sqes[0]))
	return u
}

// do runs one operation to its end.
func (u *uring) do(op uint8, fd int, p []byte) {
	*u.sqe = uringSQE{opcode: op, fd: int32(fd), addr: uint64(uintptr(unsafe.Pointer(&p[0]))), len: uint32(len(p))}
	*u.word(u.params.sq.array) = 0
	*u.word(u.params.sq.tail)++
	if _, _, errno := unix.Syscall6(unix.SYS_IO_URING_ENTER, uintptr(u.fd), 1, 1, enterGetEvents, 0, 0); errno != 0 {
		panic(errno)
	}
	runtime.KeepAlive(p)
	head := u.word(u.params.cq.head)
	entry := u.params.cq.cqes + 16*(*head&*u.word(u.params.cq.ringMask))
	*head++
	if n := int32(*u.word(entry + 8)); int(n) != len(p) {
		panic(fmt.Sprintf("io_uring moved %d bytes of %d", n, len(p)))
	}
}

func (u *uring) word(off uint32) *uint32 { return (*uint32)(unsafe.Pointer(&u.ring[off])) }

const written32 = "abcde" // as pattern

// program32 is an i386 program that writes written32 to file 3, and exits.
var program32 = []byte("\x7fELF\x01\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00" +
	"\x02\x00\x03\x00\x01\x00\x00\x00\x54\x80\x04\x08\x34\x00\x00\x00" + // ET_EXEC, EM_386, entry 0x8048054
	"\x00\x00\x00\x00\x00\x00\x00\x00\x34\x00\x20\x00\x01\x00\x00\x00\x00\x00\x00\x00" +
	"\x01\x00\x00\x00\x00\x00\x00\x00\x00\x80\x04\x08\x00\x80\x04\x08" + // PT_LOAD at 0x8048000
	"\x7b\x00\x00\x00\x7b\x00\x00\x00\x05\x00\x00\x00\x00\x10\x00\x00" +
	"\xb8\x04\x00\x00\x00" + // mov eax, 4: write
	"\xbb\x03\x00\x00\x00" + // mov ebx, 3
	"\xb9\x76\x80\x04\x08" + // mov ecx, 0x8048076
	"\xba\x05\x00\x00\x00" + // mov edx, 5
	"\xcd\x80" + // int 0x80
	"\xb8\x01\x00\x00\x00" + // mov eax, 1: exit
	"\x31\xdb" + // xor ebx, ebx
	"\xcd\x80" + // int 0x80
	"\x90\x90\x90" +
	written32)

// run32 runs that program with out as its file 3.
func run32(out *os.File) error {
	program := file(program32)
	defer unix.Close(program)
	cmd := exec.Command(fmt.Sprintf("/proc/self/fd/%d", program))
	cmd.ExtraFiles = []*os.File{out}
	return cmd.Run()
}

func write32(fd int) {
	must(run32(os.NewFile(uintptr(fd), "socket")))
}

func addressOf(p []byte) uintptr { return uintptr(unsafe.Pointer(unsafe.SliceData(p))) }

func addressOfTime(t *unix.Timespec) uintptr { return uintptr(unsafe.Pointer(t)) }

//go:build linux && (amd64 || arm64) && !race && !msan && !asan

package h1

import (
	"syscall"
	"unsafe"
)

// recv reads from a socket without waiting, as send writes to it.
//
// Choice: small amounts go without telling the scheduler, which costs a tenth of a microsecond a call and is for calls that may
// wait. This one does not: MSG_DONTWAIT holds even where somebody has made the socket a blocking one.
func recv(fd int, p []byte) (int, error) {
	if len(p) == 0 || len(p) > briefly {
		return syscall.Read(fd, p)
	}
	n, _, errno := syscall.RawSyscall6(syscall.SYS_RECVFROM, uintptr(fd), uintptr(unsafe.Pointer(&p[0])), uintptr(len(p)),
		syscall.MSG_DONTWAIT, 0, 0)
	switch errno {
	case 0:
		return int(n), nil
	case syscall.ENOTSOCK:
		return syscall.Read(fd, p)
	}
	return -1, errno
}

func send(fd int, p []byte) (int, error) {
	if len(p) == 0 || len(p) > briefly {
		return syscall.Write(fd, p)
	}
	n, _, errno := syscall.RawSyscall6(syscall.SYS_SENDTO, uintptr(fd), uintptr(unsafe.Pointer(&p[0])), uintptr(len(p)),
		syscall.MSG_DONTWAIT|syscall.MSG_NOSIGNAL, 0, 0)
	switch errno {
	case 0:
		return int(n), nil
	case syscall.ENOTSOCK:
		return syscall.Write(fd, p)
	}
	return -1, errno
}

// briefly is up to how many bytes are copied so fast that nobody need know.
const briefly = 16 << 10

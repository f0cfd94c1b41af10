//go:build weftleak

package transport

import (
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"unsafe"
	"weak"
)

// CountsBuffers says whether this build keeps account of buffers, which costs a stack for each.
const CountsBuffers = true

// account is who has which buffer, by its address.
var account struct {
	sync.Mutex
	taken uint64
	out   map[uintptr]loan
	lost  []loan // whose address was used again
}

// A loan is a buffer that was taken and not given back.
type loan struct {
	buf    weak.Pointer[byte]
	number uint64
	size   int
	by     [12]uintptr
}

// BuffersTaken is the account's time.
func BuffersTaken() uint64 {
	account.Lock()
	defer account.Unlock()
	return account.taken
}

// BuffersOut returns which buffers that were taken after the account's time since have not been given back: their sizes, and who took them, by
// how many they are. held are those that somebody still refers to, lost are garbage.
func BuffersOut(since uint64) (held, lost []string) {
	runtime.GC()
	account.Lock()
	defer account.Unlock()
	counts := [2]map[string]int{{}, {}}
	for _, l := range account.lost {
		if l.number > since {
			counts[1][l.String()]++
		}
	}
	for _, l := range account.out {
		switch {
		case l.number <= since:
		case l.buf.Value() == nil:
			counts[1][l.String()]++
		default:
			counts[0][l.String()]++
		}
	}
	return byCount(counts[0]), byCount(counts[1])
}

func byCount(counts map[string]int) (out []string) {
	for l, n := range counts {
		out = append(out, fmt.Sprintf("%d x %s", n, l))
	}
	slices.Sort(out)
	return out
}

func (l loan) String() string {
	s := fmt.Sprintf("%d bytes, taken by", l.size)
	frames := runtime.CallersFrames(slices.DeleteFunc(l.by[:], func(pc uintptr) bool { return pc == 0 }))
	for {
		f, more := frames.Next()
		s += fmt.Sprintf(" <- %s:%d", f.Function[strings.LastIndexByte(f.Function, '/')+1:], f.Line)
		if !more {
			return s
		}
	}
}

// DropBuffer says that b is left to the garbage collector: somebody may still refer to it.
func DropBuffer(b []byte) { given(b) }

func taken(b []byte) []byte {
	p := unsafe.SliceData(b)
	l := loan{buf: weak.Make(p), size: cap(b)}
	runtime.Callers(3, l.by[:])
	account.Lock()
	defer account.Unlock()
	if account.out == nil {
		account.out = make(map[uintptr]loan)
	}
	at := uintptr(unsafe.Pointer(p))
	if old, ok := account.out[at]; ok {
		account.lost = append(account.lost, old)
	}
	account.taken++
	l.number = account.taken
	account.out[at] = l
	return b
}

func given(b []byte) {
	account.Lock()
	defer account.Unlock()
	delete(account.out, uintptr(unsafe.Pointer(unsafe.SliceData(b))))
}

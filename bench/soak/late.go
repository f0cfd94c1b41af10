package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"sync/atomic"
)

// lateness are faults of time alone, on a machine whose processors were wanted by others: timeouts, and connections that were given up. On a quiet one
// they are faults like others.
type lateness struct {
	late atomic.Int64
	last atomic.Pointer[string]
}

// excuse reports whether err may be due to the machine, and counts it then.
func (l *lateness) excuse(where string, err error) bool {
	if !isLate(err) || pressure() < busy {
		return false
	}
	l.late.Add(1)
	s := fmt.Sprintf("%s: %v", where, err)
	l.last.Store(&s)
	return true
}

const (
	// busy is the share of time, in per cent, in which some process wanted a processor and had none.
	busy = 50
	// maxLate is how many of a thousand WebSockets may be late on such a machine.
	maxLate = 10
)

func isLate(err error) bool {
	timeout, ok := errors.AsType[net.Error](err)
	return errors.Is(err, context.DeadlineExceeded) || ok && timeout.Timeout() || strings.Contains(err.Error(), "(1006)")
}

// pressure is what Linux says of the last minute; 0: nothing.
func pressure() (some float64) {
	b, err := os.ReadFile("/proc/pressure/cpu")
	if err != nil {
		return 0
	}
	var last10 float64
	if n, _ := fmt.Sscanf(string(b), "some avg10=%f avg60=%f", &last10, &some); n < 2 {
		return 0
	}
	return max(some, last10)
}

package weft_test

import (
	"fmt"
	"regexp"
	"testing"
	"time"

	"github.com/weftws/weft/internal/memory"
	"github.com/weftws/weft/internal/simnet"
)

// tcpFaults are the faults of TCP with what may come of them. Keepalive asks after 30 s; over HTTP/1.1 it looks every 30 s, over HTTP/2 15 s
// more are the end. Whoever has not noticed that a connection from before is dead hears of it 5 s after the next request on it.
var tcpFaults = []struct {
	fault simnet.Fault
	bound faultBound
}{
	{simnet.Fault{Kind: simnet.RST}, faultBound{regexp.MustCompile(`connection reset by peer|broken pipe`), time.Second, time.Second, 4 * rtt}},
	{simnet.Fault{Kind: simnet.FIN}, faultBound{regexp.MustCompile(`(ended the connection|TLS handshake with .*|before its response): (unexpected )?EOF|peer closed the connection`), time.Second, time.Second, 4 * rtt}},
	{simnet.Fault{Kind: simnet.Silence}, faultBound{
		regexp.MustCompile(`(server|client|peer) (did not answer|did not send SETTINGS|did not acknowledge SETTINGS|was silent for|sent no Close frame)|took too long: no connection`),
		30 * time.Second, 91*time.Second + 2*rtt, 5*time.Second + 4*rtt,
	}},
	{simnet.Fault{Kind: simnet.Stall, For: 3 * time.Second}, faultBound{nil, 4 * time.Second, 4 * time.Second, 4*rtt + 3*time.Second}},
}

// Every fault, at every byte of a session, in either direction.
func TestFaultAtEveryByte(t *testing.T) {
	for _, c := range onTCP {
		t.Run(c.name, func(t *testing.T) {
			overFaults(t, c, func(t *testing.T, e *faultEnv) {
				bytes := e.measure(t)
				runs := 0
				for _, tt := range tcpFaults {
					fault, step := tt.fault, stride(c.scheme == "wss")
					if fault.Kind == simnet.Stall && !*everyByte {
						step *= 7
					}
					for _, fault.Client = range []bool{true, false} {
						for fault.After = 0; fault.After < bytes[fault.Client]; fault.After += step {
							runs++
							e.net.SetFaults(serverAddr, fault)
							if err := e.run(runs, tt.bound, func() { e.net.SetFaults(serverAddr) }); err != nil {
								t.Errorf("%v at byte %d of %d (client's: %v): %v", fault.Kind, fault.After, bytes[fault.Client], fault.Client, err)
							}
						}
					}
				}
				t.Logf("%d sessions of %d bytes from the client and %d from the server", runs, bytes[true], bytes[false])
				if struck := e.net.Stats().Faults; struck < runs*9/10 {
					t.Errorf("%d faults in %d sessions", struck, runs)
				}
			})
		})
	}
}

// measure returns the bytes of a session without faults, by whether they are the client's.
func (e *faultEnv) measure(t *testing.T) map[bool]int64 {
	t.Helper()
	bytes := make(map[bool]int64)
	e.net.Tap(func(s simnet.Segment) { bytes[s.Client] += int64(len(s.Data)) })
	err := e.run(0, faultBound{nil, 4 * rtt, 3 * rtt, rtt * 4}, func() { e.net.Tap(nil) })
	if err != nil || bytes[true] < 300 || bytes[false] < 300 {
		t.Fatalf("without a fault, after %v bytes: %v", bytes, err)
	}
	return bytes
}

// However the bytes are cut into segments, the session is the same.
func TestSegments(t *testing.T) {
	for _, c := range onTCP {
		t.Run(c.name, func(t *testing.T) {
			overFaults(t, c, func(t *testing.T, e *faultEnv) {
				for _, size := range []int{1, 2, 3, 5, 7, 13, 64, 1000} {
					e.net.SetLink(serverAddr, simnet.Link{Segment: size})
					if err := e.run(size, faultBound{nil, 4 * rtt, 3 * rtt, 4 * rtt}, func() {}); err != nil {
						t.Errorf("segments of %d bytes: %v", size, err)
					}
				}
			})
		})
	}
}

// A fault at any byte of the race of a dial that assumes. One on a connection costs what falling back costs; one on the spare nothing. What
// an outsider can bring about is remembered for ten minutes at most.
func TestFaultInTheRace(t *testing.T) {
	race := carrier{scheme: "wss"}
	overFaults(t, race, func(t *testing.T, e *faultEnv) {
		bytes := e.measure(t)
		store := memory.NewMap(0)
		runs := 0
		for _, tt := range tcpFaults[:3] {
			fault := tt.fault
			for fault.Conn = 1; fault.Conn <= 2; fault.Conn++ {
				for _, fault.Client = range []bool{true, false} {
					for fault.After = 0; fault.After < bytes[fault.Client]; fault.After += stride(true) {
						runs++
						e.dialer.Memory = store
						e.net.SetFaults(serverAddr, fault)
						query := fmt.Sprint(runs)
						r, d := e.session(query)
						e.net.SetFaults(serverAddr)
						at := fmt.Sprintf("%v on connection %d at byte %d (client's: %v)", fault.Kind, fault.Conn, fault.After, fault.Client)
						if err := e.check(query, r, tt.bound); err != nil {
							t.Errorf("%s: %v", at, err)
						}
						if fault.Conn == 2 && (r.dialTook != 3*rtt || !r.clean()) {
							t.Errorf("%s: a fault of the spare: %v", at, r)
						}
						now := time.Now()
						for _, item := range store.List() {
							for rung, f := range item.Entry.Findings {
								if verdict := item.Entry.Verdict(rung, now); f.Cause == "killed" || f.Until.Sub(f.Since) > 10*time.Minute && verdict == "no" {
									t.Errorf("%s: remembered of %s: %v for %v (%v)", at, rung, f.Verdict, f.Until.Sub(f.Since), f.Cause)
								}
							}
						}
						store = memory.NewMap(0)
						d.Memory = nil
						if err := e.again(d, tt.bound.nextDial+rtt); err != nil {
							t.Errorf("%s: %v", at, err)
						}
					}
				}
			}
		}
		t.Logf("%d sessions", runs)
	})
}

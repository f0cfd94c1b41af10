package weft_test

import (
	"fmt"
	"regexp"
	"testing"
	"time"

	"github.com/weftws/weft/internal/simnet"
)

var overUDP = carriers[len(carriers)-1]

// What happens to any one datagram of a session over HTTP/3 is repaired. When none comes through any more, both ends say so.
func TestFaultAtEveryDatagram(t *testing.T) {
	dead := regexp.MustCompile(`peer was silent for the whole idle timeout|did not complete the QUIC handshake|no recent network activity|` +
		`server did not answer in time|took too long: no connection|(server|client|peer) sent no Close frame|peer reset the stream .H3_REQUEST_CANCELLED`)
	overFaults(t, overUDP, func(t *testing.T, e *faultEnv) {
		datagrams := e.countDatagrams(t)
		runs := 0
		for _, tt := range []struct {
			name   string
			fate   simnet.Fate
			onward bool // the fate is that of all that follow, in both directions
			bound  faultBound
		}{
			{"dropped", simnet.Drop, false, faultBound{nil, 2 * time.Second, 2 * time.Second, 3 * rtt}},
			{"garbled", simnet.Garble, false, faultBound{nil, 2 * time.Second, 2 * time.Second, 3 * rtt}},
			{"doubled", simnet.Double, false, faultBound{nil, 2 * time.Second, 2 * time.Second, 3 * rtt}},
			{"all dropped", simnet.Drop, true, faultBound{dead, 30 * time.Second, time.Minute, 16 * time.Second}},
			{"all garbled", simnet.Garble, true, faultBound{dead, 30 * time.Second, time.Minute, 16 * time.Second}},
		} {
			for _, side := range []bool{true, false} {
				for at := range datagrams[side] {
					runs++
					struck := false
					e.net.FilterUDP(func(client bool, i int) simnet.Fate {
						if client == side && i == at || tt.onward && struck {
							struck = true
							return tt.fate
						}
						return simnet.Deliver
					})
					if err := e.run(runs, tt.bound, func() { e.net.FilterUDP(nil) }); err != nil {
						t.Errorf("%s at datagram %d of %d (client's: %v): %v", tt.name, at, datagrams[side], side, err)
					}
				}
			}
		}
		t.Logf("%d sessions of %d datagrams from the client and %d from the server", runs, datagrams[true], datagrams[false])
	})
}

func (e *faultEnv) countDatagrams(t *testing.T) map[bool]int {
	t.Helper()
	datagrams := make(map[bool]int)
	e.net.FilterUDP(func(client bool, i int) simnet.Fate {
		datagrams[client] = i + 1
		return simnet.Deliver
	})
	err := e.run(0, faultBound{nil, 2 * rtt, 3 * rtt, 2 * rtt}, func() { e.net.FilterUDP(nil) })
	if err != nil || datagrams[true] < 5 || datagrams[false] < 5 {
		t.Fatalf("without a fault, after %v datagrams: %v", datagrams, err)
	}
	return datagrams
}

// A path that loses, reorders, doubles and damages datagrams, and takes no large ones, changes nothing but the time.
func TestFaultyPath(t *testing.T) {
	for _, path := range []simnet.UDP{
		{Duplicate: 1}, {Damage: 0.1}, {MTU: 1280 + 28}, {Reorder: 0.3, Duplicate: 0.3, ReorderDelay: 3 * rtt},
		{Loss: 0.05, Reorder: 0.1, Duplicate: 0.1, Damage: 0.05},
	} {
		t.Run(fmt.Sprintf("%+v", path), func(t *testing.T) {
			overFaults(t, overUDP, func(t *testing.T, e *faultEnv) {
				for seed := range uint64(20) {
					e.net.Seed(seed)
					e.net.SetUDP("", path)
					if err := e.run(int(seed), faultBound{nil, 10 * time.Second, 10 * time.Second, 10 * time.Second}, func() {}); err != nil {
						t.Errorf("seed %d: %v", seed, err)
					}
				}
			})
		})
	}
}

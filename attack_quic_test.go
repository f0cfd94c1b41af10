package weft_test

import (
	"context"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/quic-go/quic-go"

	"github.com/weftws/weft"
)

// A stalledSocket hears nothing of what the server says, or nothing but Retry packets: QUIC handshakes over it do not end.
type stalledSocket struct {
	net.PacketConn
	hearsRetry bool
}

// ReadFrom implements net.PacketConn.
func (s *stalledSocket) ReadFrom(p []byte) (int, net.Addr, error) {
	for {
		n, from, err := s.PacketConn.ReadFrom(p)
		// Header Form, Fixed Bit, Long Packet Type: 3. RFC 9000, Section 17.2.5.
		if err != nil || s.hearsRetry && n > 0 && p[0]>>4 == 0xf {
			return n, from, err
		}
	}
}

// stallQUIC begins n handshakes from an address of this machine and leaves them there. proven: the client answers a Retry.
func (a *arena) stallQUIC(from string, n int, proven bool) (stop func()) {
	a.Helper()
	ctx, cancel := context.WithCancel(a.Context())
	to, _ := net.ResolveUDPAddr("udp", a.addr)
	var dialing sync.WaitGroup
	for range n {
		pc, err := net.ListenPacket("udp", from+":0")
		if err != nil {
			cancel()
			a.Skipf("this machine has no address %s: %v", from, err)
		}
		dialing.Go(func() {
			defer pc.Close()
			quic.Dial(ctx, &stalledSocket{PacketConn: pc, hearsRetry: proven}, to, a.tlsWith("h3"), &quic.Config{HandshakeIdleTimeout: time.Minute})
		})
	}
	stop = sync.OnceFunc(func() {
		cancel()
		dialing.Wait()
	})
	a.Cleanup(stop)
	return stop
}

// Packets with a forged address, and handshakes that do not end, cost the owner of the address one round trip; handshakes from an address that is
// proven are limited, and refused.
func TestAttackQUICHandshakesOfOneAddress(t *testing.T) {
	const limit = 4
	a := newArena(t, true, limitPerIP(weft.IPLimits{Handshakes: limit}))
	a.beside(32<<20, func() {
		stop := []func(){a.stallQUIC(foreign, limit, false)}
		a.await("the handshakes", func() bool { return weft.QUICHandshakesPerIP(a.server, false) == limit })
		if _, err := a.dialQUIC(foreign); err != nil {
			t.Errorf("the owner of the address is shut out: %v", err)
		}
		stop = append(stop, a.stallQUIC(foreign, limit, true))
		a.await("the proven handshakes", func() bool { return weft.QUICHandshakesPerIP(a.server, true) == limit })
		if n := weft.QUICHandshakesPerIP(a.server, false); n > limit {
			t.Errorf("%d unproven handshakes are kept", n)
		}
		if _, err := a.dialQUIC(foreign); !isRefused(err) {
			t.Errorf("one more: %v", err)
		}
		a.wantCountedByPacket("quic/too-many-handshakes")
		// Another address is let in, and this one is again when its handshakes have failed.
		if _, err := a.dialQUIC("127.0.0.3"); err != nil {
			t.Errorf("another address: %v", err)
		}
		for _, f := range stop {
			f()
		}
	})
	a.await("the end of the handshakes", func() bool {
		return weft.QUICHandshakesPerIP(a.server, false) == 0 && weft.QUICHandshakesPerIP(a.server, true) == 0
	})
	if _, err := a.dialQUIC(foreign); err != nil {
		t.Errorf("after the attack: %v", err)
	}
}

// A client that sends its first packet over and over, and never completes the handshake.
func TestAttackQUICSlowHandshakes(t *testing.T) {
	const handshakes = 20
	a := newArena(t, true, func(s *weft.Server) {
		limitPerIP(weft.IPLimits{})(s)        // which has this machine's addresses counted
		s.ReadHeaderTimeout = 4 * time.Second // half of which is longer than the attackers' pauses
	})
	a.beside(32<<20, func() {
		stop := a.stallQUIC(foreign, handshakes, false)
		a.await("the handshakes", func() bool { return weft.QUICHandshakesPerIP(a.server, false) > 0 })
		a.await("their end", func() bool {
			a.mu.Lock()
			defer a.mu.Unlock()
			return a.limits["quic/handshake-timeout"] >= handshakes/2 // whose packets were not late
		})
		stop()
		a.await("the end of all", func() bool { return weft.QUICHandshakesPerIP(a.server, false) == 0 })
		if _, err := a.dialQUIC(foreign); err != nil {
			t.Errorf("after the attack: %v", err)
		}
	})
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.counts) != 1 {
		t.Errorf("the Observer counted %v", a.counts)
	}
}

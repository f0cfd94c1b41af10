package lab

import (
	"testing"
	"time"

	"github.com/weftws/weft/internal/simnet"
)

// What is computed is what a Dialer and a Server need with real TLS, in fake time: exactly.
func TestExactIsSimulated(t *testing.T) {
	const rtt = 100 * time.Millisecond
	for _, c := range Cases() {
		t.Run(c.Row.String(), func(t *testing.T) {
			want, err := c.exact(rtt)
			if err != nil {
				t.Fatal(err)
			}
			simnet.Run(t, rtt, func(t *testing.T, n *simnet.Network) {
				s := &site{rtt: rtt, dial: n.DialContext, udp: n.DialUDP}
				s.cert, s.roots = simnet.Certificate("origin.example")
				defer s.close()
				n.AddHost("origin.example", "10.0.0.2")
				p := place{features: c.origin}
				if c.next != nil {
					p.next = "origin.example:8443"
					s.serve(n.Listen("10.0.0.2:8443"), n.ListenPacket("10.0.0.2:8443"), place{features: *c.next}, 8443)
				}
				if c.Network == NoUDP {
					n.SetUDP("", simnet.UDP{Block: true})
				}
				s.serve(n.Listen("10.0.0.2:443"), n.ListenPacket("10.0.0.2:443"), p, 443)
				took, err := s.measureOnce(t.Context(), c, "wss://origin.example/", want.by)
				if err != nil {
					t.Fatal(err)
				}
				if got := float64(took) / float64(rtt); got != want.trips {
					t.Errorf("simulated %v round trips, computed %v", got, want.trips)
				}
			})
		})
	}
}

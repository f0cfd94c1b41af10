package weft_test

import (
	"net/http"
	"testing"

	"github.com/weftws/weft"
	"github.com/weftws/weft/internal/simnet"
)

// What was found out on one network is not taken for another's: neither what is remembered of origins, nor alternative services
// that are not said to persist.
func TestNetworkChange(t *testing.T) {
	simnet.Run(t, rtt, func(t *testing.T, n *simnet.Network) {
		e := newEnv(t, n, carrier{scheme: "wss"}, http.HandlerFunc(echo), func(s *weft.Server) {
			s.Options.DisableConnectProtocol = true
			s.Options.AltSvc = `wsoverh2=":8443"; ma=3600`
		})
		newServer(t, n, "10.0.0.2:8443", e, rungs(weft.Token))
		network := "home"
		e.dialer.Network = func() string { return network }
		dial := func(policy weft.Policy, want int, rung weft.Rung) {
			t.Helper()
			c, got := e.countRTT(&weft.DialOptions{Policy: &policy})
			wantRTT(t, "dial at "+network, c, got, want)
			if r := c.Trace().Rung; r != rung {
				t.Errorf("at %s: by %s, want %s", network, r, rung)
			}
			c.CloseNow()
			e.dialer.Close()
		}
		alt := weft.Policy{Rungs: rungs(weft.AltSvc, weft.Upgrade)}
		dial(weft.Policy{}, 4, weft.Upgrade)
		dial(weft.Policy{}, 3, weft.Upgrade)
		dial(alt, 3, weft.AltSvc)
		network = "café"
		dial(alt, 3, weft.Upgrade)
		dial(weft.Policy{}, 4, weft.Upgrade)
		network = "home"
		dial(weft.Policy{}, 3, weft.Upgrade)
	})
}

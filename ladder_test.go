package weft_test

import (
	"context"
	"net/http"
	"testing"
	"time"

	"github.com/weftws/weft"
	"github.com/weftws/weft/internal/simnet"
)

// A rungCase is a row of the table of rungs: what a dial costs, in round trips, TCP and full TLS 1.3 included.
type rungCase struct {
	name   string
	policy weft.Policy
	old    bool // the server has HTTP/2 and no WebSockets on it; else it has everything
	want   []int
	rung   weft.Rung // of the last dial
}

func rungs(r ...weft.Rung) []weft.Rung { return r }

var rungTable = []rungCase{
	{name: "upgrade", policy: weft.Policy{Rungs: rungs(weft.Upgrade)}, want: []int{3, 3}, rung: weft.Upgrade},
	{name: "upgrade, old", policy: weft.Policy{Rungs: rungs(weft.Upgrade)}, old: true, want: []int{3, 3}, rung: weft.Upgrade},
	{name: "settings, then live", policy: weft.Policy{Rungs: rungs(weft.Settings, weft.Upgrade)}, want: []int{4, 1}, rung: weft.Settings},
	{name: "settings, old, then known", policy: weft.Policy{Rungs: rungs(weft.Settings, weft.Upgrade)}, old: true, want: []int{6, 3}, rung: weft.Upgrade},
	{name: "default, then live", want: []int{3, 1}, rung: weft.Settings},
	{name: "default, old, then known", old: true, want: []int{4, 3, 3}, rung: weft.Upgrade},
	{name: "assume with an eager spare, old", policy: weft.Policy{Spare: weft.Eager}, old: true, want: []int{4, 3}, rung: weft.Upgrade},
	{name: "assume with an eager spare", policy: weft.Policy{Spare: weft.Eager}, want: []int{3}, rung: weft.Assume},
	{name: "assume alone, old", policy: weft.Policy{Spare: weft.Never}, old: true, want: []int{6, 3}, rung: weft.Upgrade},
	{name: "assume alone", policy: weft.Policy{Spare: weft.Never}, want: []int{3, 1}, rung: weft.Settings},
	{name: "strict", policy: weft.Policy{Strict: true}, want: []int{4, 1}, rung: weft.Settings},
	{name: "strict, old", policy: weft.Policy{Strict: true}, old: true, want: []int{6, 3}, rung: weft.Upgrade},
	{name: "once", policy: weft.Policy{Once: true}, want: []int{4}, rung: weft.Settings},
	{name: "token, then live", policy: weft.Policy{Rungs: rungs(weft.Token, weft.Upgrade)}, want: []int{3, 1}, rung: weft.Token},
	{name: "token, old", policy: weft.Policy{Rungs: rungs(weft.Token, weft.Upgrade)}, old: true, want: []int{3, 3}, rung: weft.Upgrade},
	{name: "h2.1, then live", policy: weft.Policy{Rungs: rungs(weft.H21, weft.Assume, weft.Upgrade)}, want: []int{3, 1}, rung: weft.H21},
	{name: "h2.1 alone, old", policy: weft.Policy{Rungs: rungs(weft.H21, weft.Assume, weft.Upgrade), Spare: weft.Never}, old: true, want: []int{6, 3}, rung: weft.Upgrade},
	{name: "h2.1 with a spare, old", policy: weft.Policy{Rungs: rungs(weft.H21, weft.Assume, weft.Upgrade)}, old: true, want: []int{4, 3}, rung: weft.Upgrade},
	{name: "h2.1 as a lone rung, old", policy: weft.Policy{Rungs: rungs(weft.H21, weft.Upgrade), Spare: weft.Never}, old: true, want: []int{5}, rung: weft.Upgrade},
	{name: "frame, then live", policy: weft.Policy{Rungs: rungs(weft.Frame, weft.Upgrade)}, want: []int{3, 1}},
	{name: "frame alone, old", policy: weft.Policy{Rungs: rungs(weft.Frame, weft.Upgrade), Spare: weft.Never}, old: true, want: []int{6, 3}, rung: weft.Upgrade},
	{name: "frame with a spare, old", policy: weft.Policy{Rungs: rungs(weft.Frame, weft.Upgrade)}, old: true, want: []int{4, 3}, rung: weft.Upgrade},
}

func TestRungs(t *testing.T) {
	for _, tt := range rungTable {
		t.Run(tt.name, func(t *testing.T) {
			simnet.Run(t, rtt, func(t *testing.T, n *simnet.Network) {
				e := ladderEnv(t, n, tt.old)
				e.dialer.Policy = tt.policy
				for i, want := range tt.want {
					c, got := e.countRTT(nil)
					defer c.CloseNow()
					wantRTT(t, "dial", c, got, want)
					if err := c.Write(e.ctx, weft.MessageText, []byte("hello")); err != nil {
						t.Fatal(err)
					}
					if _, p, err := c.Read(e.ctx); err != nil || string(p) != "hello" {
						t.Fatalf("%q, %v", p, err)
					}
					if i == len(tt.want)-1 && tt.rung != "" && c.Trace().Rung != tt.rung {
						t.Errorf("rung is %s, want %s", c.Trace().Rung, tt.rung)
					}
				}
			})
		})
	}
}

// ladderEnv has a server with everything switched on, or an old one.
func ladderEnv(t *testing.T, n *simnet.Network, old bool) *env {
	return newEnv(t, n, carrier{scheme: "wss"}, http.HandlerFunc(echo), func(s *weft.Server) {
		if old {
			s.Options.DisableConnectProtocol = true
		} else {
			s.Options.Rungs = rungs(weft.Token, weft.H21, weft.Frame)
		}
	})
}

// WS_OPEN works on a live connection whose SETTINGS do not allow Extended CONNECT; where it is not known it costs one round
// trip, once.
func TestFrameOnALiveConnection(t *testing.T) {
	for _, knows := range []bool{true, false} {
		simnet.Run(t, rtt, func(t *testing.T, n *simnet.Network) {
			e := newEnv(t, n, carrier{scheme: "wss"}, http.HandlerFunc(echo), func(s *weft.Server) {
				s.Options.DisableConnectProtocol = true
				if knows {
					s.Options.Rungs = rungs(weft.Frame)
				}
			})
			// A dial without frame leaves a connection that carries no WebSockets.
			c, _, err := e.dialer.Dial(e.ctx, e.url, &weft.DialOptions{Policy: &weft.Policy{Spare: weft.Never}})
			if err != nil {
				t.Fatal(err)
			}
			defer c.CloseNow()
			time.Sleep(time.Second)
			policy := &weft.Policy{Rungs: rungs(weft.Frame, weft.Upgrade)}
			want := map[bool][]int{true: {1, 1}, false: {4, 3}}[knows]
			for _, want := range want {
				c, got := e.countRTT(&weft.DialOptions{Policy: policy})
				defer c.CloseNow()
				wantRTT(t, "frame on a live connection", c, got, want)
			}
		})
	}
}

// What was found out is remembered when the connection is gone: a good origin costs 3 without a spare, an old one 3.
func TestRemembered(t *testing.T) {
	for _, old := range []bool{false, true} {
		simnet.Run(t, rtt, func(t *testing.T, n *simnet.Network) {
			e := ladderEnv(t, n, old)
			for i, want := range map[bool][]int{false: {3, 3}, true: {4, 3}}[old] {
				c, got := e.countRTT(nil)
				wantRTT(t, "dial", c, got, want)
				c.Write(e.ctx, weft.MessageText, []byte("hello"))
				c.Read(e.ctx)
				if tr := c.Trace(); i > 0 && len(tr.Attempts) != 1 {
					t.Errorf("a remembered origin took %d attempts: %+v", len(tr.Attempts), tr.Attempts)
				}
				c.Close(weft.StatusNormalClosure, "")
				time.Sleep(time.Second)
				e.dialer.CloseIdleConnections()
				time.Sleep(time.Second)
			}
		})
	}
}

// Cancelling a Dial at any time stops everything it started.
func TestLadderCancelled(t *testing.T) {
	for _, old := range []bool{false, true} {
		for i := range 9 {
			simnet.Run(t, rtt, func(t *testing.T, n *simnet.Network) {
				e := ladderEnv(t, n, old)
				ctx, cancel := context.WithTimeout(e.ctx, time.Duration(i)*rtt/2)
				defer cancel()
				c, _, err := e.dialer.Dial(ctx, e.url, nil)
				if err == nil {
					c.CloseNow()
				}
				if needs := map[bool]int{false: 6, true: 8}[old]; i != needs && (err == nil) != (i > needs) {
					t.Errorf("old=%v, after %v: %v", old, time.Duration(i)*rtt/2, err)
				}
			})
		}
	}
}

// The second dial goes to the alternative service that the first response named, and costs what that one does; where the
// entry is stale, the dial comes back to the origin.
func TestAltSvc(t *testing.T) {
	for _, stale := range []bool{false, true} {
		simnet.Run(t, rtt, func(t *testing.T, n *simnet.Network) {
			e := newEnv(t, n, carrier{scheme: "wss"}, http.HandlerFunc(echo), func(s *weft.Server) {
				s.Options.DisableConnectProtocol = true // an origin that is old but for its Alt-Svc
				s.Options.AltSvc = `wsoverh2="example.com:8443"; ma=3600`
				if stale {
					s.Options.AltSvc = `wsoverh2=":443"; ma=3600` // which does not speak that
				}
			})
			newServer(t, n, "10.0.0.2:8443", e, rungs(weft.Token))
			e.dialer.Policy = weft.Policy{Rungs: rungs(weft.AltSvc, weft.Token, weft.Upgrade)}
			for i, want := range map[bool][]int{false: {3, 3, 1}, true: {3, 5, 3}}[stale] {
				c, got := e.countRTT(nil)
				defer c.CloseNow()
				wantRTT(t, "dial", c, got, want)
				c.Write(e.ctx, weft.MessageText, []byte("hello"))
				if _, p, err := c.Read(e.ctx); err != nil || string(p) != "hello" {
					t.Fatalf("%q, %v", p, err)
				}
				if v := c.Trace().Version; (v == "HTTP/2.0") != (!stale && i > 0) {
					t.Errorf("dial %d went by %s", i, v)
				}
			}
		})
	}
}

// newServer starts a second server, with the first one's certificate.
func newServer(t *testing.T, n *simnet.Network, addr string, e *env, experimental []weft.Rung) *weft.Server {
	s := &weft.Server{Handler: http.HandlerFunc(echo), TLSConfig: e.server.TLSConfig.Clone(), ErrorLog: e.server.ErrorLog}
	s.Options.Rungs = experimental
	l := n.Listen(addr)
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.ServeTLS(l, "", "")
	}()
	t.Cleanup(func() {
		s.Close()
		<-done
	})
	return s
}

package weft_test

import (
	"context"
	"crypto/tls"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/weftws/weft"
	"github.com/weftws/weft/internal/memory"
	"github.com/weftws/weft/internal/simnet"
	"github.com/weftws/weft/resolver"
)

// h3Env is newEnv with HTTP/3 on the port of the same number.
func h3Env(t *testing.T, n *simnet.Network, h http.HandlerFunc, mod func(*weft.Server)) *env {
	e := newEnv(t, n, carrier{scheme: "wss"}, h, mod)
	e.serveQUIC(serverAddr, e.server)
	return e
}

func (e *env) serveQUIC(addr string, s *weft.Server) {
	served := make(chan struct{})
	pc := e.net.ListenPacket(addr)
	go func() {
		defer close(served)
		s.ServeQUIC(pc)
	}()
	e.t.Cleanup(func() {
		e.dialer.Close()
		s.Close()
		<-served
	})
}

// dialAndEcho opens a WebSocket at the cost of want round trips, by rung, and exchanges a message.
func (e *env) dialAndEcho(policy weft.Policy, want float64, rung weft.Rung) *weft.Conn {
	e.t.Helper()
	c, got := e.countRTT(&weft.DialOptions{Policy: &policy})
	tr := c.Trace()
	if got != want || tr.RoundTrips != int(want) || tr.Rung != rung {
		e.t.Errorf("by %s in %v round trips, the trace says %d; want %v by %s\n%v", tr.Rung, got, tr.RoundTrips, want, rung, tr)
	}
	if err := c.Write(e.ctx, weft.MessageText, []byte("hello")); err != nil {
		e.t.Fatal(err)
	}
	if _, p, err := c.Read(e.ctx); err != nil || string(p) != "hello" {
		e.t.Fatalf("%q, %v", p, err)
	}
	return c
}

// forgetConns closes c and every connection: the next dial is one of somebody who was here before.
func (e *env) forgetConns(c *weft.Conn) {
	c.CloseNow()
	e.dialer.Close()
	time.Sleep(time.Second)
}

var namesH3 = weft.Policy{Rungs: rungs(weft.H3, weft.Assume, weft.Upgrade)}

func TestH3RoundTrips(t *testing.T) {
	run := func(name string, f func(t *testing.T, e *env)) {
		t.Run(name, func(t *testing.T) {
			simnet.Run(t, rtt, func(t *testing.T, n *simnet.Network) { f(t, h3Env(t, n, echo, nil)) })
		})
	}
	run("named: fresh, live", func(t *testing.T, e *env) {
		a := e.dialAndEcho(namesH3, 2, weft.H3)
		b := e.dialAndEcho(namesH3, 1, weft.H3)
		if a, b := a.Trace(), b.Trace(); a.Version != "HTTP/3.0" || a.ConnID != b.ConnID || a.StreamID == b.StreamID || !b.Reused {
			t.Errorf("not two streams of one connection: %v, %v", a, b)
		}
	})
	run("by Alt-Svc, then as remembered", func(t *testing.T, e *env) {
		e.forgetConns(e.dialAndEcho(weft.Policy{}, 3, weft.Assume))
		e.forgetConns(e.dialAndEcho(weft.Policy{}, 2, weft.H3))
		e.dialAndEcho(weft.Policy{}, 2, weft.H3)
	})
	run("strict, by Alt-Svc", func(t *testing.T, e *env) {
		strict := weft.Policy{Strict: true}
		e.forgetConns(e.dialAndEcho(strict, 4, weft.Settings))
		e.forgetConns(e.dialAndEcho(strict, 2, weft.H3))
	})
	run("by an HTTPS record", func(t *testing.T, e *env) {
		e.dialer.HTTPSResolver = fakeResolver{"example.com 443": {{Priority: 1, Target: "example.com", ALPN: []string{"h2", "h3"}}}}
		e.dialAndEcho(weft.Policy{}, 2, weft.H3)
	})
	run("remembered without Alt-Svc", func(t *testing.T, e *env) {
		e.dialer.Memory = memory.NewMap(0)
		e.forgetConns(e.dialAndEcho(namesH3, 2, weft.H3))
		other := &weft.Dialer{TLSConfig: e.dialer.TLSConfig, NetDial: e.net.DialContext, NetDialUDP: e.net.DialUDP, Memory: e.dialer.Memory}
		e.dialer = other
		t.Cleanup(func() { other.Close() })
		e.dialAndEcho(weft.Policy{}, 2, weft.H3)
	})
	run("alone", func(t *testing.T, e *env) {
		e.dialAndEcho(weft.Policy{Rungs: rungs(weft.H3)}, 2, weft.H3)
	})
}

// A network without UDP costs the head start, once.
func TestH3Blocked(t *testing.T) {
	for _, headStart := range []time.Duration{0, 20 * time.Millisecond, -1} {
		simnet.Run(t, rtt, func(t *testing.T, n *simnet.Network) {
			e := h3Env(t, n, echo, nil)
			n.SetUDP("", simnet.UDP{Block: true})
			policy := namesH3
			policy.HeadStart = headStart
			lead := max(headStart, 0)
			if headStart == 0 {
				lead = 50 * time.Millisecond
			}
			e.forgetConns(e.dialAndEcho(policy, 3+float64(lead)/float64(rtt), weft.Assume))
			e.forgetConns(e.dialAndEcho(policy, 3, weft.Assume))
			// Later somebody asks again.
			time.Sleep(time.Hour)
			n.SetUDP("", simnet.UDP{})
			e.dialAndEcho(policy, 2, weft.H3)
		})
	}
}

// Early data: the CONNECT travels in the first packets, where client and handler allow it.
func TestH3EarlyConnect(t *testing.T) {
	early := namesH3
	early.EarlyConnect = true
	for _, tt := range []struct {
		name    string
		policy  weft.Policy
		allowed bool
		restart bool // the server has forgotten the keys of its tickets
		want    float64
		seen    []bool // whether the handler saw early data, by requests of the second dial
	}{
		{"allowed", early, true, false, 1, []bool{true}},
		{"not by the client", namesH3, true, false, 2, []bool{false}},
		{"not by the handler: 425", early, false, false, 2, []bool{true, false}},
		{"rejected by the server", early, true, true, 2, []bool{false}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			simnet.Run(t, rtt, func(t *testing.T, n *simnet.Network) {
				var seen []bool
				h := func(w http.ResponseWriter, r *http.Request) {
					seen = append(seen, weft.InEarlyData(r))
					echoWith(&weft.AcceptOptions{AllowEarlyData: tt.allowed})(w, r)
				}
				e := newEnv(t, n, carrier{scheme: "wss"}, http.HandlerFunc(h), nil)
				first := &weft.Server{Handler: http.HandlerFunc(h), TLSConfig: &tls.Config{Certificates: e.server.TLSConfig.Certificates}, ErrorLog: e.server.ErrorLog}
				if !tt.restart {
					first = e.server
				}
				e.serveQUIC(serverAddr, first)
				e.forgetConns(e.dialAndEcho(tt.policy, 2, weft.H3))
				if tt.restart {
					first.Close()
					time.Sleep(time.Minute)
					e.serveQUIC(serverAddr, e.server)
				}
				seen = nil
				e.dialAndEcho(tt.policy, tt.want, weft.H3)
				if fmt.Sprint(seen) != fmt.Sprint(tt.seen) {
					t.Errorf("early data seen %v, want %v", seen, tt.seen)
				}
			})
		})
	}
}

// fakeResolver answers at once, by "host port".
type fakeResolver map[string][]resolver.HTTPS

func (r fakeResolver) LookupHTTPS(_ context.Context, host, port string) ([]resolver.HTTPS, error) {
	return r[host+" "+port], nil
}

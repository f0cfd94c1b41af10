package weft_test

import (
	"fmt"
	"io"
	"net/http"
	"testing"

	"github.com/quic-go/quic-go/http3"
	"golang.org/x/net/websocket"

	"github.com/weftws/weft"
	"github.com/weftws/weft/internal/simnet"
)

// foreignEnv has h served by the http3.Server of quic-go alone.
func foreignEnv(t *testing.T, n *simnet.Network, h http.Handler) *env {
	e := newEnv(t, n, carrier{scheme: "wss"}, h, nil)
	s := &http3.Server{Handler: h, TLSConfig: http3.ConfigureTLSConfig(e.server.TLSConfig)}
	pc := n.ListenPacket(serverAddr)
	served := make(chan struct{})
	go func() {
		defer close(served)
		s.Serve(pc)
	}()
	t.Cleanup(func() {
		e.dialer.Close()
		s.Close()
		pc.Close()
		<-served
	})
	return e
}

// Accept and Bridge on a server of HTTP/3 that is not ours. Early data is refused unless the handler allows it.
func TestForeignHTTP3(t *testing.T) {
	early := weft.Policy{Rungs: rungs(weft.H3), EarlyConnect: true}
	for _, tt := range []struct {
		name    string
		handler http.Handler
		want    float64
		seen    []bool // whether the handler saw early data, by requests of the second dial
	}{
		{"Accept", http.HandlerFunc(echo), 2, []bool{true, false}},
		{"Accept, early", echoWith(&weft.AcceptOptions{AllowEarlyData: true}), 1, []bool{true}},
		{"Accept in Bridge", weft.Bridge(http.HandlerFunc(echo)), 2, []bool{true, false}},
		{"Hijack in Bridge", weft.Bridge(websocket.Server{Handler: func(c *websocket.Conn) { io.Copy(c, c) }}), 2, []bool{true, false}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			simnet.Run(t, rtt, func(t *testing.T, n *simnet.Network) {
				var seen []bool
				e := foreignEnv(t, n, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					seen = append(seen, weft.InEarlyData(r))
					tt.handler.ServeHTTP(w, r)
				}))
				c := e.dialAndEcho(early, 2, weft.H3)
				if tr := c.Trace(); tr.Version != "HTTP/3.0" {
					t.Errorf("%v", tr)
				}
				e.forgetConns(c)
				seen = nil
				e.dialAndEcho(early, tt.want, weft.H3)
				if fmt.Sprint(seen) != fmt.Sprint(tt.seen) {
					t.Errorf("early data seen %v, want %v", seen, tt.seen)
				}
			})
		})
	}
}

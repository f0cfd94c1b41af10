package weft_test

import (
	"crypto/tls"
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"

	"github.com/weftws/weft"
	"github.com/weftws/weft/internal/simnet"
)

// A server that says nothing before the handshake is complete costs a round trip more: a CONNECT waits for SETTINGS (RFC 9220,
// Section 3), and over HTTP/3 they are not assumed.
func TestH3LateSettings(t *testing.T) {
	for _, late := range []bool{false, true} {
		simnet.Run(t, rtt, func(t *testing.T, n *simnet.Network) {
			cert, roots := simnet.Certificate("example.com")
			n.AddHost("example.com", "10.0.0.2")
			s := &http3.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				w.WriteHeader(http.StatusOK)
				w.(http.Flusher).Flush()
				<-r.Context().Done()
			})}
			tr := &quic.Transport{Conn: n.ListenPacket(serverAddr)}
			l, err := tr.ListenEarly(http3.ConfigureTLSConfig(&tls.Config{Certificates: []tls.Certificate{cert}}), nil)
			if err != nil {
				t.Fatal(err)
			}
			served := make(chan struct{})
			go func() {
				defer close(served)
				c, err := l.Accept(t.Context())
				if err != nil {
					return
				}
				if late {
					<-c.HandshakeComplete()
				}
				s.ServeQUICConn(c)
			}()
			d := &weft.Dialer{TLSConfig: &tls.Config{RootCAs: roots}, NetDial: n.DialContext, NetDialUDP: n.DialUDP, Policy: weft.Policy{Rungs: rungs(weft.H3)}}
			e := &env{t: t, ctx: t.Context(), net: n, dialer: d, url: "wss://example.com:443"}
			c, got := e.countRTT(nil)
			wantRTT(t, "h3", c, got, map[bool]int{false: 2, true: 3}[late])
			c.CloseNow()
			d.Close()
			<-served
			l.Close()
			tr.Close()
		})
	}
}

// A server that allows no Extended CONNECT does not say so over HTTP/3 either, and nobody tries.
func TestH3DisableConnectProtocol(t *testing.T) {
	simnet.Run(t, rtt, func(t *testing.T, n *simnet.Network) {
		e := newEnv(t, n, carriers[4], http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("a request came") }), func(s *weft.Server) {
			s.Options.DisableConnectProtocol = true
		})
		_, _, err := e.dialer.Dial(e.ctx, e.url, nil)
		de, ok := errors.AsType[*weft.DialError](err)
		if !ok || !strings.Contains(err.Error(), "server's SETTINGS over HTTP/3 do not have ENABLE_CONNECT_PROTOCOL = 1") {
			t.Errorf("%v, %+v", err, de)
		}
	})
}

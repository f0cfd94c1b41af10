package weft_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/weftws/weft"
	"github.com/weftws/weft/internal/simnet"
)

// vanish cuts every cable: whoever was there is gone, and nobody says so.
func (e *env) vanish() {
	e.net.Cut(serverAddr)
	e.net.SetUDP("", simnet.UDP{Block: true})
}

// A peer that has vanished is found out by both ends within the time that is documented: over HTTP/1.1 two to three times KeepAlive and a
// second, over HTTP/2 KeepAlive and 15 s, over HTTP/3 KeepAlive, 15 s at most, and 30 s.
func TestVanishedPeerIsFound(t *testing.T) {
	for _, c := range carriers {
		for _, keepAlive := range []time.Duration{10 * time.Second, 30 * time.Second} {
			least, most := 2*keepAlive, 3*keepAlive+time.Second
			switch {
			case c.quic:
				least, most = 30*time.Second, 30*time.Second+min(keepAlive, 15*time.Second)
			case c.name[:2] == "h2":
				least, most = keepAlive, keepAlive+15*time.Second
			}
			t.Run(fmt.Sprint(c.name, keepAlive), func(t *testing.T) {
				simnet.Run(t, rtt, func(t *testing.T, n *simnet.Network) {
					lost := make(chan error, 2)
					h := func(w http.ResponseWriter, r *http.Request) {
						c, err := weft.Accept(w, r, &weft.AcceptOptions{KeepAlive: keepAlive})
						if err != nil {
							return
						}
						_, _, err = c.Read(context.Background())
						lost <- err
					}
					e := newEnv(t, n, c, http.HandlerFunc(h), func(s *weft.Server) { s.Options.KeepAlive = keepAlive })
					e.dialer.KeepAlive = keepAlive
					c := e.dial("/", nil)
					time.Sleep(5*time.Minute + 7*time.Second)
					e.vanish()
					start := time.Now()
					go func() {
						_, _, err := c.Read(e.ctx)
						lost <- err
					}()
					for range 2 {
						err := <-lost
						if took := time.Since(start); took < least-keepAlive || took > most+rtt {
							t.Errorf("found out after %v, want %v to %v", took, least, most)
						}
						if err == nil || weft.CloseStatus(err) != -1 || errors.Is(err, net.ErrClosed) {
							t.Errorf("Read: %v", err)
						}
					}
				})
			})
		}
	}
}

// Whoever writes to a peer that has vanished, or closes, is not held up for longer than is documented.
func TestVanishedPeerHoldsNobodyUp(t *testing.T) {
	overEach(t, echo, func(t *testing.T, e *env) {
		e.net.SetLink(serverAddr, simnet.Link{SendBuffer: 256 << 10})
		writer, closer := e.dial("/", nil), e.dial("/", nil)
		defer writer.CloseNow()
		e.vanish()
		start := time.Now()
		if err := closer.Close(weft.StatusNormalClosure, ""); err == nil || weft.CloseStatus(err) != -1 {
			t.Errorf("Close: %v", err)
		}
		if took := time.Since(start); took > 10*time.Second {
			t.Errorf("Close took %v", took)
		}

		// A Write ends with its context, and nothing was sent.
		err := error(nil)
		for err == nil {
			ctx, cancel := context.WithTimeout(e.ctx, time.Second)
			start = time.Now()
			err = writer.Write(ctx, weft.MessageBinary, make([]byte, 16<<10))
			cancel()
		}
		if took := time.Since(start); took != time.Second || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Write: %v, after %v", err, took)
		}
		// Without one it ends when the peer is given up.
		start = time.Now()
		for err = nil; err == nil; {
			err = writer.Write(e.ctx, weft.MessageBinary, make([]byte, 16<<10))
		}
		if took := time.Since(start); took > 91*time.Second || errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Write: %v, after %v", err, took)
		}
	})
}

// A connection in the pool that has died in silence, as in a sleep of the machine, costs the next Dial 5 s, once.
func TestDialOnADeadConnection(t *testing.T) {
	for _, c := range carriers[2:] {
		over(t, c, http.HandlerFunc(echo), func(t *testing.T, e *env) {
			var socket net.Addr
			e.dialer.NetDialUDP = func(ctx context.Context, addr string) (net.PacketConn, net.Addr, error) {
				pc, to, err := e.net.DialUDP(ctx, addr)
				if socket == nil {
					socket = pc.LocalAddr()
				}
				return pc, to, err
			}
			e.dial("/", nil).Close(weft.StatusNormalClosure, "")
			e.net.Cut(serverAddr)
			if c.quic {
				e.net.SetUDP(socket.String(), simnet.UDP{Block: true})
			}
			for i, most := range []time.Duration{5*time.Second + 4*rtt, rtt} {
				start := time.Now()
				conn, _, err := e.dialer.Dial(e.ctx, e.url, nil)
				if err != nil {
					t.Fatalf("%s: Dial %d: %v", c.name, i, err)
				}
				if took := time.Since(start); took > most {
					t.Errorf("%s: Dial %d took %v", c.name, i, took)
				}
				conn.CloseNow()
			}
		})
	}
}

// What has died in the pool says nothing against HTTP/3: the Dial that finds out, and the next, are over HTTP/3 again.
func TestDeadConnectionIsNotBlamedOnHTTP3(t *testing.T) {
	for _, origin := range []bool{true, false} {
		t.Run(fmt.Sprintf("at the origin %v", origin), func(t *testing.T) {
			simnet.Run(t, rtt, func(t *testing.T, n *simnet.Network) {
				e := newEnv(t, n, carrier{scheme: "wss"}, http.HandlerFunc(echo), func(s *weft.Server) {
					s.Options.AltSvc = map[bool]string{true: "", false: `h3=":8443"; ma=86400`}[origin]
				})
				e.serveQUIC(map[bool]string{true: serverAddr, false: "10.0.0.2:8443"}[origin], e.server)
				var sockets []net.Addr
				e.dialer.NetDialUDP = func(ctx context.Context, addr string) (net.PacketConn, net.Addr, error) {
					pc, to, err := e.net.DialUDP(ctx, addr)
					if err == nil {
						sockets = append(sockets, pc.LocalAddr())
					}
					return pc, to, err
				}
				e.forgetConns(e.dialAndEcho(weft.Policy{}, 3, weft.Assume))
				e.dialAndEcho(weft.Policy{}, 2, weft.H3).CloseNow()
				n.SetUDP(sockets[0].String(), simnet.UDP{Block: true})
				start := time.Now()
				c := e.dial("/", nil)
				if took := time.Since(start); c.Trace().Rung != weft.H3 || took > 5*time.Second+2*rtt {
					t.Errorf("by %s after %v\n%v", c.Trace().Rung, took, c.Trace())
				}
				c.CloseNow()
				e.dialAndEcho(weft.Policy{}, 1, weft.H3).CloseNow()
			})
		})
	}
}

// A handler that takes its time is no dead connection: QUIC says that the request has come.
func TestSlowHandlerOnAPooledConnection(t *testing.T) {
	overEachOf(t, carriers[2:], func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/slow" {
			time.Sleep(9 * time.Second)
		}
		echo(w, r)
	}, func(t *testing.T, e *env) {
		first := e.dial("/", nil)
		id := first.Trace().ConnID
		first.CloseNow()
		c := e.dial("/slow", nil)
		defer c.CloseNow()
		if tr := c.Trace(); tr.ConnID != id || !tr.Reused {
			t.Errorf("%v", tr)
		}
	})
}

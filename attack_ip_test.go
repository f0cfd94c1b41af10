package weft_test

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/quic-go/quic-go"
	"golang.org/x/net/http2"

	"github.com/weftws/weft"
)

// foreign is where the attackers come from, and the bystander does not.
const foreign = "127.0.0.2"

func limitPerIP(l weft.IPLimits) func(s *weft.Server) {
	l.Exempt = []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}
	return func(s *weft.Server) { s.Options.PerIP = l }
}

// wantShut waits until the server has closed c without a word.
func (a *arena) wantShut(c net.Conn) {
	a.Helper()
	if n, err := io.Copy(io.Discard, c); n != 0 || errors.Is(err, net.ErrClosed) {
		a.Errorf("the server said %d bytes, %v", n, err)
	}
}

// One address may have so many connections, of them so many whose handshake is under way; others are let in.
func TestAttackConnectionsOfOneAddress(t *testing.T) {
	t.Run("handshakes", func(t *testing.T) {
		a := newArena(t, false, limitPerIP(weft.IPLimits{Handshakes: 10}))
		a.beside(8<<20, func() {
			var idle []net.Conn
			for range 10 {
				idle = append(idle, a.connectTCP(foreign))
			}
			for range 5 {
				a.wantShut(a.connectTCP(foreign))
			}
			a.wantCount("tcp/too-many-handshakes", 5)
			// A place is free when one ends, and when one gets on.
			idle[0].Close()
			a.connectAgain(func(c net.Conn) bool { return http2Speaks(a, c) }, "h2")
			a.connectAgain(func(c net.Conn) bool { return http1Speaks(c) }, "http/1.1")
			a.connectAgain(func(c net.Conn) bool { return http2Speaks(a, c) }, "h2")
		})
	})
	t.Run("connections", func(t *testing.T) {
		a := newArena(t, true, limitPerIP(weft.IPLimits{Connections: 10}))
		a.beside(8<<20, func() {
			var open []*h2Attacker
			for range 10 {
				x := a.attackH2On(a.connect(foreign, "h2"), false)
				x.fr.WritePing(false, [8]byte{})
				x.flush()
				x.sees("a PING's ack", func() bool { return x.acks == 1 })
				open = append(open, x)
			}
			for range 5 {
				a.wantShut(a.connectTCP(foreign))
			}
			a.wantCount("tcp/too-many-connections", 5)
			// QUIC has no others.
			if _, err := a.dialQUIC(foreign); !isRefused(err) {
				t.Errorf("QUIC: %v", err)
			}
			a.wantCountedByPacket("quic/too-many-connections")
			open[0].nc.Close()
			a.connectAgain(func(c net.Conn) bool { return http1Speaks(c) }, "http/1.1")
		})
	})
	t.Run("QUIC", func(t *testing.T) {
		a := newArena(t, true, limitPerIP(weft.IPLimits{Connections: 3}))
		a.beside(32<<20, func() {
			for range 3 {
				if _, err := a.dialQUIC(foreign); err != nil {
					t.Fatal(err)
				}
			}
			a.await("the connections to be counted", func() bool { return weft.ConnectionsPerIP(a.server) == 3 })
			if _, err := a.dialQUIC(foreign); !isRefused(err) {
				t.Errorf("a fourth connection: %v", err)
			}
			a.wantCountedByPacket("quic/too-many-connections")
		})
	})
}

// connectAgain connects from the attackers' address until use has had a connection that works: the server notices an end a moment later.
func (a *arena) connectAgain(use func(net.Conn) bool, protocol string) {
	a.Helper()
	a.await("a connection", func() bool {
		c := a.connectTCP(foreign)
		t := clientTLS(a, c, protocol)
		if t == nil || !use(t) {
			c.Close()
			return false
		}
		return true
	})
}

func clientTLS(a *arena, c net.Conn, protocol string) net.Conn {
	t := tls.Client(c, a.tlsWith(protocol))
	if t.HandshakeContext(a.Context()) != nil {
		return nil
	}
	return t
}

func http1Speaks(c net.Conn) bool {
	io.WriteString(c, "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
	var answer [12]byte
	_, err := io.ReadFull(c, answer[:])
	return err == nil && string(answer[:]) == "HTTP/1.1 200"
}

func http2Speaks(a *arena, c net.Conn) bool {
	x := a.attackH2On(c, false)
	x.get("/", true)
	ok := x.flush()
	x.sees("a response", func() bool { ok = x.status["200"] == 1; return ok || x.over() })
	return ok
}

// wantCountedByPacket waits for a count of at least 1: a ClientHello has two packets, and either may be told.
func (a *arena) wantCountedByPacket(what string) {
	a.Helper()
	a.await("the count of "+what, func() bool {
		a.mu.Lock()
		defer a.mu.Unlock()
		return a.counts[what] > 0
	})
}

// dialQUIC opens a connection for HTTP/3 from an address of this machine, and keeps it.
func (a *arena) dialQUIC(from string) (*quic.Conn, error) {
	pc, err := net.ListenPacket("udp", from+":0")
	if err != nil {
		a.Skipf("this machine has no address %s: %v", from, err)
	}
	to, _ := net.ResolveUDPAddr("udp", a.addr)
	q, err := quic.Dial(a.Context(), pc, to, a.tlsWith("h3"), nil)
	a.Cleanup(func() {
		if q != nil {
			q.CloseWithError(0, "")
		}
		pc.Close()
	})
	return q, err
}

// "CONNECTION_REFUSED (0x02): An endpoint uses this with CONNECTION_CLOSE to indicate that the server has refused to accept a new
// connection." RFC 9000, Section 20.1.
func isRefused(err error) bool {
	te, ok := errors.AsType[*quic.TransportError](err)
	return ok && te.Remote && te.ErrorCode == quic.ConnectionRefused
}

// One address may have so many WebSockets, however many connections and versions of HTTP carry them.
func TestAttackWebSocketsOfOneAddress(t *testing.T) {
	a := newArena(t, false, limitPerIP(weft.IPLimits{WebSockets: 20}))
	a.beside(16<<20, func() {
		var open []*h2Attacker
		for range 4 {
			x := a.attackH2On(a.connect(foreign, "h2"), false)
			for range 5 {
				x.open("/ws")
			}
			x.flush()
			x.sees("the answers", func() bool { return x.status["200"] == 5 })
			open = append(open, x)
		}
		for range 3 {
			open[0].open("/ws")
		}
		open[0].flush()
		open[0].sees("the refusals", func() bool { return open[0].status["429"] == 3 })
		c := a.connect(foreign, "http/1.1")
		io.WriteString(c, askWebSocket(a.addr, "/ws"))
		answer, _ := io.ReadAll(c)
		if s := string(answer); !strings.HasPrefix(s, "HTTP/1.1 429 ") || !strings.Contains(s, "\r\nRetry-After: 30\r\n") {
			t.Errorf("over HTTP/1.1: %s", s)
		}
		a.wantCount("refused/too-many-websockets", 4)
		// A place is free when a WebSocket has ended.
		open[0].fr.WriteRSTStream(1, http2.ErrCodeCancel)
		open[0].flush()
		a.await("a place", func() bool {
			c := a.connect(foreign, "http/1.1")
			defer c.Close()
			io.WriteString(c, askWebSocket(a.addr, "/ws"))
			var answer [12]byte
			io.ReadFull(c, answer[:])
			return string(answer[:]) == "HTTP/1.1 101"
		})
	})
}

func askWebSocket(host, path string, more ...string) string {
	return "GET " + path + " HTTP/1.1\r\nHost: " + host + "\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: " + sampleKey +
		"\r\nSec-WebSocket-Version: 13\r\n" + strings.Join(append(more, ""), "\r\n") + "\r\n"
}

// WebSockets of other libraries count together with weft's, whoever speaks their frames.
func TestAttackWebSocketsOfOtherLibraries(t *testing.T) {
	for name, bridge := range map[string]func(http.Handler) http.Handler{
		"Bridge":         func(h http.Handler) http.Handler { return h }, // the server has one
		"BridgeMessages": func(h http.Handler) http.Handler { return weft.BridgeMessages(h, nil) },
	} {
		t.Run(name, func(t *testing.T) {
			a := newArena(t, true, func(s *weft.Server) {
				limitPerIP(weft.IPLimits{WebSockets: 10})(s)
				next := s.Handler
				other := bridge(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					nc, _, err := w.(http.Hijacker).Hijack()
					if err != nil {
						return
					}
					defer nc.Close()
					if _, err := io.WriteString(nc, switching101(r)); err == nil {
						io.Copy(io.Discard, nc)
					}
				}))
				s.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					if r.URL.Path == "/other" {
						other.ServeHTTP(w, r)
						return
					}
					next.ServeHTTP(w, r)
				})
			})
			a.beside(16<<20, func() {
				x := a.attackH2On(a.connect(foreign, "h2"), false)
				for range 5 {
					x.open("/ws")
				}
				x.flush()
				x.sees("weft's", func() bool { return x.status["200"] == 5 })
				for range 8 {
					x.open("/other")
				}
				x.flush()
				x.sees("the others", func() bool { return x.status["200"] == 10 && x.status["429"] == 3 })
				a.wantCount("refused/too-many-websockets", 3)
				q := a.attackH3From(foreign)
				if status := askH3(t, q, "/other"); status != "429" {
					t.Errorf("over HTTP/3: %s", status)
				}
				// A place is free when one has ended, and only some of these have begun.
				for id := uint32(11); id < x.nextID; id += 2 {
					x.fr.WriteRSTStream(id, http2.ErrCodeCancel)
				}
				x.flush()
				a.await("a place", func() bool { return askH3(t, q, "/other") == "200" })
			})
		})
	}
}

func askH3(t *testing.T, q *quic.Conn, path string) string {
	t.Helper()
	s, err := q.OpenStream()
	if err != nil {
		t.Fatal(err)
	}
	s.SetDeadline(time.Now().Add(attackPatience))
	s.Write(h3WebSocket(path))
	return h3Status(s)
}

// What comes from a proxy's address has no limit, unless the application says whose it is.
func TestLimitsBehindAProxy(t *testing.T) {
	a := newArena(t, false, func(s *weft.Server) {
		limitPerIP(weft.IPLimits{WebSockets: 1})(s)
		next := s.Handler
		s.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if ip := r.Header.Get("X-Real-IP"); ip != "" {
				r.RemoteAddr = ip
			}
			if r.URL.Path != "/other" {
				next.ServeHTTP(w, r)
				return
			}
			if nc, _, err := w.(http.Hijacker).Hijack(); err == nil {
				io.WriteString(nc, switching101(r))
			}
		})
	})
	x := a.attackH2(false)
	for range 5 {
		x.open("/ws")
	}
	for range 2 {
		x.open("/ws", "x-real-ip: 192.0.2.1")
		x.open("/ws", "x-real-ip: 2001:db8::1")
		x.open("/ws", "x-real-ip: [2001:db8::2]:99")
	}
	x.open("/other", "x-real-ip: 192.0.2.1")
	x.open("/other", "x-real-ip: 192.0.2.2")
	x.flush()
	x.sees("the answers", func() bool { return x.status["200"] == 8 && x.status["429"] == 5 })
}

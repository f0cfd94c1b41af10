package interop

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/weftws/weft"
)

// ---- weft as the client

// A carriage is how a client's WebSocket must have come to be.
type carriage struct {
	version  string
	rung     weft.Rung
	attempts int
}

var (
	overHTTP3     = carriage{"HTTP/3.0", weft.H3, 1}
	overHTTP2     = carriage{"HTTP/2.0", weft.Settings, 1}
	overHTTP1     = carriage{"HTTP/1.1", weft.Upgrade, 1}
	fallenToHTTP1 = carriage{"HTTP/1.1", weft.Upgrade, 2}
)

// A version is one of those of HTTP that carry many WebSockets on a connection.
type version struct {
	name  string
	start func(t *testing.T, cert *certificate, mod func(*weft.Server)) *weftServer
	rungs []weft.Rung // that lead to it
	want  carriage
}

var versions = []version{{"HTTP2", startWeft, nil, overHTTP2}, {"HTTP3", startWeftHTTP3, []weft.Rung{weft.H3}, overHTTP3}}

// overEach runs a test for each of the versions.
func overEach(t *testing.T, test func(t *testing.T, v version)) {
	for _, v := range versions {
		t.Run(v.name, func(t *testing.T) { test(t, v) })
	}
}

func (v version) dialer(t *testing.T, cert *certificate) *weft.Dialer {
	return newDialer(t, cert, v.rungs...)
}

// newDialer returns a Dialer that trusts cert.
func newDialer(t *testing.T, cert *certificate, rungs ...weft.Rung) *weft.Dialer {
	d := &weft.Dialer{TLSConfig: &tls.Config{RootCAs: cert.roots}, Policy: weft.Policy{Rungs: rungs}, HandshakeTimeout: patience}
	t.Cleanup(func() { d.Close() })
	return d
}

// dialWith returns a talk's dial. Every WebSocket must have come by want; over HTTP/2 and HTTP/3 all share one connection.
func dialWith(d *weft.Dialer, want carriage) func(*testing.T, string, offer) socket {
	var conn uint64
	first := true
	return func(t *testing.T, url string, o offer) socket {
		t.Helper()
		s := dialWeft(t, d, url, o)
		tr := s.c.Trace()
		used := slices.DeleteFunc(slices.Clone(tr.Attempts), func(a weft.Attempt) bool { return a.Verdict == "unused" })
		if first && len(used) != want.attempts {
			t.Errorf("%d attempts, want %d: %+v", len(used), want.attempts, tr.Attempts)
		}
		if first && want.attempts == 2 {
			wantHTTP2ThenUpgrade(t, used)
		}
		first = false
		// The first dial to an unknown origin assumes what the later ones know.
		if tr.Version != want.version || tr.Rung != want.rung && !(want.rung == weft.Settings && tr.Rung == weft.Assume) {
			t.Errorf("came by %s, rung %s; want %s, rung %s; attempts: %+v", tr.Version, tr.Rung, want.version, want.rung, tr.Attempts)
		}
		if tr.Version != "HTTP/1.1" {
			if conn != 0 && conn != tr.ConnID {
				t.Errorf("connection %d, want %d as before", tr.ConnID, conn)
			}
			conn = tr.ConnID
		}
		return s
	}
}

// wantHTTP2ThenUpgrade: the trace says that HTTP/2 came about, why it was not enough, and what followed.
func wantHTTP2ThenUpgrade(t *testing.T, got []weft.Attempt) {
	t.Helper()
	if len(got) != 2 {
		return // said already
	}
	a, b := got[0], got[1]
	// h2o ends the connection over a :protocol that it does not know.
	old := a.Verdict == "version" && strings.Contains(a.Reason, "ENABLE_CONNECT_PROTOCOL") || a.Verdict == "killed" && strings.Contains(a.Reason, "GOAWAY")
	if a.Rung != weft.Assume || a.ALPN != "h2" || !old {
		t.Errorf("first attempt: %+v; want rung assume, ALPN h2, verdict version for want of ENABLE_CONNECT_PROTOCOL", a)
	}
	if b.Rung != weft.Upgrade || b.ALPN != "http/1.1" || b.Verdict != "open" {
		t.Errorf("second attempt: %+v; want rung upgrade, ALPN http/1.1, verdict open", b)
	}
}

func dialWeft(t *testing.T, d *weft.Dialer, url string, o offer) *weftSocket {
	t.Helper()
	c, _, err := d.Dial(t.Context(), url, &weft.DialOptions{Subprotocols: o.subprotocols, CompressionMode: compressionMode(o.deflate)})
	if err != nil {
		t.Fatalf("Dial %s: %v", url, err)
	}
	t.Cleanup(func() { c.CloseNow() })
	c.SetReadLimit(8 << 20)
	return &weftSocket{c}
}

func compressionMode(name string) weft.CompressionMode {
	switch name {
	case "takeover":
		return weft.CompressionContextTakeover
	case "no-takeover":
		return weft.CompressionNoContextTakeover
	}
	return weft.CompressionDisabled
}

type weftSocket struct{ c *weft.Conn }

func messageType(text bool) weft.MessageType {
	if text {
		return weft.MessageText
	}
	return weft.MessageBinary
}

func (s *weftSocket) send(text bool, p []byte) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	return s.c.Write(ctx, messageType(text), p)
}

func (s *weftSocket) sendFragments(text bool, parts ...[]byte) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	return writeFragments(ctx, s.c, messageType(text), parts)
}

func writeFragments(ctx context.Context, c *weft.Conn, typ weft.MessageType, parts [][]byte) error {
	w, err := c.Writer(ctx, typ)
	if err != nil {
		return err
	}
	for _, p := range parts {
		if _, err := w.Write(p); err != nil {
			return errors.Join(err, w.Close())
		}
	}
	return w.Close()
}

func (s *weftSocket) receive() (bool, []byte, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	typ, p, err := s.c.Read(ctx)
	if ce, ok := errors.AsType[*weft.CloseError](err); ok {
		err = &closed{int(ce.Code), ce.Reason}
	}
	return typ == weft.MessageText, p, err
}

func (s *weftSocket) close(code int, reason string) error {
	return s.c.Close(weft.StatusCode(code), reason)
}
func (s *weftSocket) subprotocol() string { return s.c.Subprotocol() }
func (s *weftSocket) compressed() bool    { return s.c.Trace().Compression != "" }

// ---- weft as the server

// A weftServer is a weft.Server on a loopback port.
type weftServer struct {
	port   int
	record *record
}

// startWeft serves the echo handler, over TLS if there is a certificate; mod may change the server first.
func startWeft(t *testing.T, cert *certificate, mod func(*weft.Server)) *weftServer {
	t.Helper()
	return serveWeft(t, cert, listen(t), nil, mod)
}

// startWeftHTTP3 is startWeft with HTTP/3 on the UDP port of the same number.
func startWeftHTTP3(t *testing.T, cert *certificate, mod func(*weft.Server)) *weftServer {
	t.Helper()
	l, pc := listenBoth(t)
	return serveWeft(t, cert, l, pc, mod)
}

// serveWeft serves TCP on l, and HTTP/3 on pc if it is not nil.
func serveWeft(t *testing.T, cert *certificate, l net.Listener, pc net.PacketConn, mod func(*weft.Server)) *weftServer {
	t.Helper()
	rec := newRecord()
	s := &weft.Server{Handler: weftEcho(rec, false), ErrorLog: log.New(rec, "", 0)}
	if cert != nil {
		s.TLSConfig = &tls.Config{Certificates: []tls.Certificate{cert.Certificate}}
	}
	if mod != nil {
		mod(s)
	}
	var served sync.WaitGroup
	served.Go(func() {
		if cert != nil {
			s.ServeTLS(l, "", "")
		} else {
			s.Serve(l)
		}
	})
	if pc != nil {
		served.Go(func() { s.ServeQUIC(pc) })
	}
	t.Cleanup(func() {
		s.Close()
		served.Wait()
		if t.Failed() {
			t.Logf("the weft server's record:\n%s", rec)
		}
	})
	return &weftServer{port: portOf(l), record: rec}
}

func listen(t *testing.T) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// listenBoth opens a TCP and a UDP port of the same number.
func listenBoth(t *testing.T) (net.Listener, net.PacketConn) {
	t.Helper()
	for range 100 {
		l := listen(t)
		pc, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: portOf(l)})
		if err == nil {
			return l, pc
		}
		l.Close()
	}
	t.Fatal("no port is free for both TCP and UDP")
	return nil, nil
}

func portOf(l net.Listener) int { return l.Addr().(*net.TCPAddr).Port }

// weftEcho is the echo server of doc.go's vocabulary. Where the handler ends the WebSocket by returning, it has to stay.
func weftEcho(rec *record, stay bool) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		q := r.URL.Query()
		c, err := weft.Accept(w, r, &weft.AcceptOptions{
			Subprotocols:       []string{"first", "second"},
			CompressionMode:    compressionMode(q.Get("deflate")),
			InsecureSkipVerify: true, // proxies replace the host
		})
		if err != nil {
			rec.printf("refused id=%s %v", q.Get("id"), err)
			return
		}
		c.SetReadLimit(8 << 20)
		tr := c.Trace()
		e := &echo{c: c, record: rec, id: q.Get("id"), fragments: q.Get("fragments") == "1", over: make(chan struct{})}
		rec.printf("open id=%s version=%s conn=%d stream=%d remote=%s deflate=%q", e.id, tr.Version, tr.ConnID, tr.StreamID, tr.RemoteAddr, tr.Compression)
		if q.Get("api") != "callbacks" {
			e.run()
			return
		}
		c.Handle(e)
		if stay {
			<-e.over
		}
	})
}

// An echo is one WebSocket of the echo server.
type echo struct {
	c         *weft.Conn
	record    *record
	id        string
	fragments bool
	over      chan struct{}
}

func (e *echo) run() {
	defer e.c.CloseNow()
	for {
		typ, p, err := e.c.Read(context.Background())
		if err == nil {
			err = e.answer(typ, p)
		}
		if err != nil {
			e.OnClose(e.c, err)
			return
		}
	}
}

func (e *echo) OnMessage(_ *weft.Conn, typ weft.MessageType, p []byte) { e.answer(typ, p) }

func (e *echo) OnClose(_ *weft.Conn, err error) {
	defer close(e.over)
	if ce, ok := errors.AsType[*weft.CloseError](err); ok {
		// 1005 is what the RFC calls the absence of a code.
		e.record.printf("close id=%s code=%d reason=%q", e.id, ce.Code, ce.Reason)
		return
	}
	e.record.printf("end id=%s %v", e.id, err)
}

func (e *echo) answer(typ weft.MessageType, p []byte) error {
	if c, ok := closeCommand(typ == weft.MessageText, p); ok {
		return e.c.Close(weft.StatusCode(c.code), c.reason)
	}
	if e.fragments {
		third := len(p)/3 + 1
		return writeFragments(context.Background(), e.c, typ, slices.Collect(slices.Chunk(p, third)))
	}
	return e.c.Write(context.Background(), typ, p)
}

// ---- weft with itself: what the conversation says about the conversation

func TestWeftItself(t *testing.T) {
	cert := newCertificate(t)
	srv := startWeftHTTP3(t, cert, nil)
	url := fmt.Sprintf("wss://127.0.0.1:%d", srv.port)
	for _, c := range []struct {
		rung weft.Rung
		want carriage
	}{{weft.H3, overHTTP3}, {weft.Settings, overHTTP2}, {weft.Upgrade, overHTTP1}} {
		t.Run(string(c.rung), func(t *testing.T) {
			k := talk{
				dial: dialWith(newDialer(t, cert, c.rung), c.want), url: url, server: srv.record,
				carried: "version=" + c.want.version, deflate: []string{"takeover", "no-takeover"},
			}
			k.run(t)
		})
	}
}

package weft_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"io"
	"log"
	"maps"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/weftws/weft"
	"github.com/weftws/weft/internal/simnet"
	"github.com/weftws/weft/metrics"
)

// The attacks of docs/security.md, on real sockets of this machine, with TLS. Each is bounded in frames and bytes. Meanwhile a
// bystander on a connection of its own has every message echoed, memory stays under a bound, the attacker is told the right code, and the
// Observer counts it.

// An arena is a server under attack.
type arena struct {
	*testing.T
	server *weft.Server
	addr   string // of TCP, and of UDP if it serves QUIC
	tls    *tls.Config

	secret  atomic.Int32 // requests for /secret
	writers atomic.Int32 // handlers of /large that are at work

	mu     sync.Mutex
	counts map[string]int // by "http2/too-many-resets", "refused/foreign-origin"
	limits map[string]int // those of counts that are limits

	metrics *metrics.Collector
}

// attackCertificate is for all arenas.
var attackCertificate = sync.OnceValue(func() (c struct {
	tls.Certificate
	client *tls.Config
}) {
	cert, roots := simnet.Certificate("localhost")
	c.Certificate, c.client = cert, &tls.Config{RootCAs: roots, ServerName: "localhost"}
	return c
})

// newArena starts a server; mod may change it first. quic: HTTP/3 as well.
func newArena(t *testing.T, quic bool, mod func(*weft.Server)) *arena {
	t.Helper()
	cert := attackCertificate()
	a := &arena{T: t, tls: cert.client, counts: make(map[string]int), limits: make(map[string]int), metrics: metrics.New()}
	a.server = &weft.Server{
		Handler: a.handler(), TLSConfig: &tls.Config{Certificates: []tls.Certificate{cert.Certificate}}, ErrorLog: log.New(io.Discard, "", 0),
	}
	a.server.Options.Observer = weft.JoinObservers(a.metrics.Observer(), &weft.Observer{
		Violation: func(v weft.Violation) { a.count(v.Protocol+"/"+v.Name, v.Limit) },
		Refused:   func(_ context.Context, r weft.Refusal) { a.count("refused/"+r.Err.Name, false) },
	})
	if mod != nil {
		mod(a.server)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	a.addr = l.Addr().String()
	var serving sync.WaitGroup
	serving.Go(func() { a.server.ServeTLS(l, "", "") })
	if quic {
		pc, err := net.ListenPacket("udp", a.addr)
		if err != nil {
			t.Fatal(err)
		}
		serving.Go(func() { a.server.ServeQUIC(pc) })
	}
	wantBuffersBack(t, func(d time.Duration) {
		if d < attackPatience {
			time.Sleep(d)
		}
	})
	t.Cleanup(func() {
		a.server.Close()
		serving.Wait()
		a.checkMetrics()
	})
	return a
}

func (a *arena) count(what string, limit bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.counts[what]++
	if limit {
		a.limits[what]++
	}
}

// wantCount waits until the Observer has been told of what, n times, and of nothing else.
func (a *arena) wantCount(what string, n int) {
	a.Helper()
	if got := a.wantCounted(what, n); len(got) != 1 {
		a.Errorf("the Observer counted %v, want %s alone", got, what)
	}
}

// wantCounted is wantCount where there may be something else. It returns everything.
func (a *arena) wantCounted(what string, n int) (got map[string]int) {
	a.Helper()
	a.await("the count of "+what, func() bool {
		a.mu.Lock()
		defer a.mu.Unlock()
		got = maps.Clone(a.counts)
		return got[what] >= n
	})
	if got[what] != n {
		a.Errorf("the Observer counted %v, want %s: %d", got, what, n)
	}
	return got
}

func (a *arena) wantNoCount() {
	a.Helper()
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.counts) > 0 {
		a.Errorf("the Observer counted %v", a.counts)
	}
}

// await polls for what nobody reports.
func (a *arena) await(what string, done func() bool) {
	a.Helper()
	deadline := time.NewTimer(attackPatience)
	defer deadline.Stop()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !done() {
		select {
		case <-tick.C:
		case <-deadline.C:
			a.Errorf("waited in vain for %s", what)
			return
		}
	}
}

// attackPatience is long, for machines that are busy with something else.
const attackPatience = time.Minute

func (a *arena) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/{$}", func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "hello") })
	mux.HandleFunc("/secret", func(w http.ResponseWriter, r *http.Request) { a.secret.Add(1) })
	mux.HandleFunc("/large", func(w http.ResponseWriter, r *http.Request) {
		a.writers.Add(1)
		defer a.writers.Add(-1)
		piece := make([]byte, 32<<10)
		for range 1 << 12 {
			if _, err := w.Write(piece); err != nil {
				return
			}
		}
	})
	mux.HandleFunc("/ws", echoCallbacks1MiB(nil))
	mux.HandleFunc("/deflate", echoCallbacks1MiB(&weft.AcceptOptions{CompressionMode: weft.CompressionContextTakeover}))
	mux.HandleFunc("/pour", func(w http.ResponseWriter, r *http.Request) {
		if c, err := weft.Accept(w, r, nil); err == nil {
			for c.Write(a.Context(), weft.MessageBinary, make([]byte, 8<<10)) == nil {
			}
		}
	})
	mux.HandleFunc("/pour-other", func(w http.ResponseWriter, r *http.Request) { // with another library than weft
		nc, _, err := w.(http.Hijacker).Hijack()
		if err != nil {
			return
		}
		defer nc.Close()
		io.WriteString(nc, switching101(r))
		for err == nil {
			_, err = nc.Write(bin(strings.Repeat("x", 8<<10)).append(nil, false))
		}
	})
	mux.HandleFunc("/deaf", func(w http.ResponseWriter, r *http.Request) {
		weft.Accept(w, r, nil) // and never reads; the server closes it in the end
	})
	return mux
}

// echoCallbacks1MiB is echoCallbacks with the read limit that is the default.
func echoCallbacks1MiB(opts *weft.AcceptOptions) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		c, err := weft.Accept(w, r, opts)
		if err != nil {
			return
		}
		c.Handle(weft.HandlerFuncs{Message: func(c *weft.Conn, typ weft.MessageType, p []byte) {
			c.Write(context.Background(), typ, p)
		}})
	}
}

// ---- Attackers

// connect opens a TLS connection to the server, from the address of this machine that is given, "": any.
func (a *arena) connect(from string, protocols ...string) *tls.Conn {
	a.Helper()
	c := tls.Client(a.connectTCP(from), a.tlsWith(protocols...))
	if err := c.HandshakeContext(a.Context()); err != nil {
		a.Fatalf("TLS: %v", err)
	}
	return c
}

func (a *arena) tlsWith(protocols ...string) *tls.Config {
	cfg := a.tls.Clone()
	cfg.NextProtos = protocols
	return cfg
}

func (a *arena) connectTCP(from string) net.Conn {
	a.Helper()
	d := net.Dialer{}
	if from != "" {
		d.LocalAddr = &net.TCPAddr{IP: net.ParseIP(from)}
	}
	c, err := d.DialContext(a.Context(), "tcp", a.addr)
	if err != nil {
		if from != "" && strings.Contains(err.Error(), "assign requested address") {
			a.Skipf("this machine has no address %s: %v", from, err)
		}
		a.Fatal(err)
	}
	a.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(2 * attackPatience))
	return c
}

// An h2Attacker is an HTTP/2 client that keeps to no rule. Frames gather in out until flush.
type h2Attacker struct {
	*arena
	nc     net.Conn
	out    bytes.Buffer
	fr     *http2.Framer // writes to out
	enc    *hpack.Encoder
	block  bytes.Buffer
	nextID uint32
	turn   int
	done   chan struct{} // closed when nothing more comes

	seen   sync.Mutex
	goAway string
	resets map[string]int // by code
	status map[string]int
	acks   int  // of PINGs
	ended  bool // a stream, by the server
	// Credit for the connection and for streams.
	window  int64
	windows map[uint32]int64

	data io.Writer // gets what comes in DATA; nil: nobody
}

// attackH2 opens a connection and sends preface, SETTINGS and their ack. deaf: nothing is read until hear.
func (a *arena) attackH2(deaf bool, settings ...http2.Setting) *h2Attacker {
	a.Helper()
	return a.attackH2On(a.connect("", "h2"), deaf, settings...)
}

func (a *arena) attackH2On(nc net.Conn, deaf bool, settings ...http2.Setting) *h2Attacker {
	x := &h2Attacker{arena: a, nc: nc, nextID: 1, done: make(chan struct{}), resets: make(map[string]int), status: make(map[string]int), windows: make(map[uint32]int64)}
	x.fr = http2.NewFramer(&x.out, nil)
	x.fr.AllowIllegalWrites = true
	x.enc = hpack.NewEncoder(&x.block)
	x.out.WriteString(http2.ClientPreface)
	x.fr.WriteSettings(settings...)
	x.fr.WriteSettingsAck()
	x.flush()
	if !deaf {
		x.hear()
	}
	a.Cleanup(func() {
		nc.Close()
		if deaf {
			return
		}
		<-x.done
	})
	return x
}

// hear reads what the server says, in the background.
func (x *h2Attacker) hear() {
	go func() {
		defer close(x.done)
		fr := http2.NewFramer(io.Discard, x.nc)
		dec := hpack.NewDecoder(4096, nil)
		for {
			f, err := fr.ReadFrame()
			if err != nil {
				return
			}
			if d, ok := f.(*http2.DataFrame); ok && x.data != nil {
				x.data.Write(d.Data())
			}
			x.seen.Lock()
			switch f := f.(type) {
			case *http2.GoAwayFrame:
				x.goAway = f.ErrCode.String()
			case *http2.RSTStreamFrame:
				x.resets[f.ErrCode.String()]++
				x.ended = true
			case *http2.DataFrame:
				x.ended = x.ended || f.StreamEnded()
			case *http2.WindowUpdateFrame:
				if f.StreamID == 0 {
					x.window += int64(f.Increment)
				} else {
					x.windows[f.StreamID] += int64(f.Increment)
				}
			case *http2.PingFrame:
				if f.IsAck() {
					x.acks++
				}
			case *http2.HeadersFrame:
				if fields, err := dec.DecodeFull(f.HeaderBlockFragment()); err == nil {
					x.status[value(fields, ":status")]++
				}
			}
			x.seen.Unlock()
		}
	}()
}

// flush writes what has gathered; false: the connection is over.
func (x *h2Attacker) flush() bool {
	_, err := x.nc.Write(x.out.Bytes())
	x.out.Reset()
	select {
	case <-x.done:
		return false
	default:
		return err == nil
	}
}

// sees waits until what the server says makes done true.
func (x *h2Attacker) sees(what string, done func() bool) {
	x.Helper()
	x.await(what, func() bool {
		x.seen.Lock()
		defer x.seen.Unlock()
		return done()
	})
}

// wantGoAway waits for the end of the connection and checks what it was told.
func (x *h2Attacker) wantGoAway(code http2.ErrCode) {
	x.Helper()
	deadline := time.NewTimer(attackPatience)
	defer deadline.Stop()
	select {
	case <-x.done:
	case <-deadline.C:
		x.Error("the server did not end the connection")
		return
	}
	if x.goAway != code.String() {
		x.Errorf("the attacker was told %q, want GOAWAY with %v", x.goAway, code)
	}
}

// request sends HEADERS on a new stream. Fields are "name: value".
func (x *h2Attacker) request(end bool, fields ...string) uint32 {
	id := x.nextID
	x.nextID += 2
	x.fr.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: x.encode(fields...), EndHeaders: true, EndStream: end})
	return id
}

func (x *h2Attacker) encode(fields ...string) []byte {
	x.block.Reset()
	for _, f := range fields {
		i := strings.Index(f[1:], ":") + 1
		x.enc.WriteField(hpack.HeaderField{Name: f[:i], Value: strings.TrimSpace(f[i+1:])})
	}
	return x.block.Bytes()
}

// get is an ordinary request; for its body, if end is false, there is nothing.
func (x *h2Attacker) get(path string, end bool) uint32 {
	return x.request(end, ":method: GET", ":scheme: https", ":path: "+path, ":authority: localhost")
}

// open asks for a WebSocket.
func (x *h2Attacker) open(path string, more ...string) uint32 {
	return x.request(false, append([]string{":method: CONNECT", ":protocol: websocket", ":scheme: https", ":path: " + path, ":authority: localhost",
		"sec-websocket-version: 13"}, more...)...)
}

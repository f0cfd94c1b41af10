package lab

import (
	"slices"
	"time"

	"github.com/weftws/weft/internal/h2"
)

// Features are what a server can do beside HTTP/1.1 and its Upgrade.
type Features struct {
	HTTP2   bool // ALPN h2
	Connect bool // Extended CONNECT on it, and says so (RFC 8441, Section 3)
	H21     bool // ALPN h2.1
	Token   bool // ALPN wsoverh2
	Frame   bool // WS_OPEN

	HTTP3 bool // with Extended CONNECT (RFC 9220)
	Early bool // a handshake of WebSocket in 0-RTT data is answered as any, else with 425 (RFC 8470, Section 5.2)
}

// The two kinds of server: one that knows everything, and one that knows what was known before.
var (
	newServer = Features{HTTP2: true, Connect: true, H21: true, Token: true, Frame: true, HTTP3: true, Early: true}
	oldServer = Features{HTTP2: true}
)

// choose selects the protocol of a new connection, "" for none. RFC 7301, Section 3.2.
func (f Features) choose(offer []string) string {
	for _, p := range []struct {
		name string
		has  bool
	}{{"wsoverh2", f.Token}, {"h2.1", f.H21}, {"h2", f.HTTP2}, {"http/1.1", true}} {
		if p.has && slices.Contains(offer, p.name) {
			return p.name
		}
	}
	return ""
}

// connectRules say by ALPN protocol when Extended CONNECT may be used.
var connectRules = map[string]h2.ConnectRule{"h2": h2.Announced, "h2.1": h2.UnlessOff, "wsoverh2": h2.Implied}

// A link is an HTTP/2 connection: an engine at each end, and the bytes between them that are on their way.
type link struct {
	clock *clock
	delay time.Duration // one way
	ends  [2]end        // client, server

	noFrames bool // a WS_OPEN was ignored
}

// An end is one engine.
type end struct {
	engine *h2.Conn
	begun  bool
	rest   []byte // arrived, and the engine wants more of it first
	recv   func(*h2.Event) (then func())
}

const (
	client = 0
	server = 1
)

// newLink returns a connection of which both ends are silent. The client's TLS is done now, the server's when the client's last
// message of it has arrived, and then the server sends its SETTINGS. The client begins with its first flush.
func newLink(c *clock, delay time.Duration, rule h2.ConnectRule, f Features) *link {
	l := &link{clock: c, delay: delay}
	l.ends[client].engine = h2.New(c.now, h2.Config{Side: h2.Client, ConnectRule: rule})
	l.ends[server].engine = h2.New(c.now.Add(delay), h2.Config{
		Side: h2.Server, ConnectRule: rule, ConnectProtocol: f.Connect || rule != h2.Announced, WSFrame: f.Frame,
	})
	l.ends[server].recv = l.serve
	c.after(delay, func() { l.flush(server) })
	return l
}

// flush sends what the engine of one end has to say.
func (l *link) flush(side int) {
	e := &l.ends[side]
	e.begun = true
	for e.engine.HasOutput() {
		b := e.engine.AppendOutput(nil, 1<<20)
		l.clock.after(l.delay, func() { l.arrive(1-side, b) })
	}
}

// arrive hands bytes to the engine of one end, and what it makes of them to its owner.
func (l *link) arrive(side int, b []byte) {
	e := &l.ends[side]
	e.rest = append(e.rest, b...)
	e.rest = e.rest[e.engine.Recv(l.clock.now, e.rest):]
	var then []func()
	for ev := e.engine.NextEvent(); ev != nil; ev = e.engine.NextEvent() {
		if f := e.recv(ev); f != nil {
			then = append(then, f)
		}
	}
	for _, f := range then {
		f()
	}
	if e.begun {
		l.flush(side)
	}
}

// serve is the server's application: it opens every WebSocket that it is asked for.
func (l *link) serve(ev *h2.Event) func() {
	engine, s := l.ends[server].engine, ev.Stream
	if ev.Kind != h2.EventHeaders || ev.Pseudo.Protocol != "websocket" {
		return nil
	}
	return func() { engine.SendHeaders(s, h2.Pseudo{Status: 200}, nil, false) }
}

// open sends the handshake of a WebSocket as the client, in an Extended CONNECT or, with frame, in a WS_OPEN.
func (l *link) open(frame bool) (*h2.Stream, error) {
	p := h2.Pseudo{Method: "CONNECT", Protocol: "websocket", Scheme: "https", Authority: "origin.example", Path: "/"}
	fields := []h2.Field{{Name: "sec-websocket-version", Value: "13"}}
	engine := l.ends[client].engine
	if frame {
		return engine.OpenFrame(l.clock.now, p, fields, [8]byte{'n', 'o', 'n', 'c', 'e', byte(engine.OpenStreams())})
	}
	return engine.Open(l.clock.now, p, fields, false)
}

package weft

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/weftws/weft/internal/h2"
	"github.com/weftws/weft/internal/h2/h2net"
	"github.com/weftws/weft/internal/h2/wire"
	"github.com/weftws/weft/internal/h3"
	"github.com/weftws/weft/internal/proto"
	"github.com/weftws/weft/internal/transport"
	"github.com/weftws/weft/negotiate"
)

// An Observer is told how WebSockets come and go, for metrics, logs and traces; never of a single message: [Conn.Stats] counts
// those. Any field may be nil. The functions are called on the goroutine to which it happens, several at the same time, and must not
// block. It is set in a [Dialer], in [ServerOptions] or in [AcceptOptions]; [JoinObservers] makes one out of several.
//
// WebSockets whose frames are another library's ([Transport], [Dialer.NetDialTLSContext], [Bridge]) are dialed, but neither opened nor
// closed: weft does not look into them.
type Observer struct {
	// DialStart is told that a Dial begins. It may add to header, which goes out with every request of the Dial, and returns ctx, or a
	// context made from it: DialDone and Opened get that one, as does Dialer.NetDial. url has no query. Not told: Dials whose URL or
	// options are wrong.
	DialStart func(ctx context.Context, url string, header http.Header) context.Context
	// DialDone is told what came of it, before Opened.
	DialDone func(ctx context.Context, d DialReport)
	// Opened is told of each WebSocket, before anybody reads from it. ctx is the Dial's or the request's.
	Opened func(ctx context.Context, o Opened)
	// Refused is told of each request that Accept did not make a WebSocket of, of those that were one too many for another library's
	// ([IPLimits]), and of those for another :protocol than websocket, which a server answers 501 before any handler sees them.
	Refused func(ctx context.Context, r Refusal)
	// Closed is told the end of each WebSocket that Opened was told of, once; with a Handler, before OnClose.
	Closed func(Closed)
	// Violation is told each rule that a peer broke and each limit that it exceeded: on a WebSocket, on a server's HTTP/2
	// and HTTP/3 connections, in a [Server]'s handshakes and requests, and by a client address ([IPLimits]). Of WebSockets that are another library's it
	// is told what costs them MaxMemory.
	Violation func(Violation)
}

// A DialReport says what came of a Dial.
type DialReport struct {
	URL      string // without its query
	Start    time.Time
	Duration time.Duration
	Verdict  string // "open", or the class of the failure: "transport", "version", "application" ... see package negotiate
	Trace    Trace  // of a Dial that failed: URL, RoundTrips and Attempts
	Err      error  // a *DialError, or nil
}

// Opened says that a WebSocket is open.
type Opened struct {
	Conn   *Conn
	Side   string // which we are: "client" or "server"
	Target string // what was dialed or requested, without a query: "wss://example.com/chat", "/chat"
}

// A Refusal is a request that is no WebSocket now.
type Refusal struct {
	Target     string // the path that was requested
	Version    string // of HTTP, as in http.Request.Proto
	RemoteAddr string
	Err        *HandshakeError
}

// Closed says how a WebSocket ended.
type Closed struct {
	Conn   *Conn
	Side   string // as in Opened
	Target string

	// By is who began it: "local", "peer", or "network" if the connection was lost without a word; "" where weft cannot know, and
	// has counted nothing: package gorilla took the WebSocket over.
	By string
	// Sent and Received are the codes of our Close frame and the peer's; 0: there was none. Reason is that of the one who began.
	Sent, Received StatusCode
	Reason         string
	// Reset is the HTTP/2 error code of the RST_STREAM that ended it, "CANCEL"; "": none did.
	Reset string
	// Err is what Read returned last, or would have; nil where By is "".
	Err error

	Start    time.Time // when it was opened
	Duration time.Duration
	Stats    Stats
}

// Code is the code of the Close frame that began the end; StatusAbnormalClosure if none did, 0 if it is not known. RFC 6455, Section 7.1.5,
// but that our own counts too.
func (c Closed) Code() StatusCode {
	switch {
	case c.By == "":
		return 0
	case c.By == byPeer && c.Received != 0:
		return c.Received
	case c.Sent != 0:
		return c.Sent
	}
	return StatusAbnormalClosure
}

const (
	byLocal   = "local"
	byPeer    = "peer"
	byNetwork = "network"
)

// A Violation is a rule that a peer broke or a limit of ours that it exceeded.
type Violation struct {
	Conn       *Conn  // nil but for those of a WebSocket
	Side       string // who broke it: "client" or "server"
	Protocol   string // "websocket", "http2"; for limits of connections and requests also "tcp", "tls", "quic", "http1" and "http3"
	Name       string // in kebab-case: "unmasked-frame", "too-many-resets"
	Limit      bool   // it is a limit of ours: there are finitely many names of either kind
	Section    string // "RFC 6455, Section 5.1"
	Detail     string // what happened, in words
	RemoteAddr string
}

// Stats counts what a WebSocket has carried: messages, and their bytes as the application sees them, before compressing and after
// inflating. Messages that are under way count when they have ended, their bytes as they pass.
type Stats struct {
	MessagesIn, BytesIn   int64
	MessagesOut, BytesOut int64
}

// Stats returns the counters of c. It does not wait for who reads or writes: the message that a Handler is being given, and
// those that came together with it, are not counted yet.
func (c *Conn) Stats() Stats {
	in, out := c.reading.sum(), c.writing.sum()
	return Stats{MessagesIn: in.messages, BytesIn: in.bytes, MessagesOut: out.messages, BytesOut: out.bytes}
}

// JoinObservers returns an Observer that tells each of list in turn; a nil is left out. DialStart's contexts are chained.
func JoinObservers(list ...*Observer) *Observer {
	list = slices.DeleteFunc(slices.Clone(list), func(o *Observer) bool { return o == nil })
	if len(list) == 1 {
		return list[0]
	}
	return &Observer{
		DialStart: func(ctx context.Context, url string, h http.Header) context.Context {
			for _, o := range list {
				ctx = o.dialStart(ctx, url, h)
			}
			return ctx
		},
		DialDone: join(list, func(o *Observer) func(context.Context, DialReport) { return o.DialDone }),
		Opened:   join(list, func(o *Observer) func(context.Context, Opened) { return o.Opened }),
		Refused:  join(list, func(o *Observer) func(context.Context, Refusal) { return o.Refused }),
		Closed: func(c Closed) {
			for _, o := range list {
				if o.Closed != nil {
					o.Closed(c)
				}
			}
		},
		Violation: func(v Violation) {
			for _, o := range list {
				o.violation(v)
			}
		},
	}
}

// join makes one function out of that of each Observer.
func join[T any](list []*Observer, field func(*Observer) func(context.Context, T)) func(context.Context, T) {
	return func(ctx context.Context, t T) {
		for _, o := range list {
			if f := field(o); f != nil {
				f(ctx, t)
			}
		}
	}
}

func (o *Observer) dialStart(ctx context.Context, url string, h http.Header) context.Context {
	if o == nil || o.DialStart == nil {
		return ctx
	}
	return o.DialStart(ctx, url, h)
}

func (o *Observer) violation(v Violation) {
	if o != nil && o.Violation != nil {
		o.Violation(v)
	}
}

// h2Violation tells what a peer did at the level of HTTP/2.
func (o *Observer) h2Violation(remote net.Addr, v *h2.Violation, detail string) {
	o.violation(Violation{
		Side: "client", Protocol: "http2", Name: v.Name, Section: v.Section, Detail: detail, RemoteAddr: remote.String(),
		Limit: v.Code == wire.EnhanceYourCalm || v.Code == wire.RefusedStream,
	})
}

// ipViolation tells that a client address has as many connections as it may.
func (o *Observer) ipViolation(remote net.Addr, protocol string, k ipKind, limit int) {
	o.violation(Violation{
		Side: "client", Protocol: protocol, Name: "too-many-" + k.String(), Limit: true,
		Detail: fmt.Sprintf("client's address has %d %v, as many as it may", limit, k), RemoteAddr: remote.String(),
	})
}

// observeStart tells that r begins. The context is r's from then on.
func (r *race) observeStart(ctx context.Context) context.Context {
	if r.d.Observer == nil {
		return ctx
	}
	return r.d.Observer.dialStart(ctx, targetOf(r.url), r.header)
}

// observeEnd tells what came of r, which has ended.
func (r *race) observeEnd() {
	o := r.d.Observer
	if o == nil {
		return
	}
	target := targetOf(r.url)
	if o.DialDone != nil {
		d := DialReport{URL: target, Start: r.start, Duration: time.Since(r.start), Verdict: r.verdict, Err: r.err}
		switch {
		case r.conn != nil:
			d.Trace = r.conn.Trace()
		case r.tunnel != nil:
			d.Trace = r.tunnel.Trace()
		default:
			d.Trace = Trace{URL: r.url.String(), RoundTrips: r.machine.RoundTrips(), Attempts: r.account()}
		}
		if r.err == nil {
			d.Verdict = negotiate.VerdictOpen
		}
		o.DialDone(r.ctx, d)
	}
	if r.conn != nil {
		r.conn.observeOpen(r.ctx, target)
	}
}

// targetOf is u without what may be secret.
func targetOf(u *url.URL) string {
	return (&url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path, RawPath: u.RawPath}).String()
}

// observe tells what Accept made of r.
func (o *AcceptOptions) observe(r *http.Request, c *Conn, err error) {
	if c != nil {
		c.observeOpen(r.Context(), r.URL.Path)
		return
	}
	he, ok := errors.AsType[*HandshakeError](err)
	if !ok {
		return
	}
	ob := o.observer(registryOf(r))
	if x, ok := transport.AcceptorFrom(r.Context()).(*crossing); ok {
		ob.refused(x, he)
	} else {
		ob.refusedRequest(r, r.Proto, he)
	}
}

// refused tells that x's request is no WebSocket.
func (o *Observer) refused(x *crossing, err *HandshakeError) {
	version := x.r.Proto
	switch { // x has changed it
	case x.http3:
		version = "HTTP/3.0"
	case x.front:
		version = "HTTP/2.0"
	}
	o.refusedRequest(x.r, version, err)
}

// refusedProtocol tells that r, an Extended CONNECT for protocol, was answered 501 before any handler saw it.
func (o *Observer) refusedProtocol(r *http.Request, protocol string) {
	version, section := "HTTP/2.0", "RFC 8441, Section 4"
	if r.ProtoMajor == 3 {
		version, section = "HTTP/3.0", "RFC 9220, Section 3"
	}
	o.refusedRequest(r, version, &HandshakeError{
		StatusCode: http.StatusNotImplemented, Name: "unknown-protocol", Section: section,
		Detail: fmt.Sprintf("client sent :protocol %q, which this server does not speak", protocol[:min(len(protocol), maxQuotedProtocol)]),
	})
}

const maxQuotedProtocol = 64 // bytes

func (o *Observer) refusedRequest(r *http.Request, version string, err *HandshakeError) {
	if o == nil || o.Refused == nil {
		return
	}
	if h3.IsConnect(r) {
		version = "HTTP/3.0" // quic-go shows the :protocol
	}
	o.Refused(r.Context(), Refusal{Target: r.URL.Path, Version: version, RemoteAddr: r.RemoteAddr, Err: err})
}

// observer is o's, else that of the server.
func (o *AcceptOptions) observer(g *registry) *Observer {
	if o.Observer == nil && g != nil {
		return g.observer
	}
	return o.Observer
}

// An observation is what is told about a Conn in the end. Guarded by Conn.mu. Its methods do nothing on nil.
type observation struct {
	start  time.Time
	target string
	opened bool // Opened has been told
	told   bool // Closed has been told

	detached bool // weft has no part in what is sent and received

	excused        bool // the peer's Close frame may have come while a callback kept us from reading it
	peerFirst      bool
	sent, received StatusCode
	reason         string
}

func (ob *observation) recvClose(ev proto.Event, closeSent bool) {
	if ob == nil {
		return
	}
	ob.received = StatusCode(ev.Code)
	if !closeSent {
		ob.peerFirst, ob.reason = true, ev.Reason
	}
}

func (ob *observation) sendClose(code StatusCode, reason string) {
	if ob == nil {
		return
	}
	ob.sent = code
	if !ob.peerFirst {
		ob.reason = reason
	}
}

// observeOpen tells that c is open.
func (c *Conn) observeOpen(ctx context.Context, target string) {
	o := c.opt.observer
	if o == nil {
		return
	}
	if o.Opened != nil {
		o.Opened(ctx, Opened{Conn: c, Side: c.opt.side.String(), Target: target})
	}
	c.mu.Lock()
	ob := c.observed()
	ob.opened, ob.target = true, target
	over := c.finished && !c.handled.Load() && !ob.detached
	c.mu.Unlock()
	if over {
		c.observeClosed()
	}
}

// observeClosed tells the end of c, once: c.err is set. Where there is a Handler, it is called when the last message has been counted.
func (c *Conn) observeClosed() {
	c.mu.Lock()
	ob := c.observed()
	if ob == nil || !ob.opened || ob.told {
		c.mu.Unlock()
		return
	}
	ob.told = true
	report := Closed{
		Conn: c, Side: c.opt.side.String(), Target: ob.target, Sent: ob.sent, Received: ob.received, Reason: ob.reason,
		Err: c.err, Start: ob.start, Duration: time.Since(ob.start),
	}
	report.By, report.Reset = endedBy(c.err)
	switch {
	case ob.peerFirst:
		report.By = byPeer
	case ob.sent != 0:
		report.By = byLocal
	case ob.detached:
		report.By, report.Err = "", nil
	}
	excused := ob.excused
	c.mu.Unlock()
	report.Stats = c.Stats()
	o := c.opt.observer
	if v := c.violationOf(report.Err, excused); v.Name != "" {
		o.violation(v)
	}
	if o.Closed != nil {
		o.Closed(report)
	}
}

// violationOf is what the peer did wrong where c ended with err; without a Name: nothing, or a callback excuses it.
func (c *Conn) violationOf(err error, excused bool) (v Violation) {
	if errors.Is(err, transport.ErrStalled) {
		v = Violation{Name: "write-timeout", Limit: true, Detail: err.Error()}
	} else if e, ok := errors.AsType[noCloseError](err); ok && !excused {
		v = Violation{Name: "close-timeout", Limit: true, Section: "RFC 6455, Section 5.5.1", Detail: e.Error()}
	} else if e, ok := errors.AsType[*ProtocolError](err); ok {
		v = Violation{Name: e.Name, Section: e.Section, Detail: e.Detail}
		v.Limit = e.Code == StatusMessageTooBig || e.Code == StatusPolicyViolation || e.Code == StatusTryAgainLater
	} else {
		return v
	}
	v.Conn, v.Side, v.Protocol, v.RemoteAddr = c, c.peerName(), "websocket", addrOr(c.stream.Info().RemoteAddr).String()
	return v
}

// excuse notes that a callback has returned to a Conn that is closing.
func (c *Conn) excuse() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if ob := c.observed(); ob != nil && c.finished {
		ob.excused = true
	}
}

// observeDetached tells the end of c, which is somebody else's now.
func (c *Conn) observeDetached() {
	<-c.stream.Done()
	c.observeClosed()
}

// endedBy says who ended a WebSocket with err, if no Close frame says otherwise, and by which RST_STREAM.
func endedBy(err error) (by, reset string) {
	if se, ok := errors.AsType[*h2net.StreamError](err); ok {
		by, reset = byLocal, se.Code.String()
		if se.Initiator == h2.Peer {
			by = byPeer
		}
		return by, reset
	}
	if ce, ok := errors.AsType[*h2net.ConnError](err); ok && ce.GoAway {
		if ce.Initiator == h2.Peer {
			return byPeer, ""
		}
		return byLocal, ""
	}
	switch {
	case isClosed(err):
		return byLocal, ""
	case errors.Is(err, io.EOF):
		return byPeer, ""
	}
	return byNetwork, ""
}

// traffic counts what goes one way.
type traffic struct{ messages, bytes int64 }

func (t *traffic) add(n int, last bool) {
	t.bytes += int64(n)
	if last {
		t.messages++
	}
}

// countReceived counts what ev delivers. Called with reading held.
func (c *Conn) countReceived(ev *proto.Event) {
	if ev.Kind == proto.Message || ev.Kind == proto.Chunk {
		c.reading.fresh.add(len(ev.Payload), ev.Kind == proto.Message || ev.Last)
	}
}

// countSent counts n bytes of a message, or its end. Called with writing held.
func (c *Conn) countSent(n int, last bool) {
	c.writing.fresh.add(n, last)
	if !last {
		c.writing.settle() // whoever writes the message may hold the gate for long
	}
}

package probe

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/weftws/weft/internal/altsvc"
	"github.com/weftws/weft/internal/h3"
	"github.com/weftws/weft/internal/handshake"
	"github.com/weftws/weft/internal/netdial"
	"github.com/weftws/weft/internal/transport"
	"github.com/weftws/weft/negotiate"
)

// askH3 waits for SETTINGS on a connection of QUIC, then sends an Extended CONNECT (RFC 9220).
func (p *prober) askH3(x *exchange) {
	switch {
	case !p.report.secure:
		x.conclude(NotAsked, "there is no QUIC without TLS")
		return
	case p.opt.Proxy != nil:
		x.conclude(NotAsked, "QUIC does not go through a proxy")
		return
	}
	c := x.http3()
	if c == nil {
		return
	}
	defer c.cc.Close()
	if !c.awaitSettings() {
		return
	}
	if !c.cc.State().ConnectProtocol {
		c.conclude(classVersion, "%s", noFlag)
		return
	}
	c.connect()
}

// An h3Place is where HTTP/3 is asked for, and what says so.
type h3Place struct {
	addr  string
	named string // "Alt-Svc", "HTTPS record"; "": nothing does
}

// http3Place is what a response has named, else an HTTPS record, else the origin's own port.
//
// Choice: one place and no second, so that a network without UDP is waited for once.
func (x *exchange) http3Place() h3Place {
	p := x.p
	for _, value := range p.report.altSvc {
		for _, o := range altsvc.Parse(value).Offers {
			if o.ALPN == string(negotiate.H3) {
				return h3Place{o.Addr(p.url.Hostname()), "Alt-Svc"}
			}
		}
	}
	if addr := x.http3Record(); addr != "" {
		return h3Place{addr, "HTTPS record"}
	}
	return h3Place{p.addr, ""}
}

// http3Record asks for HTTPS records, and returns the address that the best of them names for HTTP/3.
func (x *exchange) http3Record() (addr string) {
	p := x.p
	if p.opt.Resolver == nil {
		return ""
	}
	ctx, cancel := context.WithDeadline(x.ctx, x.part(0.2))
	defer cancel()
	host, port, _ := net.SplitHostPort(p.addr)
	start := time.Now()
	records, err := p.opt.Resolver.LookupHTTPS(ctx, host, port)
	switch {
	case err != nil:
		x.remark("HTTPS record: %v", err)
	case len(records) == 0:
		return "" // an address, say, which nobody was asked for
	}
	x.span("resolve", start, err == nil)
	for _, r := range records {
		if r.Priority > 0 && slices.Contains(r.ALPN, string(negotiate.H3)) {
			if r.Port != 0 {
				port = strconv.Itoa(int(r.Port))
			}
			addr = net.JoinHostPort(cmp.Or(r.Target, host), port)
			x.remark("HTTPS record: h3 at %s", addr)
			return addr
		}
	}
	if err == nil {
		x.remark("HTTPS record: none for h3")
	}
	return ""
}

// An http3Conn is a client's end of an HTTP/3 connection.
type http3Conn struct {
	*exchange
	cc *h3.ClientConn
}

// http3 makes a connection of QUIC. nil: x has its verdict.
func (x *exchange) http3() *http3Conn {
	x.roundTrips = 0
	p, place := x.p, x.http3Place()
	p.report.http3 = place
	if place.named != "" {
		x.remark("%s names h3 at %s", place.named, place.addr)
	}
	// What nothing names is not waited for so long: most servers have no HTTP/3.
	patience := x.part(0.4)
	if place.named != "" {
		patience = x.part(1)
	}
	d := &netdial.Dialer{NetDialUDP: p.opt.NetDialUDP}
	if d.NetDialUDP == nil {
		d.NetDialUDP = dialUDP
	}
	socket, err := d.UDP(x.ctx, place.addr, func(s netdial.Step) { x.step(s, s.Detail) })
	if err != nil {
		x.remark("%v", err)
		x.failed(err)
		return nil
	}
	cfg := p.opt.TLSConfig.Clone()
	if cfg == nil {
		cfg = new(tls.Config)
	}
	if cfg.ServerName == "" {
		cfg.ServerName = p.url.Hostname()
	}
	start := time.Now()
	cc, err := h3.Dial(x.ctx, socket.PacketConn, socket.Remote, h3.DialOptions{TLS: cfg, HandshakeTimeout: time.Until(patience)})
	x.span("quic", start, err == nil)
	if err != nil {
		x.remark("quic: %v", err)
		x.failedQUIC(err, place.addr)
		return nil
	}
	x.release = append(x.release, context.AfterFunc(x.run, func() { cc.Close() }))
	x.roundTrips, x.alpn = 1, string(negotiate.H3)
	state := cc.ConnectionState()
	version, certificate := describeTLS(&state)
	x.remark("quic: %v, %s, chose h3", cc.RemoteAddr(), version)
	p.report.spoken = true
	if !p.report.Reached {
		p.report.Reached, p.report.TLS, p.report.Certificate = true, version, certificate
	}
	return &http3Conn{x, cc}
}

// dialUDP opens a socket that is connected: it hears of it at once (ICMP) where nobody listens.
func dialUDP(ctx context.Context, addr string) (net.PacketConn, net.Addr, error) {
	nc, err := new(net.Dialer).DialContext(ctx, "udp", addr)
	if err != nil {
		return nil, nil, err
	}
	return connectedUDP{nc.(*net.UDPConn)}, nc.RemoteAddr(), nil
}

type connectedUDP struct{ *net.UDPConn }

// WriteTo implements net.PacketConn for the one address that there is.
func (c connectedUDP) WriteTo(p []byte, _ net.Addr) (int, error) { return c.Write(p) }

// failedQUIC concludes from a connection of QUIC that could not be made.
func (x *exchange) failedQUIC(err error, addr string) {
	e, ok := errors.AsType[*h3.ConnError](err)
	switch {
	case !ok:
		x.failed(err)
	case errors.Is(err, syscall.ECONNREFUSED):
		x.conclude(Absent, "nobody listens on UDP %s", addr)
	case e.OtherProtocol():
		x.conclude(classVersion, "QUIC is spoken on UDP %s, and not HTTP/3: %v", addr, err)
	case e.Timeout && !e.Heard:
		x.conclude(classSilent, "nothing answers on UDP %s", addr)
	case e.Timeout:
		x.conclude(classSilent, "%v", err)
	default:
		x.conclude(Verdict(negotiate.Transport), "%v", err)
	}
}

// awaitSettings waits for the server's SETTINGS. false: x has its verdict.
func (c *http3Conn) awaitSettings() bool {
	start := time.Now()
	select {
	case <-c.cc.Settings():
	case <-c.ctx.Done():
	}
	came := c.cc.State().SettingsReceived
	if waited := time.Since(start); waited > sameFlight || !came {
		c.span("settings", start, came)
		// A server may send them with the end of the handshake, and most do.
		if came && waited > c.cc.RTT()/2 {
			c.roundTrips++
		}
	}
	if came {
		c.note("<- ", c.cc.SettingsText())
		return true
	}
	c.conclude(classSilent, "no SETTINGS from the server: %s", cmp.Or(errorWords(c.cc.Err()), "silence"))
	return false
}

// sameFlight is how much later a machine, and no network, shows what came in one flight.
const sameFlight = 10 * time.Millisecond

func errorWords(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// connect opens a WebSocket, and talks a little.
func (c *http3Conn) connect() {
	p := c.p
	req := transport.ConnectRequest{Scheme: "https", Authority: p.authority, Path: p.requestURI(), Header: p.header.Clone()}
	handshake.SetRequest(req.Header, handshake.Offer{}, "") // checked before
	c.note("-> ", "HEADERS stream=0\n"+fieldLines([][2]string{
		{":method", http.MethodConnect}, {":protocol", "websocket"}, {":scheme", req.Scheme}, {":authority", req.Authority}, {":path", req.Path},
	}, req.Header))
	start := time.Now()
	call, err := c.cc.OpenConnect(req)
	var res *http.Response
	if err == nil {
		res, err = call.Response(c.ctx)
	}
	c.span("request", start, err == nil)
	if err != nil {
		c.remark("%v", err)
		c.lost(err)
		return
	}
	defer res.Body.Close()
	c.roundTrips++
	c.note("<- ", "HEADERS stream=0\n"+fieldLines([][2]string{{":status", strconv.Itoa(res.StatusCode)}}, res.Header))
	p.saw(res.Header)
	if res.StatusCode/100 != 2 {
		c.conclude(ofStatus(res.StatusCode, negotiate.H3), "server answered %s although it supports this", statusWords(res.StatusCode))
		return
	}
	if _, err := handshake.CheckResponse(res.StatusCode, res.Header, handshake.Offer{}, ""); err != nil {
		c.conclude(classHandshake, "%s: %v", statusWords(res.StatusCode), err)
		return
	}
	if call.Ended() {
		c.conclude(classHandshake, "%s and the stream's end at once", statusWords(res.StatusCode))
		return
	}
	c.conclude(Open, "%s", statusWords(res.StatusCode))
	c.converse(call.Stream())
}

// fieldLines are the lines of a header section in the notation of transcripts.
func fieldLines(pseudo [][2]string, h http.Header) string {
	var b strings.Builder
	for _, f := range pseudo {
		fmt.Fprintf(&b, "  %s: %s\n", f[0], f[1])
	}
	for _, name := range slices.Sorted(maps.Keys(h)) {
		for _, v := range h[name] {
			fmt.Fprintf(&b, "  %s: %s\n", strings.ToLower(name), v)
		}
	}
	return b.String()
}

// lost concludes from a CONNECT that got no response.
func (c *http3Conn) lost(err error) {
	if e, ok := errors.AsType[*h3.StreamError](err); ok {
		c.roundTrips++
		c.conclude(ofH3Reset(e), "%v", err)
		return
	}
	switch {
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		c.conclude(classSilent, "no answer to CONNECT within %v", c.p.opt.Timeout)
	case errors.Is(err, h3.ErrNoSlot):
		c.conclude(classRefused, "%v", err)
	default:
		c.conclude(classSilent, "connection ended before the answer: %v", err)
	}
}

// ofH3Reset is the verdict for the stream's end where the answer should be.
func ofH3Reset(e *h3.StreamError) Verdict {
	// RFC 9114, Section 8.1.
	const generalProtocolError, messageError, versionFallback = 0x101, 0x10e, 0x110
	switch {
	case e.Unprocessed:
		return classRefused
	case e.Local: // what came is no response
		return classHandshake
	case e.Code == generalProtocolError, e.Code == messageError, e.Code == versionFallback:
		return classVersion
	}
	return Verdict(negotiate.Ambiguous)
}

// converse is http2Conn.converse on a stream of HTTP/3.
func (c *http3Conn) converse(st transport.Stream) {
	t := &talk{}
	total := 0
	say := func(what string, b []byte, done func() bool) {
		if t.fault != "" || t.closed {
			return
		}
		start := time.Now()
		st.SetReadDeadline(c.part(0.25))
		c.remark("the WebSocket is open: a masked %s", what)
		c.note("-> ", dataLine(b))
		_, err := st.Send(b, nil)
		for err == nil && !done() && t.fault == "" && !t.closed && total < maxReceived {
			var p []byte
			if p, err = st.Receive(); len(p) > 0 {
				total += len(p)
				c.note("<- ", dataLine(p))
				t.take(p)
			}
		}
		if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
			c.remark("%s", endWords(err))
		}
		c.span("check", start, done())
	}
	say("Ping", t.ping(), func() bool { return t.ponged })
	say("Close", t.close(), func() bool { return t.closed })
	switch {
	case t.fault != "":
		c.result.Verdict, c.result.Reason = classHandshake, "server's first bytes are no WebSocket: "+t.fault
	case !t.ponged:
		c.add("no Pong came")
	}
	st.Close(0)
}

// dataLine is a DATA frame in the notation of transcripts.
func dataLine(b []byte) string {
	const shown = 64
	return fmt.Sprintf("DATA stream=0 len=%d %+q", len(b), b[:min(len(b), shown)])
}

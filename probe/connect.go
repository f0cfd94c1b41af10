package probe

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/weftws/weft/internal/frame"
	"github.com/weftws/weft/internal/h2/wire"
	"github.com/weftws/weft/internal/handshake"
	"github.com/weftws/weft/negotiate"
)

// Verdicts that are classes of failures.
const (
	classVersion   = Verdict(negotiate.Version)
	classKilled    = Verdict(negotiate.Killed)
	classRefused   = Verdict(negotiate.Refused)
	classSilent    = Verdict(negotiate.Silent)
	classHandshake = Verdict(negotiate.Handshake)
)

// A grant is what makes a 2xx to an Extended CONNECT count.
type grant int

const (
	flagged grant = iota // ENABLE_CONNECT_PROTOCOL = 1 in the first SETTINGS (RFC 8441, Section 3)
	unless0              // no 0 in the first SETTINGS: ALPN h2.1
	implied              // by ALPN wsoverh2 or WS_ACCEPT
)

const noFlag = "SETTINGS without ENABLE_CONNECT_PROTOCOL = 1"

// judge gives the verdict on the CONNECT of stream id, for which the answer has been waited for. assumed: it was sent before the
// server's SETTINGS were there.
func (c *http2Conn) judge(id uint32, g grant, assumed bool) {
	a, came := c.answer(id), c.came(id)
	granted := g == implied || g == flagged && c.flag == "1" || g == unless0 && (c.flag == "absent" || c.flag == "1")
	switch {
	case c.goAway != nil && *c.goAway == wire.NoError && c.lastID < id && a.status == 0:
		c.conclude(classRefused, "GOAWAY NO_ERROR that leaves out stream %d", id)
	case c.over() && a.status == 0 && assumed:
		c.conclude(classKilled, "server ended the connection over an assumed CONNECT: %s", came)
	case c.over() && a.status == 0:
		c.conclude(classSilent, "connection ended before the answer: %s", came)
	case !c.settings:
		c.conclude(classSilent, "no SETTINGS from the server; CONNECT: %s", came)
	case c.flag != "absent" && c.flag != "0" && c.flag != "1", g == implied && c.flag == "0":
		c.conclude(classHandshake, "server sent ENABLE_CONNECT_PROTOCOL = %s", c.flag)
	case !granted && a.status/100 == 2:
		c.conclude(FalseAccept, "%s, and yet CONNECT: %s", c.noGrant(g), came)
	case !granted:
		c.conclude(classVersion, "%s; CONNECT: %s", c.noGrant(g), came)
	case a.status/100 == 2:
		c.judgeSuccess(id)
	case a.status != 0:
		c.conclude(ofStatus(a.status, negotiate.Settings), "server answered %s although it supports this", statusWords(a.status))
	case a.reset:
		c.conclude(ofReset(a.code), "%s", came)
	default:
		c.conclude(classSilent, "no answer to CONNECT within %v", c.p.opt.Timeout)
	}
}

func (c *http2Conn) noGrant(g grant) string {
	if g == unless0 {
		return "SETTINGS with ENABLE_CONNECT_PROTOCOL = 0"
	}
	return noFlag
}

func (c *http2Conn) judgeSuccess(id uint32) {
	a := c.answer(id)
	if _, err := handshake.CheckResponse(a.status, a.header, handshake.Offer{}, ""); err != nil {
		c.conclude(classHandshake, "%s: %v", statusWords(a.status), err)
		return
	}
	if a.over() {
		c.conclude(classHandshake, "%s and the stream's end at once", statusWords(a.status))
		return
	}
	c.conclude(Open, "%s", statusWords(a.status))
	c.converse(id)
}

// came says in few words what became of the CONNECT on stream id.
func (c *http2Conn) came(id uint32) string {
	a := c.answer(id)
	switch {
	case a.status != 0:
		return fmt.Sprint(a.status)
	case a.reset:
		return fmt.Sprintf("RST %v", a.code)
	}
	return c.ending("silence")
}

// ending says how the connection ended, or otherwise.
func (c *http2Conn) ending(otherwise string) string {
	switch {
	case c.goAway != nil:
		return fmt.Sprintf("GOAWAY %v", *c.goAway)
	case c.end != nil && !errors.Is(c.end, os.ErrDeadlineExceeded):
		return "closed"
	}
	return otherwise
}

// answered reports whether stream id has its response or its end.
func (c *http2Conn) answered(id uint32) bool {
	a := c.answer(id)
	return a.status != 0 || a.over()
}

// converse sends a Ping and a Close, and waits for a Pong and a Close, on the WebSocket of stream id. Neither changes the verdict,
// but nonsense does.
func (c *http2Conn) converse(id uint32) {
	a := c.answer(id)
	t := &talk{}
	say := func(what string, b []byte) {
		if c.end == nil {
			c.remark("the WebSocket is open: a masked %s", what)
			c.send(dataNotation(id, b))
		}
	}
	more := func() bool {
		t.take(a.body)
		a.body = nil
		return t.fault != "" || t.closed || a.over()
	}
	say("Ping", t.ping())
	c.await("check", c.part(0.25), func() bool { return more() || t.ponged })
	say("Close", t.close())
	c.await("check", c.part(0.25), more)
	switch {
	case t.fault != "":
		c.result.Verdict, c.result.Reason = classHandshake, "server's first bytes are no WebSocket: "+t.fault
	case !t.ponged:
		c.add("no Pong came")
	}
	if !a.reset && c.end == nil && c.ctx.Err() == nil {
		c.send(fmt.Sprintf("DATA stream=%d len=0 \"\" END_STREAM", id))
	}
}

// dataNotation is a DATA frame of b. Bytes of more than 7 bits are quoted one by one: they need not be UTF-8.
func dataNotation(id uint32, b []byte) string {
	var text strings.Builder
	for _, c := range b {
		fmt.Fprintf(&text, `\x%02x`, c)
	}
	return fmt.Sprintf("DATA stream=%d len=%d \"%s\"\n", id, len(b), text.String())
}

// usable reports whether the connection still answers: a PING, then an ordinary request on stream next. The stream that was tried
// is given up first, if it is still open.
func (c *http2Conn) usable(tried, next uint32) bool {
	if c.over() {
		return false
	}
	notation := ""
	if tried != 0 && !c.answer(tried).reset {
		notation = fmt.Sprintf("RST_STREAM stream=%d CANCEL\n", tried)
	}
	n := nonce()
	c.send(notation + fmt.Sprintf("PING %x\n", n))
	if !c.await("check", c.part(0.25), func() bool { return c.acked[string(n[:])] || c.over() }) || c.over() {
		return false
	}
	c.send(c.p.head(next))
	c.await("check", c.part(0.25), func() bool { return c.answered(next) || c.over() })
	return c.answer(next).status != 0
}

// A talk is the little that is said on a WebSocket once it is open.
type talk struct {
	in             []byte
	ponged, closed bool
	fault          string
}

const pingPayload = "weft"

func (t *talk) ping() []byte { return appendControl(frame.Ping, []byte(pingPayload)) }

func (t *talk) close() []byte {
	return appendControl(frame.Close, frame.AppendClose(nil, frame.NormalClosure, ""))
}

// appendControl makes a client's control frame. RFC 6455, Section 5.3: masked.
func appendControl(op frame.Opcode, p []byte) []byte {
	n := nonce()
	key := [4]byte(n[:4])
	b := frame.AppendHeader(nil, frame.Header{Fin: true, Opcode: op, Masked: true, Key: key, Length: int64(len(p))})
	return frame.AppendMasked(b, p, key)
}

// take reads frames; messages that the server sends by itself are skipped.
func (t *talk) take(b []byte) {
	t.in = append(t.in, b...)
	for t.fault == "" {
		h, n, fault := frame.ParseHeader(t.in)
		switch {
		case fault != frame.NoFault:
			t.fault = "malformed frame header"
		case n > 0 && h.Masked:
			t.fault = "masked frame from a server (RFC 6455, Section 5.1)"
		case n > 0 && h.Length > maxBody:
			t.closed = true // more than is waited for
			return
		case n == 0 || int64(len(t.in)-n) < h.Length:
			return
		default:
			end := n + int(h.Length)
			t.ponged = t.ponged || h.Opcode == frame.Pong && string(t.in[n:end]) == pingPayload
			t.closed = t.closed || h.Opcode == frame.Close
			t.in = t.in[end:]
		}
	}
}

package probe

import "fmt"

// askFrame proposes a stream of type WebSocket: WS_OPEN and a PING on stream 0, in the first flight.
func (p *prober) askFrame(x *exchange) {
	c := x.http2("h2", "h2", "http/1.1")
	if c == nil {
		return
	}
	n := nonce()
	c.send(preface + fmt.Sprintf("WS_OPEN id=1 nonce=%x\n", n) + p.connectFields() + fmt.Sprintf("PING %x\n", n))
	accepted := func() bool { return c.accepted[1] == string(n[:]) }
	acked := func() bool { return c.acked[string(n[:])] }
	c.await("request", c.part(0.5), func() bool { return c.settings && (accepted() || acked()) || c.over() })
	found := &p.report.Findings
	switch {
	case accepted():
		found.OpenFrame = "accepted"
		if !c.answered(1) {
			c.wait("request", c.part(0.5), func() bool { return c.answered(1) || c.over() })
		}
		c.judge(1, implied, false)
	case acked():
		found.OpenFrame = "ignored"
		c.conclude(classVersion, "PING was acknowledged without WS_ACCEPT")
		if c.usable(0, 3) {
			c.add("usable afterwards: yes")
		} else {
			found.OpenFrame = c.ending("ignored, then silence")
			c.add("usable afterwards: no")
		}
	case c.noHTTP2():
		c.conclude(classVersion, "no HTTP/2: %s", endWords(c.end))
	case c.over():
		found.OpenFrame = c.ending("")
		c.conclude(classKilled, "server ended the connection over WS_OPEN: %s", found.OpenFrame)
	default:
		found.OpenFrame = "silence"
		c.conclude(classSilent, "neither WS_ACCEPT nor the PING's ack")
	}
	c.close()
	if p.opt.Thorough && c.settings {
		p.askIdleFrame(x)
	}
}

// askIdleFrame sends a frame of a type that nobody knows on a stream that nobody has opened. "Implementations MUST ignore
// unknown or unsupported values in all extensible protocol elements." RFC 9113, Section 5.5.
func (p *prober) askIdleFrame(x *exchange) {
	x.remark("a new connection: an unknown frame on an idle stream")
	c := x.http2("h2", "h2", "http/1.1")
	if c == nil {
		return
	}
	defer c.close()
	c.send(preface + "FRAME type=0xf7 stream=1 flags=0x0 77656674\n")
	c.await("settings", c.part(0.25), func() bool { return c.settings || c.over() })
	came := "silent"
	if !c.usable(0, 3) {
		came = c.ending("silence")
	}
	p.report.Findings.IdleFrame = came
	c.add("an unknown frame on an idle stream: %s", came)
}

package probe

// askH21 offers ALPN h2.1: HTTP/2 in which extra protocols are on unless the first SETTINGS say no.
func (p *prober) askH21(x *exchange) {
	if !p.report.secure {
		x.conclude(NotAsked, "there is no ALPN without TLS")
		return
	}
	c := x.http2("h2.1", "h2.1", "h2", "http/1.1")
	p.report.Findings.FutureALPN = x.alpn
	if c == nil {
		return
	}
	defer c.close()
	c.send(preface + p.connect(1))
	c.await("request", c.part(1), func() bool { return c.settings && c.answered(1) || c.over() })
	c.judge(1, unless0, false)
}

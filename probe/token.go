package probe

// askToken offers ALPN wsoverh2, which settles by the TLS handshake that WebSockets can be had; then alone, which no client
// should.
func (p *prober) askToken(x *exchange) {
	if !p.report.secure {
		x.conclude(NotAsked, "there is no ALPN without TLS")
		return
	}
	p.tokenWithSpare(x)
	p.tokenAlone(x)
}

func (p *prober) tokenWithSpare(x *exchange) {
	c := x.http2("wsoverh2", "wsoverh2", "http/1.1")
	if c == nil {
		p.report.Findings.TokenALPN = x.alpn
		if x.result.Verdict == classVersion && x.alpn != "h2" {
			x.add("an Upgrade on the same connection costs 1 more")
		}
		return
	}
	defer c.close()
	p.report.Findings.TokenALPN = "wsoverh2"
	c.send(preface + p.connect(1))
	c.await("request", c.part(0.75), func() bool { return c.settings && c.answered(1) || c.over() })
	c.judge(1, implied, false)
}

func (p *prober) tokenAlone(x *exchange) {
	x.remark("a new connection: wsoverh2 alone")
	alone := "none"
	nc, err := x.dial("wsoverh2")
	switch {
	case err == nil:
		if nc.ALPN != "" {
			alone = "chosen"
		}
		nc.Close()
	case noCommonProtocol(err):
		alone = "alert"
	case strayProtocol(err):
		alone = "stray"
		if name := x.strayName("wsoverh2"); name != "" {
			alone = "stray " + name
		}
	default:
		alone = "failure"
	}
	p.report.Findings.OnlyToken = alone
	x.add("wsoverh2 alone: %s", alone)
}

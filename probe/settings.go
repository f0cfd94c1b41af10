package probe

// askSettings goes by RFC 8441 to the letter: it waits for SETTINGS, then sends an Extended CONNECT.
func (p *prober) askSettings(x *exchange) {
	c := x.http2("h2", "h2", "http/1.1")
	if c == nil {
		return
	}
	defer c.close()
	c.send(preface)
	c.await("settings", c.part(1), func() bool { return c.settings || c.over() })
	switch {
	case c.noHTTP2():
		c.conclude(classVersion, "no HTTP/2: %s", endWords(c.end))
		return
	case !c.settings:
		c.conclude(classSilent, "no SETTINGS from the server: %s", c.ending("silence"))
		return
	}
	p.report.Findings.Flag = c.flag
	if c.flag != "1" {
		c.judge(1, flagged, false)
		c.result.Reason = noFlag
		return
	}
	c.send(p.connect(1))
	c.await("request", c.part(1), func() bool { return c.answered(1) || c.over() })
	c.judge(1, flagged, false)
}

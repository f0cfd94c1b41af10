package probe

// askAssume sends an Extended CONNECT in the first flight, sees what comes of it, and whether the connection outlives that.
func (p *prober) askAssume(x *exchange) {
	c := x.http2("h2", "h2", "http/1.1")
	if c == nil {
		return
	}
	found := &p.report.Findings
	c.send(preface + p.connect(1))
	c.await("request", c.part(0.4), func() bool { return c.settings && c.answered(1) || c.over() })
	if c.noHTTP2() {
		c.conclude(classVersion, "no HTTP/2: %s", endWords(c.end))
		c.close()
		return
	}
	if c.settings {
		found.Flag = c.flag
	}
	found.Assumed = c.came(1)
	c.judge(1, flagged, true)
	if c.result.Verdict != Open {
		found.Usable = "no"
		if c.usable(1, 3) {
			found.Usable = "yes"
		}
		c.add("usable afterwards: %s", found.Usable)
	}
	c.close()
	if p.opt.Thorough {
		p.askEarlyData(x)
	}
}

// askEarlyData sends DATA behind the assumed CONNECT, which no rung of weft does.
func (p *prober) askEarlyData(x *exchange) {
	x.remark("a new connection: DATA behind the assumed CONNECT")
	c := x.http2("h2", "h2", "http/1.1")
	if c == nil {
		return
	}
	defer c.close()
	t := &talk{}
	b := t.ping()
	c.send(preface + p.connect(1) + dataNotation(1, b))
	c.await("request", c.part(0.25), func() bool { return c.settings && c.answered(1) || c.over() })
	came := c.came(1)
	if !c.usable(1, 3) && c.over() {
		came = c.ending(came) // whatever it said before
	}
	p.report.Findings.EarlyData = came
	c.add("with DATA behind it: %s", came)
}

package negotiate

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"
)

// TestTranscripts runs the dials in testdata. Commands:
//
//	policy [rungs=(upgrade,settings)] [spare=never] [head-start=-1s] [early] [strict] [once]
//	facts [secure] [prior] [proxied] [probing=N] [deadline=30s] [remembered] [known=(RUNG,yes|no,CAUSE)]... [alt=(ALPN,HOST,PORT)]...
//	      [hint=(ALPN,HOST,PORT)]... [addr=HOST:PORT] [quic=works|blocked] [ticket]
//	      [live=(ID,without|connect,alpn=h2,slots=N,noframes,draining,coalesced,alt=HOST)]...
//	start                    begins a dial and prints the orders
//	outcomes                 one a line, as in parseOutcome; prints the orders of each
//	advance 15s              lets time pass
//	attempts                 prints the account
//	frame                    the first WebSocket frame comes: what Succeed wanted confirmed is stored
//	killed                   what Settle wanted stored is stored
//	memory                   prints what has been remembered; "facts remembered" makes it known to the next dial
//	forget                   forgets it
//
// Policy, facts, memory and the time stay as they are set; "known" holds for an hour. Go on with -rewrite when a change is wanted.
func TestTranscripts(t *testing.T) {
	dirs, err := os.ReadDir("testdata")
	if err != nil {
		t.Fatal(err)
	}
	for _, dir := range dirs {
		if dir.Name() != "fuzz" { // that is go test's
			t.Run(dir.Name(), func(t *testing.T) { datadriven.Walk(t, filepath.Join("testdata", dir.Name()), runTranscript) })
		}
	}
}

func runTranscript(t *testing.T, path string) {
	d := dial{start: time.Unix(0, 0).UTC()}
	d.now = d.start
	datadriven.RunTest(t, path, func(t *testing.T, td *datadriven.TestData) string {
		out, err := d.run(td)
		if err != nil {
			t.Fatalf("%s: %v", td.Pos, err)
		}
		return out
	})
}

type dial struct {
	policy     Policy
	facts      Facts
	deadline   time.Duration
	start, now time.Time
	m          *Machine

	memory     Entry
	network    Entry
	remembered bool
	confirm    []Remember
	ifKilled   []Remember
}

func (d *dial) run(td *datadriven.TestData) (string, error) {
	switch td.Cmd {
	case "policy":
		return "", d.setPolicy(td.CmdArgs)
	case "facts":
		return "", d.setFacts(td.CmdArgs)
	case "start":
		if err := d.policy.Validate(); err != nil {
			return fmt.Sprintf("policy is not valid: %v\n", err), nil
		}
		if d.facts.Deadline = (time.Time{}); d.deadline > 0 {
			d.facts.Deadline = d.now.Add(d.deadline)
		}
		if d.remembered {
			d.facts.Known, d.facts.QUIC = d.memory, QUICStateOf(d.network, d.now)
		}
		d.start = d.now
		d.m = New(d.policy, d.facts)
		return d.print(d.m.Start(d.now)), nil
	case "outcomes":
		var b strings.Builder
		for line := range strings.Lines(td.Input) {
			o, err := d.parseOutcome(line)
			if err != nil {
				return "", err
			}
			b.WriteString(d.print(d.m.Report(d.now, o)))
		}
		return b.String(), nil
	case "advance":
		by, err := time.ParseDuration(td.CmdArgs[0].Key)
		d.now = d.now.Add(by)
		return "", err
	case "attempts":
		var b strings.Builder
		for _, a := range d.m.Attempts() {
			fmt.Fprintf(&b, "%d %s alpn=%q", a.ID, a.Rung, a.ALPN)
			if a.Conn != 0 {
				fmt.Fprintf(&b, " conn=%d", a.Conn)
			}
			if a.Alt != nil {
				fmt.Fprintf(&b, " alt=%s", a.Alt.Addr())
			}
			if a.Spare {
				b.WriteString(" spare")
			}
			fmt.Fprintf(&b, " verdict=%q %s\n", a.Verdict, a.Reason)
		}
		fmt.Fprintf(&b, "%d round trips\n", d.m.RoundTrips())
		return b.String(), nil
	case "frame":
		d.store(d.confirm)
		return "", nil
	case "killed":
		d.store(d.ifKilled)
		return "", nil
	case "memory":
		return d.printMemory(), nil
	case "forget":
		d.memory, d.network = Entry{}, Entry{}
		return "", nil
	}
	return "", fmt.Errorf("there is no command %q", td.Cmd)
}

func (d *dial) print(orders []Order) string {
	if len(orders) == 0 {
		return "(wait)\n"
	}
	var b strings.Builder
	for _, o := range orders {
		d.obey(o)
		switch o := o.(type) {
		case SetTimer:
			fmt.Fprintf(&b, "set-timer in %v\n", o.At.Sub(d.now))
		case Fail:
			fmt.Fprintln(&b, o)
			if o.Err != nil {
				fmt.Fprintf(&b, "  error: %v\n", o.Err)
			}
		default:
			fmt.Fprintln(&b, o)
		}
	}
	return b.String()
}

// obey does what an executor does with orders about memory.
func (d *dial) obey(o Order) {
	switch o := o.(type) {
	case Remember:
		d.store([]Remember{o})
	case Forget:
		d.memory = d.memory.Forget(o.Rung, d.now)
	case RememberNetwork:
		d.network = d.network.Remember(o.Remember(), d.now)
	case Settle:
		d.ifKilled = []Remember{o.IfKilled}
	case Succeed:
		d.confirm = o.Confirm
	}
}

func (d *dial) store(list []Remember) {
	for _, r := range list {
		d.memory = d.memory.Remember(r, d.now)
	}
}

func (d *dial) printMemory() string {
	var b strings.Builder
	line := func(what any, e Entry, r Rung) {
		f, ok := e.Findings[r]
		if !ok {
			return
		}
		fmt.Fprintf(&b, "%s %s cause=%s", what, f.Verdict, f.Cause)
		if left := f.Until.Sub(d.now); left > 0 {
			fmt.Fprintf(&b, " for=%s", briefly(left))
		} else {
			fmt.Fprintf(&b, " expired")
		}
		if f.Strikes > 0 {
			fmt.Fprintf(&b, " strikes=%d", f.Strikes)
		}
		b.WriteByte('\n')
	}
	for _, r := range Rungs() {
		line(r, d.memory, r)
	}
	line("network", d.network, H3)
	if d.memory.RTT > 0 {
		fmt.Fprintf(&b, "round-trip time %v\n", d.memory.RTT)
	}
	return b.String()
}

func (d *dial) setPolicy(args []datadriven.CmdArg) error {
	d.policy = Policy{}
	for _, a := range args {
		switch a.Key {
		case "rungs":
			d.policy.Rungs = []Rung{}
			for _, v := range a.Vals {
				d.policy.Rungs = append(d.policy.Rungs, Rung(v))
			}
		case "spare":
			s, err := ParseSpareMode(a.Vals[0])
			if err != nil {
				return err
			}
			d.policy.Spare = s
		case "head-start":
			v, err := time.ParseDuration(a.Vals[0])
			if err != nil {
				return err
			}
			d.policy.HeadStart = v
		case "early":
			d.policy.EarlyConnect = true
		case "strict":
			d.policy.Strict = true
		case "once":
			d.policy.Once = true
		default:
			return fmt.Errorf("policy has no %q", a.Key)
		}
	}
	return nil
}

func (d *dial) setFacts(args []datadriven.CmdArg) (err error) {
	d.remembered = false
	d.facts, err = d.parseFacts(args)
	return err
}

func (d *dial) parseFacts(args []datadriven.CmdArg) (f Facts, err error) {
	f.Deadline = d.facts.Deadline
	for _, a := range args {
		switch a.Key {
		case "secure":
			f.Secure = true
		case "prior":
			f.PriorKnowledge = true
		case "proxied":
			f.Proxied = true
		case "probing":
			f.Probing, err = strconv.Atoi(a.Vals[0])
		case "deadline":
			d.deadline, err = time.ParseDuration(a.Vals[0])
		case "remembered":
			d.remembered = true
			f.Known = d.memory
		case "known":
			if f.Known.Findings == nil {
				f.Known.Findings = make(map[Rung]Finding)
			}
			f.Known.Findings[Rung(a.Vals[0])] = Finding{
				Verdict: Verdict(a.Vals[1]), Cause: Cause(a.Vals[2]), Since: d.now, Until: d.now.Add(time.Hour),
			}
		case "alt":
			f.Alternatives = append(f.Alternatives, Alternative{ALPN: a.Vals[0], Host: a.Vals[1], Port: a.Vals[2]})
		case "hint":
			f.Hints = append(f.Hints, Alternative{ALPN: a.Vals[0], Host: a.Vals[1], Port: a.Vals[2]})
		case "addr":
			f.Addr = a.Vals[0]
		case "quic":
			f.QUIC = map[string]QUICState{"works": QUICWorks, "blocked": QUICBlocked}[a.Vals[0]]
		case "ticket":
			f.EarlySession = true
		case "live":
			var c LiveConn
			c, err = parseLive(a.Vals)
			f.Live = append(f.Live, c)
		default:
			err = fmt.Errorf("facts have no %q", a.Key)
		}
		if err != nil {
			return f, err
		}
	}
	return f, nil
}

func parseLive(vals []string) (c LiveConn, err error) {
	c = LiveConn{ALPN: "h2", SettingsReceived: true, Slots: 100}
	for i, v := range vals {
		k, n, _ := strings.Cut(v, "=")
		switch {
		case i == 0:
			c.ID, err = strconv.ParseUint(v, 10, 64)
		case k == "connect":
			c.ConnectProtocol = true
		case k == "without":
		case k == "slots":
			c.Slots, err = strconv.Atoi(n)
		case k == "draining":
			c.Draining = true
		case k == "coalesced":
			c.Coalesced = true
		case k == "noframes":
			c.NoFrames = true
		case k == "alpn":
			c.ALPN = n
		case k == "alt":
			c.Alt = &Alternative{ALPN: c.ALPN, Host: n, Port: "443"}
		default:
			err = fmt.Errorf("a live connection has no %q", v)
		}
		if err != nil {
			return c, err
		}
	}
	return c, nil
}

// parseOutcome reads "connected 1 alpn=h2", "settings 1 connect slots=5", "response 1 200 ended invalid" and so on.
func (d *dial) parseOutcome(line string) (Outcome, error) {
	cmd, args, err := datadriven.ParseLine(line)
	if err != nil {
		return nil, err
	}
	attempt := 0
	if len(args) > 0 {
		attempt, _ = strconv.Atoi(args[0].Key)
	}
	has := func(key string) bool {
		for _, a := range args {
			if a.Key == key {
				return true
			}
		}
		return false
	}
	value := func(key string) string {
		for _, a := range args {
			if a.Key == key && len(a.Vals) == 1 {
				return a.Vals[0]
			}
		}
		return ""
	}
	number := func(key string) int {
		n, _ := strconv.ParseInt(value(key), 0, 32)
		return int(n)
	}
	code := uint64(number("code"))
	switch cmd {
	case "reached":
		rtt, err := time.ParseDuration(cmp.Or(value("rtt"), "0"))
		return Reached{Attempt: attempt, RTT: rtt}, err
	case "spoke":
		return Spoke{Attempt: attempt, EOF: has("eof")}, nil
	case "accepted":
		return FrameAccepted{Attempt: attempt}, nil
	case "unsupported":
		return FrameUnsupported{Attempt: attempt}, nil
	case "connected":
		return Connected{Attempt: attempt, ALPN: value("alpn"), RoundTrips: number("round-trips"), Early: has("early")}, nil
	case "connect-failed":
		return ConnectFailed{Attempt: attempt, Step: Step(args[1].Key), Heard: has("heard"), Err: errors.New("no luck")}, nil
	case "early-rejected":
		return EarlyRejected{Attempt: attempt}, nil
	case "settings":
		o := SettingsReceived{
			Attempt: attempt, Present: has("present"), ConnectProtocol: has("connect"), Slots: 100, RoundTrips: number("round-trips"),
		}
		if has("slots") {
			o.Slots = number("slots")
		}
		return o, nil
	case "response":
		o := Response{Attempt: attempt, Ended: has("ended")}
		if has("invalid") {
			o.Invalid = errors.New("subprotocol was not offered")
		}
		o.Status, err = strconv.Atoi(args[1].Key)
		return o, err
	case "no-slot":
		return NoSlot{Attempt: attempt}, nil
	case "reset":
		return StreamReset{Attempt: attempt, Code: code, Unprocessed: has("unprocessed"), Local: has("local")}, nil
	case "lost":
		o := ConnLost{
			Attempt: attempt, GoAway: has("goaway"), Code: code, CloseNotify: has("close-notify"),
			Unprocessed: has("unprocessed"), Local: has("local"),
		}
		if !o.GoAway {
			o.Err = errors.New("EOF")
		}
		return o, nil
	case "probe-done":
		f, err := d.parseFacts(args)
		return ProbeDone{Facts: f}, err
	case "timer":
		return Timer{}, nil
	case "cancelled":
		err := context.Canceled
		if has("deadline") {
			err = context.DeadlineExceeded
		}
		return Cancelled{Err: err}, nil
	}
	return nil, fmt.Errorf("there is no outcome %q", cmd)
}

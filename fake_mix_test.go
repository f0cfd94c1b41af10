package weft_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/weftws/weft"
	"github.com/weftws/weft/internal/fakeorigin"
	"github.com/weftws/weft/internal/memory"
	"github.com/weftws/weft/internal/simnet"
	"github.com/weftws/weft/negotiate"
)

// A mixKind is how an origin behaves for a while. Over HTTP/2 only honest ones say what they are.
type mixKind struct {
	name   string
	origin fakeorigin.Origin
	down   bool // nobody listens

	h2, h1 bool            // a WebSocket can be had over that version
	class  negotiate.Class // of the error, where neither can; "": none
	old    bool            // what was assumed is answered by what means no, and the dial falls back
	extra  int             // round trips beyond those of its like
	waits  bool            // it may stay silent until the dial's patience is over

	// learns is what a dial writes down that asked on a new connection, by the rung that it asked for; "": nothing.
	learns negotiate.Cause
}

const honest = "HEADERS stream=%d END_HEADERS\n  :status: 200\n  x-kind: honest\n"

// mixKinds are the ways of section "what real servers do", and some that are worse.
var mixKinds = []mixKind{
	{name: "new", origin: fakeorigin.Origin{Settings: fakeorigin.Flag, Connect: honest}, h2: true, h1: true, learns: negotiate.CauseOpened},
	{name: "new, slow to say so", origin: fakeorigin.Origin{Settings: fakeorigin.Flag, Connect: honest, Delay: 3 * rtt}, h2: true, h1: true, extra: 3, learns: negotiate.CauseOpened},
	{name: "resets", origin: fakeorigin.Origin{Connect: fakeorigin.Reset}, h1: true, old: true, learns: negotiate.CauseSettings},
	{name: "ignores", origin: fakeorigin.Origin{}, h1: true, old: true, learns: negotiate.CauseSettings},
	{name: "400", origin: fakeorigin.Origin{Connect: fakeorigin.Status(400)}, h1: true, old: true, learns: negotiate.CauseSettings},
	{name: "flag 0", origin: fakeorigin.Origin{Settings: "ENABLE_CONNECT_PROTOCOL=0", Connect: fakeorigin.Yes}, h1: true, old: true, learns: negotiate.CauseSettings},
	{name: "lies", origin: fakeorigin.Origin{Connect: fakeorigin.Yes}, h1: true, old: true, learns: negotiate.CauseSettings},
	{name: "HTTP/1.1", origin: fakeorigin.Origin{ALPN: []string{"http/1.1"}}, h1: true, learns: negotiate.CauseALPN},
	{name: "no ALPN", origin: fakeorigin.Origin{ALPN: []string{}}, h1: true, learns: negotiate.CauseALPN},
	{name: "GOAWAY", origin: fakeorigin.Origin{Connect: fakeorigin.GoAway, Greeting: "SETTINGS ACK\n"}, h1: true, old: true},
	{name: "announces, then 501", origin: fakeorigin.Origin{Settings: fakeorigin.Flag, Connect: fakeorigin.Status(501)}, h1: true, old: true, learns: negotiate.CauseStatus},
	{name: "announces, then 404", origin: fakeorigin.Origin{Settings: fakeorigin.Flag, Connect: fakeorigin.Status(404)}, h1: true, old: true, learns: negotiate.CauseAmbiguous},
	{name: "announces, then refuses", origin: fakeorigin.Origin{Settings: fakeorigin.Flag, Connect: fakeorigin.Refused}, h1: true, old: true, extra: 3},
	{name: "425", origin: *fakeorigin.Answers(425), class: negotiate.Early, extra: 1},
	{name: "425 first", origin: fakeorigin.Origin{Settings: fakeorigin.Flag, Connect: fakeorigin.Status(425), Later: honest}, h2: true, h1: true, extra: 1, learns: negotiate.CauseOpened},
	{name: "403", origin: *fakeorigin.Answers(403), class: negotiate.Application},
	{name: "421", origin: *fakeorigin.Answers(421), class: negotiate.Misdirected},
	{name: "ended 200", origin: fakeorigin.Origin{Settings: fakeorigin.Flag, Connect: fakeorigin.Status(200), Upgrade: wrongKey}, class: negotiate.Handshake},
	{name: "HTTP/1.1, wrong key", origin: fakeorigin.Origin{ALPN: []string{"http/1.1"}, Upgrade: wrongKey}, class: negotiate.Handshake, learns: negotiate.CauseALPN},
	{name: "deaf over HTTP/2", origin: fakeorigin.Origin{Settings: fakeorigin.Flag, Connect: fakeorigin.Silence}, h1: true, waits: true},
	{name: "deaf", origin: fakeorigin.Origin{Greeting: fakeorigin.Silence, Connect: fakeorigin.Silence, Deaf: true}, class: negotiate.Silent, waits: true},
	{name: "alert", origin: fakeorigin.Origin{Hello: fakeorigin.Alert}, class: negotiate.Transport},
	{name: "down", down: true, class: negotiate.Transport},
}

const wrongKey = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: bm90IHRoZSByaWdodCBvbmUhISE=\r\n\r\n"

// A mix is a network of origins that change as they like, and one dialer.
type mix struct {
	*env
	r       *rand.Rand
	cert    tls.Certificate
	origins []*mixOrigin
	dials   int
	seen    map[string]int
}

type mixOrigin struct {
	host, addr string
	kind       *mixKind
	server     *fakeorigin.Server // nil: down
	open       []*weft.Conn
	changed    bool // since the last dial
}

const mixPatience = 10 * time.Second

// A thousand dials to origins that upgrade, downgrade, die and lie: none is fooled, none hangs, none costs more than what is
// documented, what is remembered is right, and nothing is left.
func TestMix(t *testing.T) {
	for seed := range uint64(5) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			simnet.Run(t, rtt, func(t *testing.T, n *simnet.Network) {
				m := newMix(t, n, seed)
				for m.dials < 200 && !t.Failed() {
					m.step()
				}
				m.end()
			})
		})
	}
}

func newMix(t *testing.T, n *simnet.Network, seed uint64) *mix {
	m := &mix{r: rand.New(rand.NewPCG(seed, 1)), seen: make(map[string]int)}
	var hosts []string
	for i := range 12 {
		o := &mixOrigin{host: fmt.Sprintf("o%d.example", i), addr: fmt.Sprintf("10.0.1.%d", i+1)}
		n.AddHost(o.host, o.addr)
		hosts = append(hosts, o.host)
		m.origins = append(m.origins, o)
	}
	cert, roots := simnet.Certificate(hosts...)
	m.cert = cert
	m.env = &env{t: t, ctx: t.Context(), net: n, dialer: &weft.Dialer{
		TLSConfig: &tls.Config{RootCAs: roots}, NetDial: n.DialContext, Memory: memory.NewMap(0), HandshakeTimeout: mixPatience,
	}}
	for _, o := range m.origins {
		m.change(o)
	}
	return m
}

// step lets time pass, changes an origin, and dials.
func (m *mix) step() {
	pause := []time.Duration{0, time.Second, time.Second, 2 * time.Minute, 11 * time.Minute, 2 * time.Hour, 30 * time.Hour, 8 * 24 * time.Hour}[m.r.IntN(8)]
	if pause > time.Minute {
		m.closeAll() // an open WebSocket has its PINGs, and nothing else happens
	}
	time.Sleep(pause)
	if pause > time.Minute {
		m.wantQuiet()
	}
	o := m.origins[m.r.IntN(len(m.origins))]
	if m.r.IntN(3) == 0 {
		m.change(o)
	}
	if m.r.IntN(5) == 0 {
		m.together(o)
	} else {
		m.alone(o)
	}
	for len(o.open) > 3 {
		m.closeOne(o)
	}
	time.Sleep(time.Second) // what was settled after the dial is settled
}

// change gives o another behaviour. Its connections stay as they are, or die with it.
func (m *mix) change(o *mixOrigin) {
	o.kind, o.changed = &mixKinds[m.r.IntN(len(mixKinds))], true
	if o.server != nil && (o.kind.down || m.r.IntN(2) == 0) {
		m.closeOpen(o)
		o.server.Close()
		o.server = nil
	}
	switch {
	case o.kind.down:
	case o.server == nil:
		o.server = fakeorigin.Start(m.net, o.addr+":443", m.cert, &o.kind.origin)
	default:
		o.server.Set(&o.kind.origin)
	}
}

// A mixResult is one dial.
type mixResult struct {
	conn    *weft.Conn
	res     *http.Response
	err     error
	path    string
	took    time.Duration
	attempt []weft.Attempt
	live    bool // it began on a connection that was there
}

func (m *mix) dialOne(o *mixOrigin, path string, policy *weft.Policy) (r mixResult) {
	start := time.Now()
	r.path = path
	r.conn, r.res, r.err = m.dialer.Dial(m.ctx, "wss://"+o.host+path, &weft.DialOptions{
		Policy: policy, Trace: func(e weft.TraceEvent) {
			r.live = r.live || strings.HasPrefix(e.Detail, "use-live")
		},
	})
	r.took = time.Since(start)
	if r.conn != nil {
		r.attempt = r.conn.Trace().Attempts
	} else if de, ok := errors.AsType[*weft.DialError](r.err); ok {
		r.attempt = de.Attempts
	}
	return r
}

func (m *mix) policy() *weft.Policy {
	return []*weft.Policy{nil, nil, nil, nil, {Spare: weft.Eager}, {Spare: weft.Never}, {Strict: true}, {Once: true}}[m.r.IntN(8)]
}

// alone makes one dial and looks at everything about it.
func (m *mix) alone(o *mixOrigin) {
	path, policy := fmt.Sprintf("/%d", m.dials), m.policy()
	before := m.known(o)
	at := time.Now()
	r := m.dialOne(o, path, policy)
	m.dials++
	m.seen[o.kind.name]++
	if r.err == nil {
		m.exchange(o, r)
	}
	if policy == nil {
		policy = new(weft.Policy)
	}
	m.wantOutcome(o, policy, r)
	m.wantBound(o, policy, before, at, r)
	m.wantMemory(o, policy, before, at, r)
	if m.t.Failed() {
		m.t.Logf("dial %d to %s, which is %q; policy %+v; live %v; took %.2f round trips; known before: %+v, after: %+v\nattempts %+v\nerror %v",
			m.dials-1, o.host, o.kind.name, *policy, r.live, float64(r.took)/float64(rtt), before.Findings, m.known(o).Findings, r.attempt, r.err)
	}
	o.changed = false
}

// together makes some dials at once, which share what they find.
func (m *mix) together(o *mixOrigin) {
	results := make([]mixResult, 2+m.r.IntN(4))
	var dials sync.WaitGroup
	for i := range results {
		path := fmt.Sprintf("/%d", m.dials)
		m.dials++
		dials.Go(func() { results[i] = m.dialOne(o, path, nil) })
	}
	dials.Wait()
	m.seen[o.kind.name]++
	for _, r := range results {
		if r.err == nil {
			m.exchange(o, r)
		}
		m.wantOutcome(o, new(weft.Policy), r)
		// Who waits for another's probe may lose what that one loses.
		if limit := 10*rtt + time.Duration(o.kind.extra)*2*rtt; r.took > limit && !o.kind.waits {
			m.t.Errorf("one of %d dials to %s (%s) took %.2f round trips: %v", len(results), o.host, o.kind.name, float64(r.took)/float64(rtt), r.err)
		}
	}
	o.changed = false
}

// exchange sends a message, which must come back, and keeps the WebSocket.
func (m *mix) exchange(o *mixOrigin, r mixResult) {
	o.open = append(o.open, r.conn)
	ctx, cancel := context.WithTimeout(m.ctx, 10*rtt)
	defer cancel()
	if err := r.conn.Write(ctx, weft.MessageText, []byte(r.path)); err != nil {
		m.t.Errorf("dial %s to %s (%s): Write: %v", r.path, o.host, o.kind.name, err)
	}
	if _, p, err := r.conn.Read(ctx); err != nil || string(p) != r.path {
		m.t.Errorf("dial %s to %s (%s): Read: %q, %v", r.path, o.host, o.kind.name, p, err)
	}
}

// wantOutcome: what opened is a WebSocket that the server meant, and what can be had is had.
func (m *mix) wantOutcome(o *mixOrigin, policy *weft.Policy, r mixResult) {
	k := o.kind
	if r.took > mixPatience+rtt {
		m.t.Errorf("dial took %v", r.took)
	}
	if r.err == nil {
		if v := r.conn.Trace().Version; v == "HTTP/2.0" && r.res.Header.Get("X-Kind") != "honest" {
			m.t.Errorf("%s was believed: %v", k.name, r.res.Header)
		}
		if !k.h1 && !k.h2 && !r.live {
			m.t.Errorf("a WebSocket with %s", k.name)
		}
		if n := m.applications(o, r.path); n != 1 && k.name != "lies" && k.name != "flag 0" {
			m.t.Errorf("%d applications have taken the handshake of one dial to %s", n, k.name)
		}
		return
	}
	class := m.class(r)
	switch {
	case k.waits && policy.Once:
	case r.live && o.changed: // what the connection was made for is no more
	case k.h1 || k.h2:
		m.t.Errorf("%s: no WebSocket (%s): %v", k.name, class, r.err)
	case class != k.class:
		m.t.Errorf("%s: class %s, want %s", k.name, class, k.class)
	}
}

// applications is how many times a handshake for path was answered by success.
func (m *mix) applications(o *mixOrigin, path string) (n int) {
	if o.server == nil {
		return 0
	}
	for _, h := range o.server.Counts().Handshakes {
		if h.Path == path && (h.Status/100 == 2 || h.Status == 101) {
			n++
		}
	}
	return n
}

func (m *mix) class(r mixResult) negotiate.Class {
	for _, a := range slices.Backward(r.attempt) {
		if a.Verdict != negotiate.VerdictUnused && a.Verdict != "" {
			return negotiate.Class(a.Verdict)
		}
	}
	return ""
}

// wantBound: the table "What a dial costs at most" of docs/bootstraps.md.
func (m *mix) wantBound(o *mixOrigin, policy *weft.Policy, before negotiate.Entry, at time.Time, r mixResult) {
	k := o.kind
	if r.err != nil && k.waits {
		return // wantOutcome has looked at the time
	}
	says := func(r weft.Rung) negotiate.Verdict { return before.Verdict(r, at) }
	asks := policy.Strict || policy.Once || says(weft.Assume) == negotiate.No
	spare := !r.live && policy.Spare != weft.Never && !policy.Strict && !asks && says(weft.Settings) == negotiate.Forgotten && says(weft.Assume) == negotiate.Forgotten
	n := 3
	switch {
	case says(weft.Settings) == negotiate.No:
	case k.old && spare:
		n = 4
	case k.old && asks && k.learns != negotiate.CauseSettings:
		n = 7
	case k.old:
		n = 6
	case asks && k.origin.Settings == fakeorigin.Flag:
		n = 4
	}
	n += k.extra
	if asks && k.extra == 3 && !k.h2 {
		n++ // it asks twice
	}
	if r.live {
		n += 1 // and it was of no use, or old
		if k.old && !o.changed {
			n += 3
		}
	}
	limit := time.Duration(n) * rtt
	if k.waits {
		limit = mixPatience // half of it, and half of the rest where a new connection is no better than the old one
	}
	if r.live && r.err == nil && len(r.attempt) == 1 && k.h2 && !o.changed {
		limit = time.Duration(1+k.extra) * rtt
	}
	if r.took > limit {
		m.t.Errorf("%s took %.2f round trips, documented are %.2f", k.name, float64(r.took)/float64(rtt), float64(limit)/float64(rtt))
	}
}

// wantMemory: a dial that asked writes down what it was told, and every other one nothing.
func (m *mix) wantMemory(o *mixOrigin, policy *weft.Policy, before negotiate.Entry, at time.Time, r mixResult) {
	k, after := o.kind, m.known(o)
	for rung, f := range after.Findings {
		was, had := before.Findings[rung]
		if had && was == f || f.Verdict == negotiate.Forgotten || rung == weft.Upgrade {
			continue
		}
		switch {
		case f.Verdict == negotiate.Yes && (r.err != nil || r.conn.Trace().Version != "HTTP/2.0"):
			m.t.Errorf("%s is remembered as good for %s, and there was no WebSocket over HTTP/2", k.name, rung)
		case f.Verdict == negotiate.Yes && !k.h2 && !r.live:
			m.t.Errorf("%s is remembered as good for %s", k.name, rung)
		case f.Verdict == negotiate.No && r.live:
		case f.Verdict == negotiate.No && f.Cause == negotiate.CauseKilled && k.name == "GOAWAY":
		case f.Verdict == negotiate.No && f.Cause == negotiate.CauseProtocol && k.name == "GOAWAY": // it does not send SETTINGS first
		case f.Verdict == negotiate.No && f.Cause != k.learns:
			m.t.Errorf("%s is remembered by cause %s, want %q", k.name, f.Cause, k.learns)
		}
	}
	if r.live || k.learns == "" || r.err != nil && k.class == "" {
		return
	}
	// It asked, if nothing kept it from asking.
	rung := weft.Settings
	if before.Verdict(weft.Settings, at) == negotiate.No {
		return
	}
	want, verdict := k.learns, negotiate.No
	if k.learns == negotiate.CauseOpened {
		verdict = negotiate.Yes
		rung = r.conn.Trace().Rung
	}
	if got := after.Findings[rung]; got.Verdict != verdict || got.Cause != want {
		m.t.Errorf("%s: remembered of %s is %s (%s), want %s (%s)", k.name, rung, got.Verdict, got.Cause, verdict, want)
	}
	if got := after.Verdict(weft.Assume, time.Now()); verdict == negotiate.No && got == negotiate.Yes {
		m.t.Errorf("%s is still remembered as good", k.name)
	}
}

// known is what is remembered of o.
func (m *mix) known(o *mixOrigin) negotiate.Entry {
	for _, item := range m.dialer.Memory.List() {
		if item.Key.Host == o.host {
			return item.Entry
		}
	}
	return negotiate.Entry{}
}

func (m *mix) closeOne(o *mixOrigin) {
	c := o.open[0]
	o.open = o.open[1:]
	if m.r.IntN(2) == 0 {
		c.CloseNow()
	} else {
		c.Close(weft.StatusNormalClosure, "")
	}
}

func (m *mix) closeOpen(o *mixOrigin) {
	for len(o.open) > 0 {
		m.closeOne(o)
	}
}

func (m *mix) closeAll() {
	for _, o := range m.origins {
		m.closeOpen(o)
	}
}

// wantQuiet: without WebSockets, and after the idle time of connections, there are none.
func (m *mix) wantQuiet() {
	for _, o := range m.origins {
		if o.server != nil && o.server.Conns() != 0 {
			m.t.Errorf("%d connections to %s (%s) are left", o.server.Conns(), o.host, o.kind.name)
		}
	}
}

func (m *mix) end() {
	m.closeAll()
	m.dialer.Close()
	time.Sleep(time.Minute)
	m.wantQuiet()
	for _, o := range m.origins {
		if o.server != nil {
			o.server.Close()
		}
	}
	m.t.Logf("%d dials: %v", m.dials, m.seen)
}

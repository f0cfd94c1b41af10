package weft_test

import (
	"crypto/tls"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/weftws/weft"
	fake "github.com/weftws/weft/internal/fakeorigin"
	"github.com/weftws/weft/internal/memory"
	"github.com/weftws/weft/internal/simnet"
	"github.com/weftws/weft/negotiate"
)

// A fakeEnv is an env whose server is a fake one.
type fakeEnv struct {
	*env
	origin *fake.Server
	cert   tls.Certificate
	memory *memory.Map
	tcp    int // connections before the last dial
	last   []weft.Attempt
}

// overFake runs f against a server that behaves as o says, in fake time, and sees that nothing is left of it afterwards.
func overFake(t *testing.T, o *fake.Origin, f func(t *testing.T, e *fakeEnv)) {
	t.Helper()
	simnet.Run(t, rtt, func(t *testing.T, n *simnet.Network) {
		cert, roots := simnet.Certificate("example.com", "www.example.com")
		n.AddHost("example.com", "10.0.0.2")
		n.AddHost("www.example.com", "10.0.0.2")
		e := &fakeEnv{env: &env{t: t, net: n, ctx: t.Context(), url: "wss://example.com:443"}, cert: cert, memory: memory.NewMap(0)}
		e.origin = fake.Start(n, serverAddr, cert, o)
		defer e.origin.Close()
		e.dialer = &weft.Dialer{TLSConfig: &tls.Config{RootCAs: roots}, NetDial: n.DialContext, Memory: e.memory}
		if o.Plain {
			e.url = "ws://example.com:443"
		}
		f(t, e)
		e.dialer.Close()
		time.Sleep(time.Second)
		if n := e.origin.Conns(); n != 0 {
			t.Errorf("%d connections are left at the server", n)
		}
		if open := n.Open(); len(open) != 0 {
			t.Errorf("still open: %v", open)
		}
	})
}

// account dials once, says hello over what opens, and tells what it was: the round trips that it took, its attempts with their
// verdicts, how the dial ended, if not well, and the TCP connections that were made.
//
//	4 assume:version upgrade:open tcp=2
func (e *fakeEnv) account(opts *weft.DialOptions) string {
	e.t.Helper()
	start := time.Now()
	c, res, err := e.dialer.Dial(e.ctx, e.url+"/", opts)
	took := float64(time.Since(start)) / float64(rtt)
	var attempts []weft.Attempt
	end := ""
	if err == nil {
		tr := c.Trace()
		attempts = tr.Attempts
		if float64(tr.RoundTrips) != took {
			end = fmt.Sprintf(" trace=%d", tr.RoundTrips)
		}
		if err := e.hello(c); err != nil {
			end += " broken"
		}
		c.Close(weft.StatusNormalClosure, "")
	} else {
		de, _ := errors.AsType[*weft.DialError](err)
		attempts = de.Attempts
		end = " error"
		if he, ok := errors.AsType[*weft.HandshakeError](err); ok {
			end = fmt.Sprintf(" error=%s/%d", he.Name, he.StatusCode)
		}
		if res != nil {
			res.Body.Close()
		}
	}
	time.Sleep(time.Second) // what was given up is closed, a connection settled
	var b strings.Builder
	fmt.Fprintf(&b, "%g", took)
	for _, a := range attempts {
		fmt.Fprintf(&b, " %s:%s", a.Rung, a.Verdict)
	}
	tcp := e.origin.Counts().TCP
	fmt.Fprintf(&b, "%s tcp=%d", end, tcp-e.tcp)
	e.tcp, e.last = tcp, attempts
	return b.String()
}

// hello sends a message and gets it back.
func (e *fakeEnv) hello(c *weft.Conn) error {
	if err := c.Write(e.ctx, weft.MessageText, []byte("hello")); err != nil {
		return err
	}
	_, p, err := c.Read(e.ctx)
	if err == nil && string(p) != "hello" {
		err = fmt.Errorf("%q came back", p)
	}
	return err
}

// remembered is what the memory says now: "settings=no(settings, 1h0m0s)".
func (e *fakeEnv) remembered() string {
	var list []string
	for _, item := range e.memory.List() {
		for r, f := range item.Entry.Findings {
			if item.Entry.Verdict(r, time.Now()) != negotiate.Forgotten {
				list = append(list, fmt.Sprintf("%s=%s(%s, %v)", r, f.Verdict, f.Cause, f.Until.Sub(f.Since)))
			}
		}
	}
	slices.Sort(list)
	return strings.Join(list, " ")
}

// A fakeCase is a behaviour and what three dials make of it: the second finds the connections of the first, the third only what is
// remembered.
type fakeCase struct {
	name   string
	origin fake.Origin
	policy weft.Policy
	prep   func(e *fakeEnv) // before the first dial
	dials  [3]string
	memory string
}

// See remembered.
const (
	opened    = "assume=yes(opened, 24h0m0s)"
	live      = "settings=yes(opened, 24h0m0s)"
	upgraded  = "upgrade=yes(opened, 24h0m0s)"
	noSetting = "settings=no(settings, 1h0m0s)"
	noALPN    = "settings=no(alpn, 1h0m0s)"
	noDoubt   = "settings=no(ambiguous, 10m0s)"
	noStatus  = "settings=no(status, 24h0m0s)"
	noReset   = "settings=no(reset, 1h0m0s)"
	killed    = "assume=no(killed, 168h0m0s)"
	lost      = "assume=no(lost, 10m0s)"
)

// See account.
var (
	asNew   = [3]string{"3 assume:open upgrade:unused tcp=2", "1 settings:open tcp=0", "3 assume:open tcp=1"}
	asOld   = [3]string{"4 assume:version upgrade:open tcp=2", "3 upgrade:open tcp=1", "3 upgrade:open tcp=1"}
	inDoubt = [3]string{"4 assume:ambiguous upgrade:open tcp=2", "3 upgrade:open tcp=1", "3 upgrade:open tcp=1"}
)

func always(dial string) [3]string { return [3]string{dial, dial, dial} }

func runFakeCases(t *testing.T, cases []fakeCase) {
	for _, tt := range cases {
		t.Run(tt.name, func(t *testing.T) {
			overFake(t, &tt.origin, func(t *testing.T, e *fakeEnv) {
				e.dialer.Policy = tt.policy
				if tt.prep != nil {
					tt.prep(e)
				}
				for i, want := range tt.dials {
					if i == 2 {
						e.dialer.CloseIdleConnections()
						time.Sleep(time.Second)
					}
					if got := e.account(nil); got != want {
						t.Errorf("dial %d: %s\n           want: %s", i+1, got, want)
					}
				}
				if got := e.remembered(); got != tt.memory {
					t.Errorf("remembered: %s\n            want: %s", got, tt.memory)
				}
				if n := e.origin.Counts().EarlyData; n != 0 {
					t.Errorf("DATA came %d times before the handshake was answered", n)
				}
			})
		})
	}
}

// What real servers do with a CONNECT that they do not know, with SETTINGS, frames and ALPN.
func TestBehaviours(t *testing.T) {
	runFakeCases(t, []fakeCase{
		{name: "new", origin: fake.Origin{Settings: fake.Flag, Connect: fake.Yes},
			dials:  asNew,
			memory: opened + " " + live},
		{name: "new, 500 on early DATA", origin: fake.Origin{Settings: fake.Flag, Connect: fake.Yes, Early: fake.Status(500)},
			dials:  asNew,
			memory: opened + " " + live},
		{name: "new, GOAWAY on a frame on an idle stream", origin: fake.Origin{Settings: fake.Flag, Connect: fake.Yes, Idle: fake.GoAway},
			dials:  asNew,
			memory: opened + " " + live},
		{name: "the same, asked by WS_OPEN", origin: fake.Origin{Settings: fake.Flag, Connect: fake.Yes, Idle: fake.GoAway}, policy: weft.Policy{Rungs: rungs(weft.Frame, weft.Settings, weft.Upgrade)},
			dials:  [3]string{"4 settings:open upgrade:unused tcp=2", "1 settings:open tcp=0", "4 settings:open tcp=1"},
			memory: "frame=no(ignored, 1h0m0s) " + live},
		{name: "RST_STREAM PROTOCOL_ERROR", origin: fake.Origin{Connect: fake.Reset},
			dials:  asOld,
			memory: noSetting + " " + upgraded},
		{name: "the connection dies of early DATA", origin: fake.Origin{Connect: fake.Reset, Early: fake.GoAway},
			dials:  asOld,
			memory: noSetting + " " + upgraded},
		{name: "400", origin: fake.Origin{Connect: fake.Status(400)},
			dials:  asOld,
			memory: noSetting + " " + upgraded},
		{name: "405 although it has the flag", origin: fake.Origin{Settings: fake.Flag, Connect: fake.Status(405)},
			dials:  inDoubt,
			memory: noDoubt + " " + upgraded},
		{name: "false accept", origin: fake.Origin{Connect: fake.Yes},
			dials:  asOld,
			memory: noSetting + " " + upgraded},
		{name: "false accept, SETTINGS with 0", origin: fake.Origin{Settings: "ENABLE_CONNECT_PROTOCOL=0", Connect: fake.Yes},
			dials:  asOld,
			memory: noSetting + " " + upgraded},
		{name: "false accept with a page behind it", origin: fake.Origin{Connect: fake.Yes + "DATA stream=%d \"<html>\" END_STREAM\n"},
			dials:  asOld,
			memory: noSetting + " " + upgraded},
		{name: "false accept before SETTINGS", origin: fake.Origin{Greeting: fake.Silence, Connect: fake.Yes + "SETTINGS\n"},
			dials:  asOld,
			memory: "settings=no(protocol, 1h0m0s) " + upgraded},
		{name: "false accept, 200 over HTTP/1.1 too", origin: fake.Origin{Connect: fake.Yes, Upgrade: fake.HTTP11(200)},
			dials:  [3]string{"4 assume:version upgrade:application error=application/200 tcp=2", "3 upgrade:application error=application/200 tcp=1", "3 upgrade:application error=application/200 tcp=1"},
			memory: noSetting},
		{name: "GOAWAY", origin: fake.Origin{Connect: fake.GoAway},
			dials:  asOld,
			memory: killed + " " + noSetting + " " + upgraded},
		{name: "GOAWAY in place of SETTINGS", origin: fake.Origin{Greeting: fake.GoAway},
			dials:  asOld,
			memory: "settings=no(protocol, 1h0m0s) " + upgraded},
		{name: "silence", origin: fake.Origin{},
			dials:  asOld,
			memory: noSetting + " " + upgraded},
		{name: "silence although it has the flag", origin: fake.Origin{Settings: fake.Flag},
			dials:  always("152 assume:silent upgrade:open trace=4 tcp=2"),
			memory: upgraded},
		{name: "421", origin: *fake.Answers(421),
			dials: [3]string{"3 assume:misdirected upgrade:unused error=misdirected/421 tcp=2", "1 settings:misdirected error=misdirected/421 tcp=0", "3 assume:misdirected upgrade:unused error=misdirected/421 tcp=2"}},
		{name: "425", origin: *fake.Answers(425),
			dials: [3]string{"4 assume:early upgrade:unused error=early/425 tcp=2", "2 settings:early settings:early error=early/425 tcp=0", "4 assume:early upgrade:unused error=early/425 tcp=2"}},
		{name: "425 once", origin: fake.Origin{Settings: fake.Flag, Connect: fake.Status(425), Later: fake.Yes},
			dials:  [3]string{"4 assume:open upgrade:unused tcp=2", "1 settings:open tcp=0", "4 assume:open tcp=1"},
			memory: "assume=yes(opened, 24h0m0s) settings=yes(opened, 24h0m0s)"},

		{name: "only http/1.1", origin: fake.Origin{ALPN: []string{"http/1.1"}},
			dials:  [3]string{"3 upgrade:open upgrade:unused tcp=2", "3 upgrade:open tcp=1", "3 upgrade:open tcp=1"},
			memory: noALPN + " " + upgraded},
		{name: "no ALPN", origin: fake.Origin{ALPN: []string{}},
			dials:  [3]string{"3 upgrade:open upgrade:unused tcp=2", "3 upgrade:open tcp=1", "3 upgrade:open tcp=1"},
			memory: noALPN + " " + upgraded},
		{name: "alert", origin: fake.Origin{Hello: fake.Alert},
			dials: always("2 assume:transport upgrade:unused error tcp=2")},
		{name: "alert to h2", origin: fake.Origin{Hello: fake.Alert, Pick: fake.SpareOnly(&fake.Origin{})},
			dials: always("2 assume:transport upgrade:unused error tcp=2")},
		{name: "names h3, which was not offered", origin: fake.Origin{Hello: fake.ServerHello("h3") + fake.Silence},
			dials: always("2 assume:transport upgrade:unused error tcp=2")},
		{name: "token: takes http/1.1", origin: fake.Origin{}, policy: weft.Policy{Rungs: rungs(weft.Token, weft.Upgrade)},
			dials:  always("3 upgrade:open tcp=1"),
			memory: upgraded},
		{name: "token: no ALPN", origin: fake.Origin{ALPN: []string{}}, policy: weft.Policy{Rungs: rungs(weft.Token, weft.Upgrade)},
			dials:  always("3 upgrade:open tcp=1"),
			memory: upgraded},
		{name: "token: alert", origin: fake.Origin{Hello: fake.Alert}, policy: weft.Policy{Rungs: rungs(weft.Token, weft.Upgrade)},
			dials: always("2 token:transport error tcp=1")},
		{name: "token: taken", origin: fake.Origin{ALPN: []string{"wsoverh2"}, Connect: fake.Yes}, policy: weft.Policy{Rungs: rungs(weft.Token, weft.Upgrade)},
			dials:  [3]string{"3 token:open tcp=1", "1 token:open tcp=0", "3 token:open tcp=1"},
			memory: "token=yes(opened, 24h0m0s)"},
		{name: "token: taken back", origin: fake.Origin{ALPN: []string{"wsoverh2", "http/1.1"}, Settings: "ENABLE_CONNECT_PROTOCOL=0", Connect: fake.Yes}, policy: weft.Policy{Rungs: rungs(weft.Token, weft.Upgrade)},
			dials:  [3]string{"6 token:version upgrade:open tcp=2", "3 upgrade:open tcp=1", "3 upgrade:open tcp=1"},
			memory: "token=no(protocol, 1h0m0s) " + upgraded},

		{name: "hangs in TCP", prep: func(e *fakeEnv) { e.net.SetLink(serverAddr, simnet.Link{BlackHole: true}) },
			dials: always("300 assume:cancelled upgrade:unused error=cancelled/0 tcp=0")},
		{name: "hangs in TLS", origin: fake.Origin{Hello: fake.Silence},
			dials: always("300 assume:cancelled upgrade:unused error=cancelled/0 tcp=2")},
		{name: "hangs before SETTINGS", origin: fake.Origin{Greeting: fake.Silence, Deaf: true, Pick: fake.SpareOnly(&fake.Origin{})},
			dials:  always("103 assume:silent upgrade:open trace=4 tcp=2"),
			memory: upgraded},
		{name: "hangs before SETTINGS, and in the Upgrade", origin: fake.Origin{Greeting: fake.Silence, Deaf: true},
			dials: always("300 assume:silent upgrade:silent error tcp=2")},
		{name: "hangs in the Upgrade", origin: fake.Origin{ALPN: []string{"http/1.1"}, Upgrade: fake.Silence},
			dials:  [3]string{"300 upgrade:silent upgrade:unused error tcp=2", "300 upgrade:silent error tcp=1", "300 upgrade:silent error tcp=1"},
			memory: noALPN},
		{name: "hangs in the Upgrade on the spare", origin: fake.Origin{Upgrade: fake.Silence},
			dials:  [3]string{"300 assume:version upgrade:silent error tcp=2", "300 upgrade:silent error tcp=1", "300 upgrade:silent error tcp=1"},
			memory: noSetting},
	})
}

// yesOnTheSecond lets the origin change its mind while a dial is under way.
func yesOnTheSecond(e *fakeEnv) {
	time.AfterFunc(rtt*5/2+rtt/4, func() { e.origin.Set(&fake.Origin{Settings: fake.Flag, Connect: fake.Yes}) })
}

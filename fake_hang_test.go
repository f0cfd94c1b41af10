package weft_test

import (
	"context"
	"net"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/weftws/weft"
	fake "github.com/weftws/weft/internal/fakeorigin"
	"github.com/weftws/weft/internal/simnet"
)

// hangTCP makes the connections n of a dial, counted from 1, never come about.
func (e *fakeEnv) hangTCP(hangs ...int) {
	var made atomic.Int32 // one after the other: the spare is staggered
	e.dialer.NetDial = func(ctx context.Context, network, addr string) (net.Conn, error) {
		if slices.Contains(hangs, int(made.Add(1))) {
			<-ctx.Done()
			return nil, context.Cause(ctx)
		}
		return e.net.DialContext(ctx, network, addr)
	}
}

// stall makes what the server says on a dial's connections late, in their order.
func (e *fakeEnv) stall(by ...time.Duration) {
	var faults []simnet.Fault
	for i, d := range by {
		faults = append(faults, simnet.Fault{Conn: i + 1, Kind: simnet.Stall, For: d})
	}
	e.net.SetFaults(serverAddr, faults...)
}

// A spare that hangs when it is needed costs some hundred milliseconds and one connection more; a spare that is slow costs what it is late,
// and no connection.
func TestSpareThatHangs(t *testing.T) {
	silent := fake.Origin{Hello: fake.Silence}
	for _, tt := range []struct {
		name   string
		origin fake.Origin
		policy weft.Policy
		prep   func(e *fakeEnv)
		want   string
	}{
		{name: "in TLS", origin: fake.Origin{Pick: firstSpare(&silent)},
			want: "9 assume:version upgrade:unused upgrade:open trace=6 tcp=3"},
		{name: "in TLS, eager", origin: fake.Origin{Pick: firstSpare(&silent)}, policy: weft.Policy{Spare: weft.Eager},
			want: "8 assume:version upgrade:unused upgrade:open trace=6 tcp=3"},
		{name: "in TLS, half of the ServerHello", origin: fake.Origin{Pick: firstSpare(&fake.Origin{Hello: fake.ServerHello("http/1.1")[:9] + fake.Silence})},
			want: "9 assume:version upgrade:unused upgrade:open trace=6 tcp=3"},
		{name: "in TCP", prep: func(e *fakeEnv) { e.hangTCP(2) },
			want: "9 assume:version upgrade:unused upgrade:open trace=6 tcp=2"},
		{name: "and was needed late", origin: fake.Origin{Settings: fake.Flag, Connect: fake.Status(501), Delay: 10 * rtt, Pick: firstSpare(&silent)},
			want: "26 assume:version upgrade:unused upgrade:open trace=6 tcp=3"}, // at once: it has had its time
		{name: "and was never needed", origin: fake.Origin{Settings: fake.Flag, Connect: fake.Yes, Delay: 10 * rtt, Pick: firstSpare(&silent)},
			want: "13 assume:open upgrade:unused trace=3 tcp=2"},
		{name: "and so does the other", prep: func(e *fakeEnv) { e.hangTCP(2, 3); e.dialer.HandshakeTimeout = 5 * time.Second },
			want: "50 assume:version upgrade:cancelled upgrade:unused error=cancelled/0 tcp=1"},
		{name: "and the other fails", prep: func(e *fakeEnv) {
			e.hangTCP(2)
			e.net.SetFaults(serverAddr, simnet.Fault{Conn: 2, Kind: simnet.RST})
			e.dialer.HandshakeTimeout = 5 * time.Second
		}, want: "50 assume:version upgrade:cancelled upgrade:unused error=cancelled/0 tcp=2"},
		{name: "a little", prep: func(e *fakeEnv) { e.stall(0, 3*rtt) },
			want: "6 assume:version upgrade:open trace=4 tcp=2"},
		{name: "and is first all the same", prep: func(e *fakeEnv) { e.stall(0, 5*rtt) },
			want: "8 assume:version upgrade:open upgrade:unused trace=4 tcp=3"},
		{name: "because the path is slow", prep: func(e *fakeEnv) { e.stall(9*rtt, 18*rtt) },
			want: "21 assume:version upgrade:open trace=4 tcp=2"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			overFake(t, &tt.origin, func(t *testing.T, e *fakeEnv) {
				e.dialer.Policy = tt.policy
				if tt.prep != nil {
					tt.prep(e)
				}
				if got := e.account(nil); got != tt.want {
					t.Errorf("%s\nwant: %s", got, tt.want)
				}
				if n := e.origin.Counts(); n.Upgrades > 1 {
					t.Errorf("%d Upgrades", n.Upgrades)
				}
			})
		})
	}
}

// A first connection that hangs costs some hundred milliseconds if there is a spare, and no connection; nothing is remembered of it, so that the
// next dial does as ever. One that is slow is waited for.
func TestFirstThatHangs(t *testing.T) {
	silent := fake.Origin{Hello: fake.Silence}
	good := fake.Origin{Settings: fake.Flag, Connect: fake.Yes}
	with := func(pick func([]string) *fake.Origin) fake.Origin { o := good; o.Pick = pick; return o }
	const (
		asEver = "3 assume:open upgrade:unused tcp=2"
		inTLS  = "no answer in TLS within 500ms; another connection was faster"
		never  = "dial took too long: no connection had been made"
	)
	for _, tt := range []struct {
		name   string
		origin fake.Origin
		policy weft.Policy
		prep   func(e *fakeEnv)
		want   string
		reason string // of the first attempt
		memory string // after the dial
		next   string // dial; "": none
	}{
		{name: "in TLS", origin: with(firstMain(&silent)),
			want: "7 assume:unused upgrade:open trace=4 tcp=2", reason: inTLS, memory: upgraded, next: asEver},
		{name: "in TLS, eager", origin: with(firstMain(&silent)), policy: weft.Policy{Spare: weft.Eager},
			want: "7 assume:unused upgrade:open trace=3 tcp=2", reason: inTLS, memory: upgraded, next: asEver},
		{name: "in TLS, half of the ServerHello", origin: with(firstMain(&fake.Origin{Hello: fake.ServerHello("h2")[:9] + fake.Silence})),
			want: "7 assume:unused upgrade:open trace=4 tcp=2", reason: inTLS, memory: upgraded, next: asEver},
		{name: "in TLS, and the spare is slow", origin: with(firstMain(&silent)), prep: func(e *fakeEnv) { e.stall(0, 9*rtt) },
			want: "22 assume:unused upgrade:open trace=4 tcp=2", reason: "no answer in TLS within 2s; another connection was faster", memory: upgraded, next: asEver},
		{name: "in TCP", origin: good, prep: func(e *fakeEnv) { e.hangTCP(1) },
			want: "8 assume:unused upgrade:open trace=3 tcp=1", reason: "no TCP connection within 700ms; another connection was faster", memory: upgraded, next: asEver},
		{name: "a little", origin: good, prep: func(e *fakeEnv) { e.stall(rtt*49/10, 0) },
			want: "6.9 assume:open upgrade:unused trace=3 tcp=2", memory: opened},
		{name: "because the path is slow", origin: good, prep: func(e *fakeEnv) { e.stall(9*rtt, 4*rtt) },
			want: "11 assume:open upgrade:unused trace=3 tcp=2", memory: opened},
		{name: "and so does the spare", origin: with(func([]string) *fake.Origin { return &silent }), prep: func(e *fakeEnv) { e.dialer.HandshakeTimeout = 5 * time.Second },
			want: "50 assume:cancelled upgrade:unused error=cancelled/0 tcp=2", reason: never},
		{name: "and there is no spare", origin: with(firstMain(&silent)), policy: weft.Policy{Spare: weft.Never}, prep: func(e *fakeEnv) { e.dialer.HandshakeTimeout = 5 * time.Second },
			want: "50 assume:cancelled error=cancelled/0 tcp=1", reason: never, next: "3 assume:open tcp=1"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			overFake(t, &tt.origin, func(t *testing.T, e *fakeEnv) {
				e.dialer.Policy = tt.policy
				if tt.prep != nil {
					tt.prep(e)
				}
				if got := e.account(nil); got != tt.want {
					t.Errorf("%s\nwant: %s", got, tt.want)
				}
				if got := e.last[0].Reason; got != tt.reason {
					t.Errorf("the first: %q, want %q", got, tt.reason)
				}
				if n := e.origin.Counts(); n.Upgrades+n.Connects > 1 {
					t.Errorf("%d Upgrades, %d CONNECTs", n.Upgrades, n.Connects)
				}
				if got := e.remembered(); got != tt.memory {
					t.Errorf("remembered: %s, want %s", got, tt.memory)
				}
				e.net.SetFaults(serverAddr)
				e.dialer.NetDial = e.net.DialContext
				if tt.next == "" {
					return
				}
				if got := e.account(nil); got != tt.next {
					t.Errorf("the next dial: %s, want %s", got, tt.next)
				}
			})
		})
	}
}

// Dials that wait for another one's first connection to find out wait no longer than that does.
func TestFirstThatHangsFreesOthers(t *testing.T) {
	o := fake.Origin{Settings: fake.Flag, Connect: fake.Yes, Pick: firstMain(&fake.Origin{Hello: fake.Silence})}
	overFake(t, &o, func(t *testing.T, e *fakeEnv) {
		start := time.Now()
		for range 3 {
			go func() {
				c, _, err := e.dialer.Dial(e.ctx, e.url+"/", nil)
				if err != nil {
					t.Error(err)
					return
				}
				c.Close(weft.StatusNormalClosure, "")
			}()
		}
		time.Sleep(20 * rtt)
		if n := e.origin.Counts(); n.WebSockets != 3 {
			t.Errorf("%d of 3 WebSockets are open after %v", n.WebSockets, time.Since(start))
		}
	})
}

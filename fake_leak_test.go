package weft_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/weftws/weft"
	fake "github.com/weftws/weft/internal/fakeorigin"
	"github.com/weftws/weft/internal/simnet"
	"github.com/weftws/weft/negotiate"
)

// fork returns another Dialer with the same memory.
func (e *fakeEnv) fork() *weft.Dialer {
	return &weft.Dialer{TLSConfig: e.dialer.TLSConfig.Clone(), NetDial: e.net.DialContext, Memory: e.memory}
}

// What one origin teaches is nobody else's business, though all share one memory.
func TestNothingIsLearntForOthers(t *testing.T) {
	unknown := "4 assume:version upgrade:open"
	for _, tt := range []struct {
		name  string
		other func(e *fakeEnv) // makes the next dial another's
		want  string
	}{
		{"the same origin", func(*fakeEnv) {}, "3 upgrade:open"},
		{"another Dialer", func(e *fakeEnv) { e.dialer = e.fork() }, "3 upgrade:open"},
		{"another host", func(e *fakeEnv) { e.url = "wss://www.example.com:443" }, unknown},
		{"another port", func(e *fakeEnv) {
			s := fake.Start(e.net, "10.0.0.2:444", e.cert, &fake.Origin{Connect: fake.Yes})
			e.t.Cleanup(s.Close)
			e.url = "wss://example.com:444"
		}, unknown},
		{"another partition", func(e *fakeEnv) { e.dialer = e.fork(); e.dialer.Partition = "b" }, unknown},
		{"another client certificate", func(e *fakeEnv) {
			e.dialer = e.fork()
			cert, _ := simnet.Certificate("client")
			e.dialer.TLSConfig.Certificates = []tls.Certificate{cert}
		}, unknown},
		{"other roots", func(e *fakeEnv) {
			e.dialer = e.fork()
			_, other := simnet.Certificate("another")
			other.AddCert(e.cert.Leaf)
			e.dialer.TLSConfig.RootCAs = other
		}, unknown},
		{"another policy", func(e *fakeEnv) { e.dialer.Policy.Rungs = rungs(weft.H21, weft.Assume, weft.Upgrade) }, unknown},
	} {
		t.Run(tt.name, func(t *testing.T) {
			overFake(t, &fake.Origin{Connect: fake.Yes}, func(t *testing.T, e *fakeEnv) {
				first := e.dialer
				defer func() { first.Close() }()
				e.account(nil)
				e.dialer.CloseIdleConnections()
				time.Sleep(time.Second)
				tt.other(e)
				if got := e.account(nil); !strings.HasPrefix(got, tt.want+" tcp=") {
					t.Errorf("%s, want %s", got, tt.want)
				}
			})
		})
	}
}

// An alternative service that one origin names is no other's.
func TestAlternativesStayWithTheirOrigin(t *testing.T) {
	o := naming(8443)
	overFake(t, &o, func(t *testing.T, e *fakeEnv) {
		e.dialer.Policy = withAlt
		alternative("example.com", fake.Origin{Settings: fake.Flag, Connect: fake.Yes})(e)
		e.account(nil)
		home := e.url
		e.url = "wss://www.example.com:443"
		if got, want := e.account(nil), "3 upgrade:open upgrade:unused tcp=2"; got != want {
			t.Errorf("another origin: %s, want %s", got, want)
		}
		e.url = home
		if got, want := e.account(nil), "3 assume:open tcp=0"; got != want {
			t.Errorf("the origin: %s, want %s", got, want)
		}
	})
}

// firstSpare is a Pick: b has the first connection that offers http/1.1 and nothing else.
func firstSpare(b *fake.Origin) func(alpn []string) *fake.Origin {
	return firstThat(func(alpn []string) bool { return len(alpn) == 1 }, b)
}

// firstMain is a Pick: b has the first connection that offers more than http/1.1.
func firstMain(b *fake.Origin) func(alpn []string) *fake.Origin {
	return firstThat(func(alpn []string) bool { return len(alpn) > 1 }, b)
}

func firstThat(is func(alpn []string) bool, b *fake.Origin) func(alpn []string) *fake.Origin {
	var done atomic.Bool
	return func(alpn []string) *fake.Origin {
		if is(alpn) && !done.Swap(true) {
			return b
		}
		return nil
	}
}

// A spare that fails, whenever and however it does, is a spare that was not needed: the dial ends as the first connection has it, or
// falls back on another one.
func TestFailedSpareNeverSurfaces(t *testing.T) {
	const timeout = "HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
	spares := map[string]*fake.Origin{
		"refused": nil, "alert": {Hello: fake.Alert}, "RST in TLS": {Hello: fake.RST}, "FIN in TLS": {Hello: fake.FIN}, "no TLS": {Hello: timeout + fake.FIN},
		"other ALPN": {Hello: fake.ServerHello("h2") + fake.Silence},
	}
	for name, says := range map[string]string{
		"408, end": timeout + fake.CloseNotify, "408": timeout + fake.Silence, "close_notify": fake.CloseNotify, "FIN": fake.FIN, "RST": fake.RST,
	} {
		for quarter := 1; quarter < 22; quarter += 3 { // before the Upgrade, while it is under way, and never
			spares[fmt.Sprintf("%s after %d", name, quarter)] = &fake.Origin{Impatience: says, Patience: time.Duration(quarter) * rtt / 4}
		}
	}
	for _, first := range []struct {
		name   string
		origin fake.Origin
		want   string // in the account
		most   float64
	}{
		{"opens", fake.Origin{Settings: fake.Flag, Connect: fake.Yes, Delay: 4 * rtt}, "7 assume:open upgrade:unused trace=3 tcp=", 7},
		{"refuses", fake.Origin{Settings: fake.Flag, Connect: fake.Status(403), Delay: 4 * rtt}, "7 assume:application upgrade:unused error=application/403 tcp=", 7},
		{"falls back late", fake.Origin{Settings: fake.Flag, Connect: fake.Status(501), Delay: 4 * rtt}, " upgrade:open", 7 + 1 + 3 + 4},
		{"falls back", fake.Origin{}, " upgrade:open", 3 + 1 + 3},
	} {
		for name, spare := range spares {
			t.Run(first.name+"/"+name, func(t *testing.T) {
				o := first.origin
				if spare != nil {
					o.Pick = firstSpare(spare)
				}
				overFake(t, &o, func(t *testing.T, e *fakeEnv) {
					dials := 0 // one after the other: the spare is staggered
					e.dialer.NetDial = func(ctx context.Context, network, addr string) (net.Conn, error) {
						if dials++; dials == 2 && spare == nil {
							addr = "10.0.0.2:1"
						}
						return e.net.DialContext(ctx, network, addr)
					}
					got := e.account(nil)
					took, _ := strconv.ParseFloat(strings.Fields(got)[0], 64)
					if !strings.Contains(got, first.want) || took > first.most || strings.Contains(got, "broken") {
						t.Errorf("%s, want %s, at most %v", got, first.want, first.most)
					}
				})
			})
		}
	}
}

// The error is about what the server said to the request, not about the spare.
func TestErrorDoesNotBlameTheSpare(t *testing.T) {
	o := fake.Answers(403)
	o.Delay = 4 * rtt
	o.Pick = fake.SpareOnly(&fake.Origin{Impatience: fake.HTTP11(408) + fake.CloseNotify, Patience: rtt})
	overFake(t, o, func(t *testing.T, e *fakeEnv) {
		_, res, err := e.dialer.Dial(e.ctx, e.url, nil)
		de, _ := errors.AsType[*weft.DialError](err)
		if de == nil || de.Err.Error() != "weft: server answered 403 Forbidden" || res.StatusCode != 403 || de.Attempts[1].Verdict != "unused" {
			t.Errorf("%v", err)
		}
	})
}

// Cancelling a Dial at any time closes all that it has begun, in an orderly way: TLS that is up ends with close_notify or a reset, and an
// Upgrade is sent only where it is going to be used.
func TestCancelledAtAnyTime(t *testing.T) {
	for name, o := range map[string]fake.Origin{
		"new":           {Settings: fake.Flag, Connect: fake.Yes},
		"new, slow":     {Settings: fake.Flag, Connect: fake.Yes, Delay: 3 * rtt},
		"old":           {Connect: fake.Reset},
		"false accept":  {Connect: fake.Yes},
		"killed":        {Settings: fake.Flag, Connect: fake.GoAway},
		"in doubt":      {Settings: fake.Flag, Connect: fake.Status(404), Delay: 2 * rtt},
		"silent":        {Settings: fake.Flag, Upgrade: fake.Silence},
		"HTTP/1.1":      {ALPN: []string{"http/1.1"}},
		"HTTP/1.1 slow": {ALPN: []string{"http/1.1"}, Delay: 3 * rtt},
		"refused":       {Settings: fake.Flag, Connect: fake.Refused},
		"hangs in TLS":  {Hello: fake.Silence},
		"spare hangs":   {Pick: fake.SpareOnly(&fake.Origin{Hello: fake.Silence})},
	} {
		for _, spare := range []negotiate.SpareMode{weft.Staggered, weft.Eager, weft.Never} {
			t.Run(name+"/"+spare.String(), func(t *testing.T) {
				moments := []time.Duration{1} // before (-1), at and after what happens then
				if spare == negotiate.Staggered {
					moments = []time.Duration{-1, 0, 1}
				}
				for half := range time.Duration(15) {
					for _, moment := range moments {
						cancelAt(t, o, spare, max(half*rtt/2+moment, 0))
					}
				}
			})
		}
	}
}

func cancelAt(t *testing.T, o fake.Origin, spare negotiate.SpareMode, after time.Duration) {
	overFake(t, &o, func(t *testing.T, e *fakeEnv) {
		ctx, cancel := context.WithCancel(e.ctx)
		defer cancel()
		time.AfterFunc(after, cancel)
		start := time.Now()
		c, res, err := e.dialer.Dial(ctx, e.url, &weft.DialOptions{Policy: &weft.Policy{Spare: spare}})
		if took := time.Since(start); err != nil && took > after {
			t.Errorf("cancelled after %v it took %v", after, took)
		}
		overHTTP2 := false
		if err == nil {
			overHTTP2 = c.Trace().Version == "HTTP/2.0"
			c.CloseNow()
		} else if res != nil {
			res.Body.Close()
		} else if !errors.Is(err, context.Canceled) {
			t.Errorf("after %v: %v", after, err)
		}
		time.Sleep(time.Second)
		e.dialer.CloseIdleConnections() // that the server allows no WebSockets was not found out in vain
		time.Sleep(time.Second)
		counts := e.origin.Counts()
		if n := e.origin.Conns(); n != 0 {
			t.Errorf("cancelled after %v: %d connections are left", after, n)
		}
		// Where TLS was just done crypto/tls may close the connection, as where both are ready at once; and a WebSocket that has just opened
		// is aborted.
		if after%(rtt/2) != 0 && spare != weft.Eager && counts.FIN > counts.WebSockets {
			t.Errorf("cancelled after %v: %d connections ended without close_notify", after, counts.FIN)
		}
		if counts.Upgrades > 1 || overHTTP2 && counts.Upgrades > 0 {
			t.Errorf("cancelled after %v: %d Upgrades", after, counts.Upgrades)
		}
	})
}

// The loser is closed at the level of TLS as soon as the winner is known.
func TestLoserIsClosed(t *testing.T) {
	for _, mode := range []negotiate.SpareMode{weft.Staggered, weft.Eager} {
		overFake(t, &fake.Origin{Settings: fake.Flag, Connect: fake.Yes, Delay: 2 * rtt}, func(t *testing.T, e *fakeEnv) {
			e.dialer.Policy.Spare = mode
			c := e.dial("/", nil)
			defer c.CloseNow()
			time.Sleep(rtt/2 + 1)
			if n := e.origin.Counts(); n.CloseNotify != 1 || n.TLS != 2 || n.Upgrades != 0 || e.origin.Conns() != 1 {
				t.Errorf("%s: %d connections, %d of 2 closed by close_notify, %d Upgrades", mode, e.origin.Conns(), n.CloseNotify, n.Upgrades)
			}
		})
	}
}

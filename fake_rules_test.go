package weft_test

import (
	"context"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/weftws/weft"
	fake "github.com/weftws/weft/internal/fakeorigin"
	"github.com/weftws/weft/internal/simnet"
)

// The rules that make assuming safe. Each test says what happens without its rule.

// 1. Send early, accept strictly: a 2xx counts only if the server's first SETTINGS carried ENABLE_CONNECT_PROTOCOL = 1.
//
// Without it the dial "succeeds" after 3 round trips by assume, over a stream on which nobody speaks WebSocket.
func TestRule1AcceptStrictly(t *testing.T) {
	page := fake.Yes + "DATA stream=%d \"<html>\"\n"
	for name, o := range map[string]fake.Origin{
		"no flag":                   {Connect: page},
		"flag 0":                    {Settings: "ENABLE_CONNECT_PROTOCOL=0", Connect: page},
		"flag 2":                    {Settings: "ENABLE_CONNECT_PROTOCOL=2", Connect: page},
		"answer before SETTINGS":    {Greeting: fake.Silence, Connect: page + "SETTINGS " + fake.Flag + "\n"},
		"flag in later SETTINGS":    {Connect: "SETTINGS " + fake.Flag + "\n" + page},
		"flag, and then taken back": {Settings: fake.Flag, Connect: "SETTINGS ENABLE_CONNECT_PROTOCOL=0\n" + page},
	} {
		t.Run(name, func(t *testing.T) {
			overFake(t, &o, func(t *testing.T, e *fakeEnv) {
				c, n := e.countRTT(nil)
				defer c.CloseNow()
				wantRTT(t, "dial", c, n, 4)
				if r := c.Trace().Rung; r != weft.Upgrade {
					t.Errorf("open by %s", r)
				}
				if err := e.hello(c); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

// What SETTINGS say later holds from then on: the connection that was kept carries the next WebSocket.
func TestRule1LaterSettings(t *testing.T) {
	overFake(t, &fake.Origin{Connect: fake.Reset + "SETTINGS " + fake.Flag + "\n", Later: fake.Yes}, func(t *testing.T, e *fakeEnv) {
		for i, want := range []string{"4 assume:version upgrade:open tcp=2", "1 settings:open tcp=0"} {
			if got := e.account(nil); got != want {
				t.Errorf("dial %d: %s, want %s", i+1, got, want)
			}
		}
	})
}

// 2. Only on a fresh connection that carries nothing else.
//
// Without it the GOAWAY that the CONNECT brings about would end a connection that others use, and each of the dials that start together
// would send one.
func TestRule2FreshConnectionsOnly(t *testing.T) {
	t.Run("live", func(t *testing.T) {
		overFake(t, &fake.Origin{Connect: fake.GoAway}, func(t *testing.T, e *fakeEnv) {
			for i, policy := range []weft.Policy{{Strict: true}, {}, {Spare: weft.Never}} {
				e.account(&weft.DialOptions{Policy: &policy})
				if n := e.origin.Counts().Connects; n != 0 {
					t.Errorf("after dial %d: %d CONNECTs on a live connection", i+1, n)
				}
			}
		})
	})
	t.Run("together", func(t *testing.T) {
		overFake(t, &fake.Origin{Connect: fake.GoAway}, func(t *testing.T, e *fakeEnv) {
			var wg sync.WaitGroup
			for range 8 {
				wg.Go(func() {
					c, _, err := e.dialer.Dial(e.ctx, e.url, nil)
					if err != nil {
						t.Error(err)
						return
					}
					c.CloseNow()
				})
			}
			wg.Wait()
			if n := e.origin.Counts().Connects; n != 1 {
				t.Errorf("%d CONNECTs, want 1", n)
			}
		})
	})
}

// 3. No DATA before the 2xx, on any rung.
//
// Without it, as where a first message rides in the first flight, this server would answer 500.
func TestRule3NoEarlyData(t *testing.T) {
	for _, rung := range []weft.Rung{weft.Upgrade, weft.Settings, weft.Assume, weft.Token, weft.H21, weft.Frame} {
		t.Run(string(rung), func(t *testing.T) {
			overFake(t, &fake.Origin{
				ALPN: []string{"wsoverh2", "h2.1", "h2", "http/1.1"}, Settings: fake.Flag, Connect: fake.Yes, Early: fake.Status(500),
				WSOpen: "WS_ACCEPT id=%d nonce=%x\n" + fake.Yes, Delay: 5 * rtt,
			}, func(t *testing.T, e *fakeEnv) {
				c := e.dial("/", &weft.DialOptions{Policy: &weft.Policy{Rungs: rungs(rung)}, CompressionMode: weft.CompressionContextTakeover})
				defer c.CloseNow()
				if err := e.hello(c); err != nil {
					t.Error(err)
				}
				if n := e.origin.Counts(); n.EarlyData != 0 || n.WebSockets != 1 {
					t.Errorf("DATA %d times before the answer, %d WebSockets", n.EarlyData, n.WebSockets)
				}
			})
		})
	}
}

// 4. Remember, and never punish on evidence that an outsider can forge.
//
// Without it who can inject a RST or swallow packets would keep this client on HTTP/1.1 for days.
func TestRule4NothingForged(t *testing.T) {
	for _, tt := range []struct {
		name   string
		origin fake.Origin
		link   simnet.Link
		memory string // of HTTP/2
	}{
		{name: "RST over the CONNECT", origin: fake.Origin{Settings: fake.Flag, Connect: fake.RST}, memory: lost},
		{name: "FIN over the CONNECT", origin: fake.Origin{Settings: fake.Flag, Connect: fake.FIN}, memory: lost},
		{name: "RST in place of SETTINGS", origin: fake.Origin{Greeting: fake.RST}, memory: lost},
		{name: "silence", origin: fake.Origin{Greeting: fake.Silence, Deaf: true}},
		{name: "silence behind SETTINGS", origin: fake.Origin{Settings: fake.Flag, Deaf: true}},
		{name: "RST in TLS", origin: fake.Origin{Hello: fake.RST}},
		{name: "alert in TLS", origin: fake.Origin{Hello: fake.Alert}},
		{name: "refused", link: simnet.Link{Refuse: true}},
		{name: "black hole", link: simnet.Link{BlackHole: true}},
		{name: "GOAWAY without TLS", origin: fake.Origin{Plain: true, ALPN: []string{"h2"}, Connect: fake.GoAway}, memory: lost + " settings=no(settings, 10m0s)"},
		{name: "501 without TLS", origin: fake.Origin{Plain: true, ALPN: []string{"h2"}, Settings: fake.Flag, Connect: fake.Status(501)}, memory: "settings=no(status, 10m0s)"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			overFake(t, &tt.origin, func(t *testing.T, e *fakeEnv) {
				e.net.SetLink(serverAddr, tt.link)
				e.dialer.PriorKnowledge = tt.origin.Plain
				e.account(nil)
				got := strings.TrimSuffix(strings.TrimSuffix(e.remembered(), upgraded), " ")
				if got != tt.memory {
					t.Errorf("remembered %s, want %s", got, tt.memory)
				}
				// When it is over, HTTP/2 carries the WebSocket, after ten minutes at the latest in the first flight.
				e.net.SetLink(serverAddr, simnet.Link{})
				e.origin.Set(&fake.Origin{Plain: tt.origin.Plain, ALPN: tt.origin.ALPN, Settings: fake.Flag, Connect: fake.Yes})
				time.Sleep(10 * time.Minute)
				c := e.dial("/", nil)
				defer c.CloseNow()
				if r := c.Trace().Rung; r != weft.Assume {
					t.Errorf("afterwards the rung is %s", r)
				}
			})
		})
	}
}

// 5. The application's answer is final.
//
// Without it the fallback would ask a second time: here a wrong password would count twice.
func TestRule5ApplicationIsFinal(t *testing.T) {
	for _, status := range []int{302, 401, 403, 407, 409, 418, 429, 500, 502, 503} {
		overFake(t, fake.Answers(status), func(t *testing.T, e *fakeEnv) {
			e.account(nil)
			if n := e.origin.Counts(); len(n.Handshakes) != 1 || n.Handshakes[0].Status != status {
				t.Errorf("%d: the application was asked %d times", status, len(n.Handshakes))
			}
		})
	}
}

// 6. Falling back may run the handshake twice; with Once it does not, nor after silence.
//
// Without it a ticket that is good for one handshake would be used up by the one that does not count.
func TestRule6Once(t *testing.T) {
	for _, tt := range []struct {
		name        string
		origin      fake.Origin
		once, twice []string // handshakes that an application may have seen
		opens       bool     // with Once
	}{
		{"false accept", fake.Origin{Connect: fake.Yes}, []string{"GET"}, []string{"CONNECT", "GET"}, true},
		{"GOAWAY", fake.Origin{Connect: fake.GoAway}, []string{"GET"}, []string{"CONNECT", "GET"}, true},
		{"silence", fake.Origin{Settings: fake.Flag}, []string{"CONNECT"}, []string{"CONNECT", "GET"}, false},
		{"RST", fake.Origin{Settings: fake.Flag, Connect: fake.RST}, []string{"CONNECT"}, []string{"CONNECT", "GET"}, false},
		{"new", fake.Origin{Settings: fake.Flag, Connect: fake.Yes}, []string{"CONNECT"}, []string{"CONNECT"}, true},
	} {
		for _, once := range []bool{false, true} {
			t.Run(tt.name, func(t *testing.T) {
				overFake(t, &tt.origin, func(t *testing.T, e *fakeEnv) {
					c, _, err := e.dialer.Dial(e.ctx, e.url+"/ticket", &weft.DialOptions{Policy: &weft.Policy{Once: once}})
					if err == nil {
						defer c.CloseNow()
					}
					want := map[bool][]string{false: tt.twice, true: tt.once}[once]
					var got []string
					for _, h := range e.origin.Counts().Handshakes {
						got = append(got, h.Method)
						if h.Path != "/ticket" {
							t.Errorf("path %q", h.Path)
						}
					}
					if !slices.Equal(got, want) || (err == nil) != (tt.opens || !once) {
						t.Errorf("once=%t: handshakes %v, want %v; %v", once, got, want, err)
					}
				})
			})
		}
	}
}

// 7. Strict switches everything unnegotiated off.
//
// Without it there is a spare, a CONNECT before SETTINGS, a token or a frame that no RFC knows.
func TestRule7Strict(t *testing.T) {
	var mu sync.Mutex
	var offers [][]string
	o := fake.Origin{
		ALPN: []string{"wsoverh2", "h2.1", "h2", "http/1.1"}, Settings: fake.Flag, Connect: fake.Yes, WSOpen: "WS_ACCEPT id=%d nonce=%x\n" + fake.Yes,
		Pick: func(alpn []string) *fake.Origin {
			mu.Lock()
			defer mu.Unlock()
			offers = append(offers, alpn)
			return nil
		},
	}
	overFake(t, &o, func(t *testing.T, e *fakeEnv) {
		e.dialer.Policy = weft.Policy{Strict: true, Spare: weft.Eager, Rungs: rungs(weft.Upgrade, weft.Settings, weft.Assume, weft.Token, weft.H21, weft.Frame)}
		ctx, cancel := context.WithTimeout(e.ctx, 3*rtt-rtt/4) // the server's SETTINGS are about to arrive
		_, _, err := e.dialer.Dial(ctx, e.url, nil)
		cancel()
		time.Sleep(time.Second)
		if n := e.origin.Counts(); err == nil || n.Connects != 0 || n.TCP != 1 {
			t.Errorf("before SETTINGS: %v, %d CONNECTs, %d connections", err, n.Connects, n.TCP)
		}
		c, k := e.countRTT(nil)
		defer c.CloseNow()
		wantRTT(t, "strict", c, k, 4)
		mu.Lock()
		defer mu.Unlock()
		for _, got := range offers {
			if !slices.Equal(got, []string{"h2", "http/1.1"}) {
				t.Errorf("ALPN %v", got)
			}
		}
		counts := e.origin.Counts()
		if slices.ContainsFunc(counts.Frames, func(f string) bool { return strings.HasPrefix(f, "WS_OPEN") }) || counts.TCP != 2 {
			t.Errorf("%d connections, frames %q", counts.TCP, counts.Frames)
		}
	})
}

// Nor is a connection prepared beside one to an alternative service.
func TestRule7StrictAlternative(t *testing.T) {
	o := naming(8443)
	overFake(t, &o, func(t *testing.T, e *fakeEnv) {
		e.dialer.Policy = weft.Policy{Strict: true, Spare: weft.Eager, Rungs: rungs(weft.AltSvc, weft.Upgrade, weft.Settings)}
		alternative("example.com", fake.Origin{Settings: fake.Flag, Connect: fake.Yes})(e)
		for i, want := range []string{"3 upgrade:open tcp=1", "4 settings:open tcp=0"} {
			if got := e.account(nil); got != want {
				t.Errorf("dial %d: %s, want %s", i+1, got, want)
			}
		}
	})
}

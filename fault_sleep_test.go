package weft_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/weftws/weft"
	"github.com/weftws/weft/internal/simnet"
)

// A sleeper is a client that keeps a WebSocket by a Reconnector, and writes a number each second; and a server that sends the numbers back. One of
// their machines sleeps.
type sleeper struct {
	*env
	mu       sync.Mutex
	sessions map[string]*sleepSession
}

// A sleepSession is what both ends of one WebSocket saw.
type sleepSession struct {
	opened         time.Time
	sent           int   // the numbers below it
	arrived, back  []int // at the server, at the client
	serverErr, err error // with which reading ended
}

func newSleeper(t *testing.T, n *simnet.Network, c carrier, clientAsks, serverAsks time.Duration) *sleeper {
	s := &sleeper{sessions: make(map[string]*sleepSession)}
	s.env = newEnv(t, n, c, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, err := weft.Accept(w, r, &weft.AcceptOptions{KeepAlive: serverAsks})
		if err != nil {
			return
		}
		defer c.CloseNow()
		session := s.session(r.URL.RawQuery)
		for {
			typ, p, err := c.Read(context.Background())
			s.mu.Lock()
			if err != nil {
				session.serverErr = err
				s.mu.Unlock()
				return
			}
			i, _ := strconv.Atoi(string(p))
			session.arrived = append(session.arrived, i)
			s.mu.Unlock()
			c.Write(context.Background(), typ, p)
		}
	}), func(s *weft.Server) { s.Options.KeepAlive = serverAsks })
	s.dialer.KeepAlive = clientAsks
	return s
}

func (s *sleeper) session(query string) *sleepSession {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.sessions[query] == nil {
		s.sessions[query] = new(sleepSession)
	}
	return s.sessions[query]
}

// keep writes and reads until ctx ends.
func (s *sleeper) keep(ctx context.Context) error {
	dials := 0
	r := &weft.Reconnector{Dial: func(ctx context.Context) (*weft.Conn, *http.Response, error) {
		dials++
		return s.dialer.Dial(ctx, fmt.Sprintf("%s/?%d", s.url, dials), nil)
	}}
	return r.Run(ctx, func(ctx context.Context, c *weft.Conn) error {
		session := s.session(strconv.Itoa(dials))
		session.opened = time.Now()
		over := make(chan error, 1)
		go func() {
			for {
				_, p, err := c.Read(context.Background())
				if err != nil {
					s.mu.Lock()
					session.err = err
					s.mu.Unlock()
					over <- err
					return
				}
				i, _ := strconv.Atoi(string(p))
				s.mu.Lock()
				session.back = append(session.back, i)
				s.mu.Unlock()
			}
		}()
		tick := time.NewTicker(time.Second)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				if err := c.Write(ctx, weft.MessageText, strconv.AppendInt(nil, int64(session.sent), 10)); err != nil {
					c.CloseNow()
					return errors.Join(err, <-over)
				}
				session.sent++
			case err := <-over:
				return err
			case <-ctx.Done():
				time.Sleep(time.Second) // the last comes back
				c.Close(weft.StatusNormalClosure, "")
				return <-over
			}
		}
	})
}

// sleep has the machine sleep for d: nothing comes, nothing goes, and new connections cannot be made.
func (s *sleeper) sleep(d time.Duration) {
	s.net.Sleep(serverAddr, d)
	s.net.SetLink(serverAddr, simnet.Link{BlackHole: true})
	s.net.SetUDP("", simnet.UDP{Block: true})
	time.Sleep(d)
	s.net.SetLink(serverAddr, simnet.Link{})
	s.net.SetUDP("", simnet.UDP{})
}

var endOfSleep = regexp.MustCompile(`was silent for (1m0s|the whole idle timeout)|did not answer a PING within 15s|(server|client) ended the connection: EOF`)

// A machine that sleeps for a few seconds has its WebSockets still. After an hour they go on where nobody has asked; else both ends have an error that says
// why, and a Reconnector has a new one. Whatever arrived arrived once and in order.
func TestSleep(t *testing.T) {
	const never = -1
	for _, c := range carriers {
		for _, tt := range []struct {
			sleep                  time.Duration
			clientAsks, serverAsks time.Duration
			goesOn                 bool
		}{
			{5 * time.Second, 0, 0, true},
			{time.Hour, 0, 0, false},
			{time.Hour, never, 0, false},
			{time.Hour, 0, never, false},
			{time.Hour, never, never, !c.quic}, // QUIC has an idle timeout
		} {
			t.Run(fmt.Sprint(c.name, tt), func(t *testing.T) {
				simnet.Run(t, rtt, func(t *testing.T, n *simnet.Network) {
					s := newSleeper(t, n, c, tt.clientAsks, tt.serverAsks)
					ctx, cancel := context.WithCancel(t.Context())
					ended := make(chan error)
					go func() { ended <- s.keep(ctx) }()
					time.Sleep(20500 * time.Millisecond)
					s.sleep(tt.sleep)
					woke := time.Now()
					time.Sleep(3 * time.Minute)
					cancel()
					<-ended
					time.Sleep(3 * time.Minute) // a server that asks finds out by then
					s.check(t, tt.goesOn, woke)
				})
			})
		}
	}
}

// check is what holds afterwards.
func (s *sleeper) check(t *testing.T, goesOn bool, woke time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	last := s.sessions["1"]
	for query, session := range s.sessions {
		if session.opened.After(last.opened) {
			last = session
		}
		for side, got := range map[string][]int{"server": session.arrived, "client": session.back} {
			for i, v := range got {
				if i != v {
					t.Errorf("session %s: message %d at the %s is %d", query, i, side, v)
					break
				}
			}
		}
		if len(session.back) > len(session.arrived) || len(session.arrived) > session.sent {
			t.Errorf("session %s: %d were sent, %d arrived, %d came back", query, session.sent, len(session.arrived), len(session.back))
		}
	}
	first := s.sessions["1"]
	if len(first.back) < 19 {
		t.Errorf("%d messages came back before the sleep", len(first.back))
	}
	if goesOn != (last == first) {
		t.Errorf("goes on: %v, want %v: %v", last == first, goesOn, first.err)
	}
	if last.sent < 60 || len(last.arrived) != last.sent || len(last.back) != last.sent {
		t.Errorf("%d were sent after the sleep, %d arrived, %d came back", last.sent, len(last.arrived), len(last.back))
	}
	if d := last.opened.Sub(woke); d > 2*time.Minute {
		t.Errorf("open again after %v", d)
	}
	if goesOn {
		return
	}
	for side, err := range map[string]error{"client": first.err, "server": first.serverErr} {
		if err == nil || weft.CloseStatus(err) != -1 || errors.Is(err, net.ErrClosed) || !endOfSleep.MatchString(err.Error()) {
			t.Errorf("the %s's end: %v", side, err)
		}
	}
}

// What a machine had that fell asleep, or never got on with a handshake, counts against its address until the server has found out, and an hour later
// certainly no more.
func TestSleepIsNotCounted(t *testing.T) {
	const most = 3
	for _, c := range carriers {
		t.Run(c.name, func(t *testing.T) {
			simnet.Run(t, rtt, func(t *testing.T, n *simnet.Network) {
				e := newEnv(t, n, c, http.HandlerFunc(echo), func(s *weft.Server) {
					s.Options.PerIP = weft.IPLimits{Connections: 2 * most, Handshakes: most, WebSockets: most, Exempt: []netip.Prefix{}}
				})
				for hour := range 3 {
					var conns []*weft.Conn
					for range most {
						conns = append(conns, e.dial("/", nil))
					}
					if _, _, err := e.dialer.Dial(e.ctx, e.url, nil); !strings.Contains(fmt.Sprint(err), "429") {
						t.Errorf("hour %d: one too many: %v", hour, err)
					}
					for range most {
						if c.quic {
							break
						}
						silent, err := n.DialContext(e.ctx, "tcp", serverAddr)
						if err != nil {
							t.Fatal(err)
						}
						defer silent.Close()
					}
					e.vanish()
					time.Sleep(time.Hour)
					n.SetUDP("", simnet.UDP{})
					for _, c := range conns {
						c.CloseNow()
					}
				}
			})
		})
	}
}

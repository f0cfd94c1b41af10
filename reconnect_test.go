package weft_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/weftws/weft"
	"github.com/weftws/weft/internal/simnet"
)

// retries notes what a Reconnector tells.
type retries struct {
	mu   sync.Mutex
	list []weft.Retry
}

func (r *retries) note(x weft.Retry) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.list = append(r.list, x)
}

func (e *env) reconnector(r *retries) *weft.Reconnector {
	return &weft.Reconnector{Dialer: e.dialer, URL: e.url, OnRetry: r.note}
}

// A server that says 1001 and one that drops the connection are dialed again, after the wait that was told, until f has what it wants.
func TestReconnect(t *testing.T) {
	var mu sync.Mutex
	var accepted []time.Time
	overEach(t, func(w http.ResponseWriter, r *http.Request) {
		c, err := weft.Accept(w, r, nil)
		if err != nil {
			return
		}
		mu.Lock()
		accepted = append(accepted, time.Now())
		n := len(accepted)
		mu.Unlock()
		c.Write(r.Context(), weft.MessageText, fmt.Append(nil, n))
		switch n {
		case 1:
			c.Close(weft.StatusGoingAway, "restart")
		case 2:
			time.Sleep(time.Second)
			c.CloseNow()
		default:
			c.Read(context.Background())
		}
	}, func(t *testing.T, e *env) {
		accepted = nil
		var told retries
		var got []string
		var ends []time.Time
		var last *weft.Conn
		err := e.reconnector(&told).Run(e.ctx, func(ctx context.Context, c *weft.Conn) error {
			last = c
			for {
				_, p, err := c.Read(ctx)
				if err != nil {
					ends = append(ends, time.Now())
					return fmt.Errorf("reading: %w", err)
				}
				if got = append(got, string(p)); len(got) == 3 {
					return nil
				}
			}
		})
		if err != nil || strings.Join(got, " ") != "1 2 3" {
			t.Fatalf("%q, %v", got, err)
		}
		if err := last.Write(e.ctx, weft.MessageText, nil); err == nil {
			t.Error("the Conn is open after Run")
		}
		for i, r := range told.list {
			if r.Count != i+1 || r.Wait >= 5*time.Second<<i {
				t.Errorf("retry %d: %+v", i+1, r)
			}
			if d := accepted[i+1].Sub(ends[i]) - r.Wait; d < 0 || d > 4*rtt {
				t.Errorf("retry %d came %v after its time", i+1, d)
			}
		}
		if len(told.list) != 2 || weft.CloseStatus(told.list[0].Err) != weft.StatusGoingAway || weft.CloseStatus(told.list[1].Err) != -1 {
			t.Errorf("told: %+v", told.list)
		}
	})
}

// What cannot get better is not tried twice, and Retry-After is obeyed where it can.
func TestReconnectStatuses(t *testing.T) {
	var mu sync.Mutex
	var asked []time.Time
	status, after := 0, ""
	h := func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		asked = append(asked, time.Now())
		again := len(asked) > 1
		mu.Unlock()
		if again {
			echo(w, r)
			return
		}
		w.Header().Set("Retry-After", after)
		w.WriteHeader(status)
	}
	simnet.Run(t, rtt, func(t *testing.T, n *simnet.Network) {
		e := newEnv(t, n, carriers[1], http.HandlerFunc(h), nil)
		for _, status = range []int{301, 401, 403, 404, 429, 501, 503} {
			for _, date := range []bool{false, true} {
				if asked, after = nil, "30"; date {
					after = time.Now().Add(30 * time.Second).UTC().Format(http.TimeFormat)
				}
				var told retries
				err := e.reconnector(&told).Run(e.ctx, func(context.Context, *weft.Conn) error { return nil })
				if again := status == 429 || status == 503; !again {
					if he, ok := errors.AsType[*weft.HandshakeError](err); !ok || he.StatusCode != status || len(asked) != 1 || len(told.list) != 0 {
						t.Errorf("%d: %v, asked %d times", status, err, len(asked))
					}
				} else if len(asked) != 2 {
					t.Errorf("%d: asked %d times", status, len(asked))
				} else if d := asked[1].Sub(asked[0]); d < 29*time.Second || d > 37*time.Second {
					t.Errorf("%d: asked again after %v, want 30 s and up to 5", status, d)
				}
			}
		}
	})
}

// The ways in which Run ends without a WebSocket.
func TestReconnectGivesUp(t *testing.T) {
	never := func(context.Context, *weft.Conn) error { panic("a WebSocket") }
	simnet.Run(t, rtt, func(t *testing.T, n *simnet.Network) {
		e := newEnv(t, n, carriers[1], http.HandlerFunc(echo), nil)
		n.SetLink(serverAddr, simnet.Link{Refuse: true})
		var told retries
		r := e.reconnector(&told)
		r.Backoff.Limit = 3
		err := r.Run(e.ctx, never)
		if de, ok := errors.AsType[*weft.DialError](err); !ok || de == nil || !strings.HasPrefix(err.Error(), "weft: gave up after 3 retries: ") || len(told.list) != 3 {
			t.Errorf("with a limit of 3: %v after %d retries", err, len(told.list))
		}

		r.Backoff = weft.Backoff{Base: time.Hour}
		for range 3 { // while it waits, once out of many times while it dials
			ctx, cancel := context.WithTimeout(e.ctx, 3*time.Second)
			start := time.Now()
			if err := r.Run(ctx, never); err != context.DeadlineExceeded || time.Since(start) != 3*time.Second {
				t.Errorf("with a context: %v after %v", err, time.Since(start))
			}
			cancel()
		}
		n.SetLink(serverAddr, simnet.Link{BlackHole: true})
		ctx, cancel := context.WithCancel(e.ctx)
		time.AfterFunc(time.Second, cancel)
		if err := r.Run(ctx, never); err != context.Canceled {
			t.Errorf("cancelled while it dials: %v", err)
		}
		r.URL = "wss://"
		if err := r.Run(e.ctx, never); err == nil || !strings.Contains(err.Error(), "no host") {
			t.Error(err)
		}
		r.Dial = func(context.Context) (*weft.Conn, *http.Response, error) { return nil, nil, errors.New("no token") }
		asked := 0
		r.Retryable = func(err error) bool { asked++; return asked < 3 && err.Error() == "no token" }
		if err := r.Run(e.ctx, never); err == nil || err.Error() != "no token" || asked != 3 {
			t.Errorf("a Dial and Retryable of the program's: %v, asked %d times", err, asked)
		}
	})
}

// How f ends is how Run ends the WebSocket.
func TestReconnectCloses(t *testing.T) {
	var mu sync.Mutex
	var seen []weft.StatusCode
	overEach(t, func(w http.ResponseWriter, r *http.Request) {
		c, err := weft.Accept(w, r, nil)
		if err != nil {
			return
		}
		_, _, err = c.Read(context.Background())
		mu.Lock()
		defer mu.Unlock()
		seen = append(seen, weft.CloseStatus(err))
	}, func(t *testing.T, e *env) {
		seen = nil
		var told retries
		r := e.reconnector(&told)
		own := errors.New("the program's")
		for _, want := range []error{nil, own, context.DeadlineExceeded} {
			ctx, cancel := context.WithTimeout(e.ctx, 10*time.Second)
			var inner context.Context
			err := r.Run(ctx, func(ctx context.Context, c *weft.Conn) error {
				inner = ctx
				if want != context.DeadlineExceeded {
					return want
				}
				_, _, err := c.Read(ctx)
				return err
			})
			if !errors.Is(err, want) || inner.Err() == nil {
				t.Errorf("%v, want %v; f's context: %v", err, want, inner.Err())
			}
			cancel()
		}
		func() {
			defer func() { recover() }()
			r.Run(e.ctx, func(context.Context, *weft.Conn) error { panic("f's") })
		}()
		r.Run(e.ctx, func(ctx context.Context, c *weft.Conn) error {
			c.Handle(weft.HandlerFuncs{})
			return nil
		})
		r.Run(e.ctx, func(ctx context.Context, c *weft.Conn) error {
			c.Handle(weft.HandlerFuncs{})
			c.Close(4000, "")
			return own
		})
		time.Sleep(time.Second)
		mu.Lock()
		defer mu.Unlock()
		if want := []weft.StatusCode{1000, -1, 1000, -1, 1000, 4000}; !slices.Equal(seen, want) {
			t.Errorf("the server saw %v, want %v", seen, want)
		}
		if len(told.list) != 0 {
			t.Errorf("retries: %+v", told.list)
		}
	})
}

// A server that restarts is told apart from one that has gone: all of its WebSockets come back, spread over the first wait.
func TestRestart(t *testing.T) {
	for _, c := range []carrier{carriers[0], carriers[2], carriers[4]} {
		t.Run(c.name, func(t *testing.T) {
			simnet.Run(t, rtt, func(t *testing.T, n *simnet.Network) { testRestart(t, n, c) })
		})
	}
}

// A crowd is clients that reconnect, each of which sends a message and waits for its echo.
type crowd struct {
	clients          sync.WaitGroup
	open, told, back sync.WaitGroup // all have had an echo; have been told 1001; have had an echo after that
}

func (c *crowd) gather(ctx context.Context, n int, e *env) {
	c.open.Add(n)
	c.told.Add(n)
	c.back.Add(n)
	for range n {
		leaving := false
		var once [3]sync.Once
		r := &weft.Reconnector{Dialer: e.dialer, URL: e.url, OnRetry: func(x weft.Retry) {
			if weft.CloseStatus(x.Err) == weft.StatusGoingAway {
				leaving = true
				once[1].Do(c.told.Done)
			}
		}}
		c.clients.Go(func() {
			r.Run(ctx, func(ctx context.Context, ws *weft.Conn) error {
				if err := ws.Write(ctx, weft.MessageText, []byte("hello")); err != nil {
					return err
				}
				for {
					if _, _, err := ws.Read(ctx); err != nil {
						return err
					}
					once[0].Do(c.open.Done)
					if leaving {
						once[2].Do(c.back.Done)
					}
				}
			})
		})
	}
}

// arrivals notes when WebSockets came.
type arrivals struct {
	mu sync.Mutex
	at []time.Time
}

func (a *arrivals) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	a.mu.Lock()
	a.at = append(a.at, time.Now())
	a.mu.Unlock()
	echo(w, r)
}

// wantSpread checks that n have come since start, and no more than bound of them in any slot.
func (a *arrivals) wantSpread(t *testing.T, start time.Time, n int, slot time.Duration, bound int) {
	t.Helper()
	a.mu.Lock()
	defer a.mu.Unlock()
	slots := make(map[time.Duration]int)
	came := 0
	for _, at := range a.at {
		if d := at.Sub(start); d >= 0 {
			slots[d/slot]++
			came++
		}
	}
	if came != n {
		t.Errorf("%d clients came back, want %d", came, n)
	}
	for i, n := range slots {
		if n > bound {
			t.Errorf("%d clients came back in the slot of %v at %v, want %d at most", n, slot, i*slot, bound)
		}
	}
}

// testRestart has 500 clients, whose waits are uniform over 5 s. Those that come within 500 ms have waited for what they waited for and then for a
// Dial, of up to 400 ms: they are from 900 ms, 90 in the mean, with a standard deviation of 8.6. 160 are more than seven off.
func testRestart(t *testing.T, n *simnet.Network, c carrier) {
	const clients = 500
	came := new(arrivals)
	limit := func(s *weft.Server) { s.Options.MaxConcurrentStreams = 100 }
	e := newEnv(t, n, c, came, limit)
	ctx, cancel := context.WithCancel(e.ctx)
	var all crowd
	defer all.clients.Wait()
	defer cancel()
	all.gather(ctx, clients, e)
	all.open.Wait()
	time.Sleep(time.Second)
	start := time.Now()
	if err := e.server.Shutdown(ctx); err != nil {
		t.Errorf("Shutdown: %v", err)
	}
	if d := time.Since(start); d > 4*time.Second {
		t.Errorf("Shutdown took %v", d)
	}
	all.told.Wait()
	next := &weft.Server{Handler: came, TLSConfig: e.server.TLSConfig, ErrorLog: e.server.ErrorLog}
	limit(next)
	e.serve(next)
	all.back.Wait()
	came.wantSpread(t, start, clients, 500*time.Millisecond, 160)
}

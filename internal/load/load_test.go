package load

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"io"
	"log"
	"net/http"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/weftws/weft"
	"github.com/weftws/weft/internal/simnet"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// No error adds up, however irregularly somebody looks.
func TestPace(t *testing.T) {
	p := pace{rate: 3000}
	var n int64
	for now := time.Duration(0); now < 10*time.Second; now += 777 * time.Microsecond {
		for k := range p.due(now) {
			if at := p.at(n + k); at > now {
				t.Fatalf("message %d is due at %v and was taken at %v", n+k, at, now)
			}
		}
		n = p.sent
	}
	if n < 29997 || n > 30000 {
		t.Errorf("%d messages in 10 s at 3000 a second", n)
	}
	if got := p.due(-time.Second); got != 0 {
		t.Errorf("before the beginning %d are due", got)
	}
}

func TestMessage(t *testing.T) {
	for _, size := range []int{0, 1, 5, 20, 125, 1000} {
		a, b := appendMessage(nil, 12345678, size), appendMessage([]byte("x"), 12345679, size)[1:]
		if len(a) != size || len(b) != size || size > 0 && bytes.Equal(a, b) {
			t.Errorf("size %d: %q and %q", size, a, b)
		}
	}
}

const rtt = 100 * time.Millisecond

// over runs f with a server of h over HTTP/2, in fake time.
func over(t *testing.T, h func(c *weft.Conn), f func(t *testing.T, cfg Config)) {
	t.Helper()
	simnet.Run(t, rtt, func(t *testing.T, n *simnet.Network) {
		cert, roots := simnet.Certificate("example.com")
		n.AddHost("example.com", "10.0.0.2")
		srv := &weft.Server{
			TLSConfig: &tls.Config{Certificates: []tls.Certificate{cert}}, ErrorLog: log.New(io.Discard, "", 0),
			Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if c, err := weft.Accept(w, r, nil); err == nil {
					h(c)
				}
			}),
		}
		l := n.Listen("10.0.0.2:443")
		served := make(chan struct{})
		go func() {
			defer close(served)
			srv.ServeTLS(l, "", "")
		}()
		f(t, Config{
			URL: "wss://example.com/", WebSockets: 10, Connections: 3, Size: 100, InFlight: 1, Duration: 10 * time.Second,
			Dialer: func() *weft.Dialer {
				return &weft.Dialer{TLSConfig: &tls.Config{RootCAs: roots}, NetDial: n.DialContext}
			},
		})
		srv.Close()
		<-served
	})
}

func echo(c *weft.Conn) {
	c.Handle(weft.HandlerFuncs{Message: func(c *weft.Conn, typ weft.MessageType, p []byte) { c.Write(context.Background(), typ, p) }})
}

// In fake time a message takes the network's round trip, and nothing else takes any.
func TestInFlight(t *testing.T) {
	over(t, echo, func(t *testing.T, cfg Config) {
		cfg.InFlight = 4
		var told []Progress
		cfg.Progress = func(p Progress) { told = append(told, p) }
		res, err := Run(t.Context(), cfg)
		if err != nil {
			t.Fatal(err)
		}
		if res.WebSockets != 10 || res.Connections != 3 || res.Versions["HTTP/2.0"] != 10 || len(res.Failed) > 0 || res.Unanswered != 0 {
			t.Errorf("result: %+v", res)
		}
		// The last round trip's may or may not be back.
		if res.Messages < 10*4*99 || res.Messages > 10*4*100 || res.Bytes != 100*res.Messages {
			t.Errorf("%d messages, %d bytes", res.Messages, res.Bytes)
		}
		if l := res.Latency; l.P50.Round(time.Millisecond) != rtt || l.Max.Round(time.Millisecond) != rtt {
			t.Errorf("latency %+v", l)
		}
		if len(res.Samples) < 40 || len(told) != 10+len(res.Samples) || told[9].Opened != 10 || told[len(told)-1].Elapsed < cfg.Duration {
			t.Errorf("%d samples, told %d times: %+v", len(res.Samples), len(told), told[len(told)-1])
		}
		text, err := json.Marshal(res)
		var m map[string]any
		if err != nil || json.Unmarshal(text, &m) != nil || m["websockets"] != 10.0 || m["latency"].(map[string]any)["p99"] != ms(res.Latency.P99) {
			t.Errorf("JSON: %s, %v", text, err)
		}
	})
}

// A server that stops for a second shows in the latency of what was due meanwhile, also of messages that could not be sent.
func TestRate(t *testing.T) {
	slow := func(c *weft.Conn) {
		c.Handle(weft.HandlerFuncs{Message: func(c *weft.Conn, typ weft.MessageType, p []byte) {
			if strings.HasPrefix(string(p), "500the") {
				<-time.After(time.Second)
			}
			c.Write(context.Background(), typ, p)
		}})
	}
	over(t, slow, func(t *testing.T, cfg Config) {
		cfg.Rate, cfg.WebSockets, cfg.Connections = 100, 1, 1
		res, err := Run(t.Context(), cfg)
		if err != nil {
			t.Fatal(err)
		}
		if res.Messages < 985 || res.Messages > 1001 || res.Unanswered != 0 {
			t.Errorf("%d messages came back of 1000 that were due, %d are missing", res.Messages, res.Unanswered)
		}
		l := res.Latency
		if l.P50.Round(5*time.Millisecond) != rtt || l.Max < rtt+990*time.Millisecond || l.Max > rtt+1010*time.Millisecond || l.P90 < rtt || l.P99 < 900*time.Millisecond {
			t.Errorf("latency %+v", l)
		}
	})
}

func TestListen(t *testing.T) {
	ticker := func(c *weft.Conn) {
		ctx := c.CloseRead(context.Background())
		go func() {
			tick := time.NewTicker(100 * time.Millisecond)
			defer tick.Stop()
			for c.Write(ctx, weft.MessageBinary, make([]byte, 50)) == nil {
				<-tick.C
			}
		}()
	}
	over(t, ticker, func(t *testing.T, cfg Config) {
		cfg.Listen = true
		res, err := Run(t.Context(), cfg)
		if err != nil || res.Messages < 990 || res.Messages > 1100 || res.Latency.Count != 0 || len(res.Failed) > 0 {
			t.Errorf("%+v, %v", res, err)
		}
	})
}

func TestFailures(t *testing.T) {
	tests := []struct {
		name  string
		serve func(c *weft.Conn)
		want  string
	}{
		{"another message", func(c *weft.Conn) {
			c.Handle(weft.HandlerFuncs{Message: func(c *weft.Conn, typ weft.MessageType, p []byte) {
				p[50]++
				c.Write(context.Background(), typ, p)
			}})
		}, "no echo"},
		{"unasked", func(c *weft.Conn) {
			c.Handle(weft.HandlerFuncs{Message: func(c *weft.Conn, typ weft.MessageType, p []byte) {
				c.Write(context.Background(), typ, p)
				c.Write(context.Background(), typ, p)
				c.Write(context.Background(), typ, p)
			}})
		}, "answer"},
		{"closes", func(c *weft.Conn) { go c.Close(weft.StatusTryAgainLater, "full") }, "1013"},
		{"lost", func(c *weft.Conn) { c.CloseNow() }, "reset the stream (CANCEL)"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			over(t, tt.serve, func(t *testing.T, cfg Config) {
				res, err := Run(t.Context(), cfg)
				if err != nil {
					t.Fatal(err)
				}
				n := 0
				for text, count := range res.Failed {
					if n += count; !strings.Contains(text, tt.want) {
						t.Errorf("failed: %d times %s", count, text)
					}
				}
				if n != 10 {
					t.Errorf("%d of 10 failed: %v", n, res.Failed)
				}
			})
		})
	}
}

func TestNothingOpens(t *testing.T) {
	over(t, echo, func(t *testing.T, cfg Config) {
		cfg.URL = "wss://example.com:444/"
		if res, err := Run(t.Context(), cfg); res != nil || err == nil || !strings.Contains(err.Error(), "none of 10 WebSockets opened") {
			t.Errorf("%+v, %v", res, err)
		}
	})
}

// Interrupted, it says what there is.
func TestInterrupted(t *testing.T) {
	over(t, echo, func(t *testing.T, cfg Config) {
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		res, err := Run(ctx, cfg)
		if err != nil || !res.Interrupted || res.Messages < 200 || res.Duration > 3*time.Second {
			t.Errorf("%+v, %v", res, err)
		}
	})
	over(t, echo, func(t *testing.T, cfg Config) {
		why := errors.New("why")
		ctx, cancel := context.WithCancelCause(t.Context())
		cancel(why)
		if res, err := Run(ctx, cfg); err != why {
			t.Errorf("%+v, %v", res, err)
		}
	})
}

func TestValidate(t *testing.T) {
	good := Config{WebSockets: 10, Connections: 2, InFlight: 1, Duration: time.Second}
	if err := good.Validate(); err != nil {
		t.Error(err)
	}
	for want, change := range map[string]func(c *Config){
		"0 WebSockets":               func(c *Config) { c.WebSockets = 0 },
		"11 connections for 10":      func(c *Config) { c.Connections = 11 },
		"messages of -1 bytes":       func(c *Config) { c.Size = -1 },
		"0 messages in flight":       func(c *Config) { c.InFlight = 0 },
		"-1 messages a second":       func(c *Config) { c.Rate = -1 },
		"a rate, and nothing":        func(c *Config) { c.Rate, c.Listen = 1, true },
		"a duration of 0s":           func(c *Config) { c.Duration = 0 },
		"want 0 to 67108864":         func(c *Config) { c.Size = 1 << 30 },
		"want 1 to 1000000":          func(c *Config) { c.WebSockets = 1 << 30 },
		"65537 messages in flight: ": func(c *Config) { c.InFlight = 65537 },
	} {
		c := good
		change(&c)
		if err := c.Validate(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}

package weft_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/weftws/weft"
	"github.com/weftws/weft/internal/simnet"
)

// frames are the bytes that a server's frames are.
func frames(list ...rawFrame) string {
	var b []byte
	for _, f := range list {
		b = f.append(b, false)
	}
	return string(b)
}

// A bridged WebSocket whose server shuts down: what its handler had sent, what it sends 2 s later, and what becomes of it.
type bridgeShutdown struct {
	name   string
	before string
	later  string
	sent   int  // of later; the rest is refused
	deaf   bool // the handler neither reads nor closes
	reads  string
	code   weft.StatusCode
	within time.Duration // Shutdown; 0: it runs into its context's end
}

var bridgeShutdowns = []bridgeShutdown{
	{name: "nothing sent", code: weft.StatusGoingAway, within: time.Second},
	{name: "whole frames", before: frames(text("a"), ping(""), bin("b")), reads: "a b", code: weft.StatusGoingAway, within: time.Second},
	{name: "between fragments", before: frames(text("a"), text("b").more()), reads: "a", code: weft.StatusGoingAway, within: time.Second},
	{name: "inside a payload", before: frames(text("hello"))[:4], later: frames(text("hello"))[4:] + frames(text("never")), sent: 3,
		reads: "hello", code: weft.StatusGoingAway, within: 3 * time.Second},
	{name: "inside a header", before: frames(text(strings.Repeat("x", 300)))[:3], later: frames(text(strings.Repeat("x", 300)))[3:], sent: 301,
		reads: strings.Repeat("x", 300), code: weft.StatusGoingAway, within: 3 * time.Second},
	{name: "a frame that ends with a Write", before: frames(text("hello"))[:4], later: "llo", sent: 3, reads: "hello", code: weft.StatusGoingAway, within: 3 * time.Second},
	{name: "the handler closes", before: frames(text("a"), shut(1000, "")), reads: "a", code: weft.StatusNormalClosure, within: 3 * time.Second},
	{name: "a handler that does nothing", deaf: true, code: weft.StatusGoingAway, within: 8 * time.Second},
	{name: "inside a frame for good", before: frames(text("hello"))[:4], deaf: true, code: -1},
	{name: "no WebSocket", before: "\x93still here", deaf: true, code: -1},
}

// Shutdown says 1001 on a tunnel where a frame has ended, and nothing after it.
func TestBridgeShutdown(t *testing.T) {
	for _, tt := range bridgeShutdowns {
		t.Run(tt.name, func(t *testing.T) {
			h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				nc, _ := hijack(t, w)
				write(t, nc, switching101(r))
				write(t, nc, tt.before)
				if tt.deaf {
					return
				}
				go tt.serve(t, nc)
			})
			for _, cr := range carriers[2:] {
				simnet.Run(t, rtt, func(t *testing.T, n *simnet.Network) { tt.run(t, newEnv(t, n, cr, h, nil)) })
			}
		})
	}
}

// serve is a handler that goes on writing, and closes when the peer does.
func (tt *bridgeShutdown) serve(t *testing.T, nc net.Conn) {
	defer nc.Close()
	time.Sleep(3 * time.Second) // 2 s after Shutdown
	if n, err := io.WriteString(nc, tt.later); n != tt.sent || (err == nil) != (n == len(tt.later)) {
		t.Errorf("%d bytes of %d were sent: %v", n, len(tt.later), err)
	}
	if tt.code == weft.StatusGoingAway {
		if n, err := io.WriteString(nc, frames(text("more"))); n != 0 || !errors.Is(err, net.ErrClosed) {
			t.Errorf("behind the Close frame: %d, %v", n, err)
		}
	}
	b := make([]byte, 1000)
	for n := 0; ; {
		m, err := nc.Read(b[n:])
		if n += m; n > 0 && b[0] == 0x8a { // a Pong
			n = copy(b, b[6:n])
		}
		if err != nil || n >= 8 && b[0] == 0x88 {
			return
		}
	}
}

func (tt *bridgeShutdown) run(t *testing.T, e *env) {
	c := e.dial("/", nil)
	defer c.CloseNow()
	time.Sleep(time.Second)
	ctx, cancel := context.WithTimeout(e.ctx, 20*time.Second)
	defer cancel()
	var took time.Duration
	done := begin(func() error {
		start := time.Now()
		err := e.server.Shutdown(ctx)
		took = time.Since(start)
		e.server.Close()
		return err
	})
	var reads []string
	for {
		_, p, err := c.Read(e.ctx)
		if err == nil {
			reads = append(reads, string(p))
			continue
		}
		if got := strings.Join(reads, " "); got != tt.reads || weft.CloseStatus(err) != tt.code {
			t.Errorf("%s: received %q and %v, want %q and %v", e.carrier.name, got, err, tt.reads, tt.code)
		}
		break
	}
	err := <-done
	if tt.within > 0 && (err != nil || took > tt.within+2*time.Second) || tt.within == 0 && took != 20*time.Second {
		t.Errorf("%s: Shutdown: %v after %v", e.carrier.name, err, took)
	}
}

// A tunnel that opens when the server is shutting down already is told at once.
func TestBridgeOpensDuringShutdown(t *testing.T) {
	overEachOf(t, carriers[2:4], func(w http.ResponseWriter, r *http.Request) {
		nc, _ := hijack(t, w)
		defer nc.Close()
		time.Sleep(2 * time.Second)
		write(t, nc, switching101(r))
		io.Copy(io.Discard, nc)
	}, func(t *testing.T, e *env) {
		done := begin(func() error {
			time.Sleep(time.Second)
			return e.server.Shutdown(e.ctx)
		})
		c := e.dial("/", nil)
		defer c.CloseNow()
		if _, _, err := c.Read(e.ctx); weft.CloseStatus(err) != weft.StatusGoingAway {
			t.Error(err)
		}
		if err := <-done; err != nil {
			t.Errorf("Shutdown: %v", err)
		}
	})
}

package weft_test

import (
	"context"
	"errors"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/weftws/weft"
	"github.com/weftws/weft/internal/simnet"
)

func TestCloseHandshake(t *testing.T) {
	type result struct {
		err error
	}
	got := make(chan result, 1)
	closer := func(w http.ResponseWriter, r *http.Request) {
		c, err := weft.Accept(w, r, nil)
		if err != nil {
			return
		}
		if r.URL.Path == "/server-closes" {
			got <- result{c.Close(4000, "server says so")}
			return
		}
		_, _, err = c.Read(context.Background())
		got <- result{err}
	}
	overEach(t, closer, func(t *testing.T, e *env) {
		got = make(chan result, 1)
		c := e.dial("/", nil)
		if err := c.Close(4001, "client says so"); err != nil {
			t.Errorf("Close: %v", err)
		}
		var ce *weft.CloseError
		if r := <-got; !errors.As(r.err, &ce) || ce.Code != 4001 || ce.Reason != "client says so" {
			t.Errorf("server's Read: %v", r.err)
		}
		if err := c.Close(4001, ""); !errors.Is(err, net.ErrClosed) {
			t.Errorf("second Close: %v", err)
		}
		if err := c.Write(e.ctx, weft.MessageText, nil); err == nil {
			t.Error("Write after Close succeeded")
		}

		c = e.dial("/server-closes", nil)
		_, _, err := c.Read(e.ctx)
		if weft.CloseStatus(err) != 4000 || !errors.As(err, &ce) || ce.Reason != "server says so" {
			t.Errorf("client's Read: %v", err)
		}
		if r := <-got; r.err != nil {
			t.Errorf("server's Close: %v", r.err)
		}
	})
}

func TestCloseChecksItsArguments(t *testing.T) {
	overEach(t, echo, func(t *testing.T, e *env) {
		c := e.dial("/", nil)
		defer c.CloseNow()
		for _, code := range []weft.StatusCode{0, 999, 1004, 1006, 1015, 2000, 5000} {
			if err := c.Close(code, ""); err == nil || !strings.Contains(err.Error(), "Section 7.4") {
				t.Errorf("Close(%d): %v", int(code), err)
			}
		}
		if err := c.Close(1000, strings.Repeat("x", 124)); err == nil {
			t.Error("a reason of 124 bytes was taken")
		}
	})
}

func TestCloseUnblocksARead(t *testing.T) {
	overEach(t, echo, func(t *testing.T, e *env) {
		c := e.dial("/", nil)
		errs := make(chan error, 1)
		go func() {
			_, _, err := c.Read(context.Background())
			errs <- err
		}()
		synctest.Wait()
		if err := c.Close(weft.StatusNormalClosure, ""); err != nil {
			t.Errorf("Close: %v", err)
		}
		if err := <-errs; weft.CloseStatus(err) != weft.StatusNormalClosure {
			t.Errorf("Read: %v", err)
		}
	})
}

// A peer that never answers with a Close frame costs the deadline and no more.
func TestCloseWithoutAnswer(t *testing.T) {
	release := make(chan struct{})
	overEach(t, func(w http.ResponseWriter, r *http.Request) {
		if c, err := weft.Accept(w, r, nil); err == nil {
			<-release
			c.CloseNow()
		}
	}, func(t *testing.T, e *env) {
		release = make(chan struct{})
		c := e.dial("/", nil)
		start := time.Now()
		if err := c.Close(weft.StatusNormalClosure, ""); err == nil || !strings.Contains(err.Error(), "server sent no Close frame within 5s") {
			t.Errorf("Close: %v", err)
		}
		if d := time.Since(start); d != 5*time.Second {
			t.Errorf("Close took %v", d)
		}
		close(release)
	})
}

func TestCloseNow(t *testing.T) {
	got := make(chan error, 1)
	overEach(t, func(w http.ResponseWriter, r *http.Request) {
		if c, err := weft.Accept(w, r, nil); err == nil {
			_, _, err := c.Read(context.Background())
			got <- err
		}
	}, func(t *testing.T, e *env) {
		got = make(chan error, 1)
		c := e.dial("/", nil)
		if err := c.CloseNow(); err != nil {
			t.Error(err)
		}
		if err := c.CloseNow(); !errors.Is(err, net.ErrClosed) {
			t.Errorf("second CloseNow: %v", err)
		}
		if _, _, err := c.Read(e.ctx); !errors.Is(err, net.ErrClosed) {
			t.Errorf("Read after CloseNow: %v", err)
		}
		if err := <-got; err == nil || weft.CloseStatus(err) != -1 || !strings.Contains(err.Error(), "1006") {
			t.Errorf("server's Read: %v", err)
		}
	})
}

func TestKeepaliveFindsADeadPeer(t *testing.T) {
	overEach(t, echo, func(t *testing.T, e *env) {
		var muted atomic.Bool
		e.dialer.NetDial = func(ctx context.Context, network, addr string) (net.Conn, error) {
			c, err := e.net.DialContext(ctx, network, addr)
			return &muteConn{Conn: c, muted: &muted}, err
		}
		c := e.dial("/", nil)
		time.Sleep(3 * time.Minute)
		if err := c.Write(e.ctx, weft.MessageText, []byte("idle, and alive")); err != nil {
			t.Fatal(err)
		}
		if _, _, err := c.Read(e.ctx); err != nil {
			t.Fatalf("an idle connection was lost: %v", err)
		}
		muted.Store(true)
		e.net.SetUDP("", simnet.UDP{Block: true})
		start := time.Now()
		_, _, err := c.Read(e.ctx)
		if err == nil || weft.CloseStatus(err) != -1 {
			t.Errorf("Read from a dead peer: %v", err)
		}
		if d := time.Since(start); d < 15*time.Second || d > 2*time.Minute {
			t.Errorf("a dead peer was found after %v", d)
		}
	})
}

// A reader that comes late finds the Pongs of a living peer waiting, and is not told in the moment before that the peer is dead.
func TestKeepaliveWithALateReader(t *testing.T) {
	over(t, carriers[0], http.HandlerFunc(echo), func(t *testing.T, e *env) {
		e.dialer.NetDial = func(ctx context.Context, network, addr string) (net.Conn, error) {
			c, err := e.net.DialContext(ctx, network, addr)
			return &slowConn{c}, err
		}
		c := e.dial("/", nil)
		defer c.CloseNow()
		if err := c.Write(e.ctx, weft.MessageText, []byte("hello")); err != nil {
			t.Fatal(err)
		}
		time.Sleep(4*time.Minute - time.Millisecond) // a tick is in the middle of what follows
		if _, _, err := c.Read(e.ctx); err != nil {
			t.Fatalf("Read: %v", err)
		}
	})
}

// A slowConn needs a while to read.
type slowConn struct{ net.Conn }

func (c *slowConn) Read(p []byte) (int, error) {
	time.Sleep(5 * time.Millisecond)
	return c.Conn.Read(p)
}

// A muteConn loses everything, both ways, while muted.
type muteConn struct {
	net.Conn
	muted *atomic.Bool
}

func (c *muteConn) Read(p []byte) (int, error) {
	for {
		n, err := c.Conn.Read(p)
		if err != nil || !c.muted.Load() {
			return n, err
		}
	}
}

func (c *muteConn) Write(p []byte) (int, error) {
	if c.muted.Load() {
		return len(p), nil
	}
	return c.Conn.Write(p)
}

// A connection that the network gives up with an error of time is lost, and no deadline of ours.
func TestNetworkTimeout(t *testing.T) {
	for _, c := range onTCP {
		over(t, c, http.HandlerFunc(echo), func(t *testing.T, e *env) {
			lost := make(chan struct{})
			e.dialer.NetDial = func(ctx context.Context, network, addr string) (net.Conn, error) {
				c, err := e.net.DialContext(ctx, network, addr)
				return &timedOutConn{c, lost}, err
			}
			c := e.dial("/", nil)
			close(lost)
			c.Write(e.ctx, weft.MessageText, []byte("its answer finds the connection lost"))
			_, _, err := c.Read(e.ctx)
			if !errors.Is(err, syscall.ETIMEDOUT) {
				t.Errorf("%s: Read: %v, want ETIMEDOUT", e.carrier.name, err)
			}
			if err := c.Write(e.ctx, weft.MessageText, []byte("hello")); err == nil {
				t.Errorf("%s: Write on a lost connection returned nil", e.carrier.name)
			}
		})
	}
}

// A timedOutConn says ETIMEDOUT, as TCP does when nothing was acknowledged for long, once lost is closed.
type timedOutConn struct {
	net.Conn
	lost chan struct{}
}

func (c *timedOutConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	select {
	case <-c.lost:
		c.Conn.Close()
		return 0, &net.OpError{Op: "read", Net: "tcp", Err: syscall.ETIMEDOUT}
	default:
		return n, err
	}
}

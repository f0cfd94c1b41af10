package weft_test

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/weftws/weft"
	"github.com/weftws/weft/internal/invariant"
	"github.com/weftws/weft/internal/simnet"
)

// Faults: whatever the network does at whatever byte, every call ends, says why, and what was delivered was delivered once.

// everyByte is for make faults. Without it every byte of what is not encrypted has its RST, FIN and silence; every 83rd has them over TLS.
// With the race detector fewer have.
var everyByte = flag.Bool("every-byte", false, "faults at every byte and every datagram, over TLS too")

// stride is by how many bytes the faults are apart.
func stride(encrypted bool) int64 {
	switch {
	case *everyByte:
		return 1
	case invariant.Enabled && encrypted:
		return 997
	case invariant.Enabled:
		return 41
	case encrypted:
		return 83
	}
	return 1
}

// A faultEnv is a server in fake time, and what its sessions were.
type faultEnv struct {
	*env

	mu       sync.Mutex
	sessions map[string]*faultEnd // of the server, by the query of their URL
}

// A faultEnd is what the server's end of a WebSocket saw.
type faultEnd struct {
	got  [][]byte
	err  error         // with which reading ended
	over chan struct{} // closed with it; nil: there was none
}

// overFaults runs f in fake time against a server on c that keeps the messages that it gets, and sends them back. Every session has a
// Dialer of its own; the server is one for all, and has to be without connections in the end.
func overFaults(t *testing.T, c carrier, f func(t *testing.T, e *faultEnv)) {
	t.Helper()
	simnet.Run(t, rtt, func(t *testing.T, n *simnet.Network) {
		e := &faultEnv{sessions: make(map[string]*faultEnd)}
		e.env = newEnv(t, n, c, http.HandlerFunc(e.serve), nil)
		f(t, e)
	})
}

// serve is the server's handler: by Read, or by callbacks where the query ends in an odd digit.
func (e *faultEnv) serve(w http.ResponseWriter, r *http.Request) {
	c, err := weft.Accept(w, r, &weft.AcceptOptions{CompressionMode: weft.CompressionContextTakeover, CompressionThreshold: 200})
	if err != nil {
		return
	}
	end := &faultEnd{over: make(chan struct{})}
	e.mu.Lock()
	e.sessions[r.URL.RawQuery] = end
	e.mu.Unlock()
	if strings.HasSuffix(r.URL.RawQuery, "1") {
		c.Handle(weft.HandlerFuncs{
			Message: func(c *weft.Conn, typ weft.MessageType, p []byte) {
				end.got = append(end.got, bytes.Clone(p))
				sendScripted(context.Background(), c, typ, p)
			},
			Close: func(_ *weft.Conn, err error) {
				end.err = err
				close(end.over)
			},
		})
		return
	}
	defer close(end.over)
	defer c.CloseNow()
	for {
		typ, p, err := c.Read(context.Background())
		if err != nil {
			end.err = err
			return
		}
		end.got = append(end.got, p)
		sendScripted(context.Background(), c, typ, p)
	}
}

// script is what the client sends: short, with 16 bits of length, compressed, in fragments.
var script = [][]byte{
	[]byte("hello"),
	[]byte(random(130)),
	[]byte(strings.Repeat("compressible, ", 20)),
	[]byte("[in fragments of eight bytes, which the other end sends so too]"),
	{},
}

// sendScripted sends a message of the script, binary and text in turn.
func sendScripted(ctx context.Context, c *weft.Conn, typ weft.MessageType, p []byte) error {
	if len(p) == 0 || p[0] != '[' {
		return c.Write(ctx, typ, p)
	}
	w, err := c.Writer(ctx, typ)
	if err != nil {
		return err
	}
	for i := 0; i < len(p) && err == nil; i += 8 {
		_, err = w.Write(p[i:min(i+8, len(p))])
	}
	return errors.Join(err, w.Close())
}

// A faultRun is what a client made of a session.
type faultRun struct {
	dialErr  error
	got      [][]byte
	readErr  error // with which reading ended
	writeErr error // the first
	pingErr  error
	closeErr error

	dialTook, openTook, closeTook time.Duration
}

// session is the script, with a Dialer of its own: dial, exchange messages, ping, close.
func (e *faultEnv) session(query string) (*faultRun, *weft.Dialer) {
	d := &weft.Dialer{
		TLSConfig: e.dialer.TLSConfig, Policy: e.dialer.Policy, PriorKnowledge: e.dialer.PriorKnowledge,
		NetDial: e.net.DialContext, NetDialUDP: e.net.DialUDP, Memory: e.dialer.Memory,
	}
	r := new(faultRun)
	start := time.Now()
	c, _, err := d.Dial(e.ctx, e.url+"/?"+query, &weft.DialOptions{CompressionMode: weft.CompressionContextTakeover, CompressionThreshold: 200})
	r.dialTook = time.Since(start)
	if r.dialErr = err; err != nil {
		return r, d
	}
	start = time.Now()
	all, over := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(over)
		for {
			_, p, err := c.Read(e.ctx)
			if err != nil {
				r.readErr = err
				return
			}
			if r.got = append(r.got, p); len(r.got) == len(script) {
				close(all)
			}
		}
	}()
	for i, p := range script {
		if err := sendScripted(e.ctx, c, weft.MessageType(1+i%2), p); err != nil {
			r.writeErr = err
			break
		}
	}
	select {
	case <-all:
		r.pingErr = c.Ping(e.ctx)
	case <-over:
		r.pingErr = c.Ping(e.ctx)
	}
	r.openTook = time.Since(start)
	start = time.Now()
	r.closeErr = c.Close(weft.StatusNormalClosure, "done")
	r.closeTook = time.Since(start)
	<-over
	return r, d
}

func (r *faultRun) clean() bool {
	return r.dialErr == nil && r.writeErr == nil && r.pingErr == nil && r.closeErr == nil && len(r.got) == len(script)
}

func (r *faultRun) String() string {
	return fmt.Sprintf("dial: %v, after %v; %d messages came back; read: %v; write: %v; ping: %v, after %v; close: %v, after %v",
		r.dialErr, r.dialTook, len(r.got), r.readErr, r.writeErr, r.pingErr, r.openTook, r.closeErr, r.closeTook)
}

// A faultBound is what may come of a fault.
type faultBound struct {
	says     *regexp.Regexp // the errors of what the fault has ended, but for a CloseError; nil: the session is as without a fault
	dial     time.Duration  // how long Dial may take
	lost     time.Duration  // ... and the WebSocket, until its end is known
	nextDial time.Duration
}

// check is what holds of every session, whatever has happened to it.
func (e *faultEnv) check(query string, r *faultRun, bound faultBound) error {
	var wrong []error
	bad := func(format string, args ...any) { wrong = append(wrong, fmt.Errorf(format, args...)) }
	server := &faultEnd{}
	e.mu.Lock()
	if s := e.sessions[query]; s != nil {
		server = s
	}
	e.mu.Unlock()
	if server.over != nil {
		select {
		case <-server.over:
		case <-time.After(bound.lost):
			return errors.New("the server's end goes on")
		}
	} else if r.dialErr == nil {
		bad("the client has opened what the server did not accept")
	}
	wantPrefix := func(side string, got [][]byte) {
		if len(got) > len(script) {
			bad("the %s got %d messages of %d", side, len(got), len(script))
		}
		for i, p := range got[:min(len(got), len(script))] {
			if !bytes.Equal(p, script[i]) {
				bad("the %s's message %d is %q", side, i, p)
			}
		}
	}
	wantPrefix("client", r.got)
	wantPrefix("server", server.got)
	if len(r.got) > len(server.got) {
		bad("%d messages came back, %d had arrived", len(r.got), len(server.got))
	}
	if r.dialTook > bound.dial || r.openTook > bound.lost || r.closeTook > 10*time.Second {
		bad("it took too long")
	}
	ended := func(what string, err error, mayClose bool) {
		ce, closed := errors.AsType[*weft.CloseError](err)
		switch {
		case closed && mayClose && ce.Code == weft.StatusNormalClosure:
		case closed:
			bad("%s: it looks like an ordinary end: %v", what, err)
		case err == nil || err == io.EOF || errors.Is(err, net.ErrClosed):
			bad("%s: %v", what, err)
		case bound.says == nil || !bound.says.MatchString(err.Error()):
			bad("%s does not say what happened: %v", what, err)
		}
	}
	switch {
	case bound.says == nil && !r.clean():
		bad("not as without a fault")
	case r.dialErr != nil:
		if _, ok := errors.AsType[*weft.DialError](r.dialErr); !ok {
			bad("Dial's error is a %T", r.dialErr)
		}
		ended("Dial", r.dialErr, false)
	default:
		ended("client", r.readErr, r.clean())
	}
	if server.over != nil {
		// A Close frame may be the last thing that came through.
		ended("server", server.err, len(server.got) == len(script))
	}
	if len(wrong) > 0 {
		wrong = append(wrong, fmt.Errorf("%v; server: %d messages, %v", r, len(server.got), server.err))
	}
	return errors.Join(wrong...)
}

// again sees that the Dialer works after the fault, in time, and that nothing is left of either.
func (e *faultEnv) again(d *weft.Dialer, within time.Duration) error {
	start := time.Now()
	c, _, err := d.Dial(e.ctx, e.url+"/?again", nil)
	if err != nil {
		return fmt.Errorf("the next Dial: %w", err)
	}
	if took := time.Since(start); took > within {
		err = fmt.Errorf("the next Dial took %v", took)
	}
	err = errors.Join(err, c.Close(weft.StatusNormalClosure, ""))
	d.Close()
	// Half of a connection is left at a server for its idle timeout, 2 min, at most.
	for range 130 {
		if len(e.net.Open()) == 0 {
			return err
		}
		time.Sleep(time.Second)
	}
	return errors.Join(err, fmt.Errorf("left open: %v", e.net.Open()))
}

// run is one session, whose number is i, and what has to hold of it.
func (e *faultEnv) run(i int, bound faultBound, heal func()) error {
	query := fmt.Sprint(i)
	r, d := e.session(query)
	heal()
	return errors.Join(e.check(query, r, bound), e.again(d, bound.nextDial))
}

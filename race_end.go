package weft

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"time"

	"github.com/weftws/weft/internal/frame"
	"github.com/weftws/weft/internal/handshake"
	"github.com/weftws/weft/negotiate"
)

// discard gives a up.
func (r *race) discard(a *attempt, how negotiate.How) {
	r.endProbe(a)
	a.release()
	if a.cc == nil {
		return
	}
	switch how {
	case negotiate.Drain:
		r.d.pool.remove(r.key, a.cc)
		a.cc.Shutdown(drainLinger)
	case negotiate.CloseConn:
		r.d.pool.remove(r.key, a.cc)
		a.cc.Close()
		a.pooled = true // there is nothing left to close
	}
}

// drainLinger is how long a connection that takes no new streams may go on with those it has.
const drainLinger = 24 * time.Hour

// succeed makes the Conn, or the tunnel.
func (r *race) succeed(o negotiate.Succeed) {
	a := r.attempts[o.Attempt]
	if a.cc != nil && !a.pooled {
		a.pooled = true // its SETTINGS are on their way
		r.d.pool.add(r.key, a.cc, a.alpn, a.alt)
	}
	var confirm func()
	if mem := r.memory; len(o.Confirm) > 0 {
		confirm = func() {
			for _, c := range o.Confirm {
				mem.remember(c)
			}
		}
	}
	d := dialed{
		url: r.url.String(), rung: o.Rung, reused: o.Reused, roundTrips: int32(r.machine.RoundTrips()), confirm: confirm,
	}
	if r.carried != nil {
		d.attempts = r.account()
		r.tunnel = newTunnel(a.stream, a.response.Header, &d)
	} else {
		r.conn = r.newConn(a, d)
	}
	r.response = a.response
	a.stream, a.response, a.call = nil, nil, nil // the caller's now
}

// newConn makes the Conn of a in one piece with what it keeps of the Dial, so that it does not pin what else is garbage now.
func (r *race) newConn(a *attempt, d dialed) *Conn {
	var whole struct {
		Conn
		dialed
		attempts [1]Attempt
		steps    [1]Step
	}
	d.attempts = r.accountIn(whole.attempts[:0], whole.steps[:0])
	whole.dialed = d
	c := &whole.Conn
	c.init(a.stream, r.connOptions(a.agreed).shared())
	c.dialed = &whole.dialed
	return c
}

func (r *race) connOptions(a handshake.Agreement) connOptions {
	return connOptions{
		side: frame.Client, deflate: a.Deflate, subprotocol: a.Subprotocol, threshold: r.opts.CompressionMode.threshold(r.opts.CompressionThreshold),
		onPing: r.opts.OnPingReceived, onPong: r.opts.OnPongReceived, keepalive: keepaliveOf(r.d.KeepAlive),
		observer: r.d.Observer,
	}
}

// fail makes the error.
func (r *race) fail(o negotiate.Fail) {
	err := o.Err
	a := r.attempts[o.Attempt]
	switch {
	case a != nil && a.response != nil:
		r.response = a.response
		a.response = nil // the caller's now
		if r.response.StatusCode/100 != 2 {
			a.call = nil // the Body has it
		}
		if r.carried == nil {
			r.response.Body = r.readBody(r.response.Body)
		}
		he := &HandshakeError{StatusCode: r.response.StatusCode, Name: string(o.Class), Detail: o.Reason, Err: err}
		if a.invalid != nil {
			he.Name, he.Section, he.Detail, he.Err = a.invalid.Name, a.invalid.Section, a.invalid.Detail, nil
		}
		err = he
	case err == nil || o.Class == negotiate.CallerLeft || o.Class == negotiate.Disallowed || o.Class == negotiate.Version:
		err = &HandshakeError{Name: string(o.Class), Detail: o.Reason, Err: err}
	case o.Class == negotiate.Silent && err == r.ctx.Err():
		err = fmt.Errorf("%s: %w", o.Reason, err) // who was silent, the context does not say
	}
	r.verdict = string(o.Class)
	r.err = &DialError{URL: r.url.String(), Attempts: r.account(), Err: err}
}

// readBody reads what a server says to explain its refusal, and ends the connection or the stream that it comes by: callers who do not
// look at the response need not close anything.
func (r *race) readBody(body io.ReadCloser) io.ReadCloser {
	ctx, cancel := context.WithTimeout(r.ctx, explanationTime)
	defer cancel()
	stop := context.AfterFunc(ctx, func() { body.Close() })
	defer body.Close()
	defer stop()
	b, _ := io.ReadAll(io.LimitReader(body, explanationSize))
	return io.NopCloser(bytes.NewReader(b))
}

const (
	explanationTime = time.Second
	explanationSize = 64 << 10
)

// release ends what a has that nobody else owns.
func (a *attempt) release() {
	a.cancel()
	if a.response != nil {
		a.response.Body.Close()
	}
	if a.call != nil {
		a.call.Cancel()
	}
	if a.stream != nil {
		a.stream.Abort()
	}
	if a.nc != nil {
		a.nc.Close()
	}
	a.response, a.call, a.stream, a.nc = nil, nil, nil, nil
}

// cleanUp ends everything that is not the result.
func (r *race) cleanUp(cancel context.CancelFunc) {
	cancel()
	if r.timer != nil {
		r.timer.Stop()
	}
	r.stopWaiting()
	r.d.pool.passOn(r.key)
	for _, a := range r.attempts {
		r.endProbe(a)
	}
	r.wakeWaiting()
	for _, a := range r.attempts {
		a.release()
		switch {
		case a.cc == nil:
		case !a.pooled:
			a.cc.Close()
		case a.cc.State().Streams == 0:
			// Its stream may have ended before the pool had it.
			r.d.pool.setIdle(r.key, a.cc, r.d.idleTimeout())
		}
	}
}

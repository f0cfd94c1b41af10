package weft

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"

	"github.com/weftws/weft/internal/handshake"
)

// A bridgeAnswer is what a handler writes to a hijacked net.Conn before the tunnel.
type bridgeAnswer struct {
	raw []byte

	final  *http.Response // once the header section is complete; interim ones were dropped. Never a 101
	bodyAt int            // where in raw its body begins
}

// writeAnswer takes bytes of the handler's answer, and of the tunnel behind it.
func (c *bridgeConn) writeAnswer(p []byte) (int, error) {
	c.answering.lock(context.Background())
	if c.opened.Load() {
		c.answering.unlock()
		return c.writeFrames(p)
	}
	if err := c.answerErr(); err != nil {
		c.answering.unlock()
		return 0, err
	}
	a := &c.answer
	a.raw = append(a.raw, p...)
	for a.final == nil {
		n := headEnd(a.raw)
		if n > maxAnswerHead || n < 0 && len(a.raw) > maxAnswerHead {
			return 0, c.reject(http.StatusInternalServerError, fmt.Sprintf("the header section of the handler's answer exceeds %d bytes", maxAnswerHead))
		}
		if n < 0 {
			c.answering.unlock()
			return len(p), nil
		}
		res, err := readAnswer(a.raw[:n])
		switch {
		case err != nil:
			return 0, c.reject(http.StatusInternalServerError, "the handler's answer is malformed: "+err.Error())
		case res.StatusCode == http.StatusSwitchingProtocols:
			return c.writeSwitch(res.Header, a.raw[n:], len(p))
		case res.StatusCode < 200:
			a.raw = a.raw[n:] // Choice: dropped. No WebSocket client waits for 100 or 103.
		case res.StatusCode < 300:
			return 0, c.reject(http.StatusNotImplemented, fmt.Sprintf("the handler answered %d to the request for a WebSocket, not 101", res.StatusCode))
		default:
			a.final, a.bodyAt = res, n
		}
	}
	if len(a.raw)-a.bodyAt > maxAnswerBody {
		return 0, c.reject(http.StatusInternalServerError, fmt.Sprintf("the body of the handler's answer exceeds %d bytes", maxAnswerBody))
	}
	if a.complete() {
		c.conclude()
	}
	c.answering.unlock()
	return len(p), nil
}

// writeSwitch opens the tunnel and sends what stood behind the 101 in the last of its Writes, of n bytes. Called with
// answering held; unlocks it.
//
// No byte of the tunnel goes before the answer, as RFC 9931 asks: it is behind it on the same stream.
func (c *bridgeConn) writeSwitch(h http.Header, rest []byte, n int) (int, error) {
	err := c.switchProtocols(h)
	c.answering.unlock()
	if err != nil {
		return 0, err
	}
	if len(rest) == 0 {
		return n, nil
	}
	sent, err := c.writeFrames(rest)
	return n - len(rest) + sent, err
}

// switchProtocols checks a 101 with the fields h and opens the tunnel. h is changed.
func (c *bridgeConn) switchProtocols(h http.Header) error {
	x := c.x
	upgrade := make(http.Header, 3)
	for _, name := range []string{"Upgrade", "Connection", fieldAccept} {
		upgrade[name] = h[name]
	}
	if _, err := handshake.CheckResponse(http.StatusSwitchingProtocols, upgrade, handshake.Offer{}, x.key); err != nil {
		return c.fail(c.refuse(http.StatusInternalServerError, "the handler's 101 is wrong: "+err.Error()))
	}
	var ip *ipCount
	if x.messages == nil { // else Accept counts
		var err error
		if ip, err = x.takeWebSocket(c.server); err != nil {
			return c.fail(fmt.Errorf("weft: Bridge: %w", err))
		}
	}
	s, err := x.openTunnel(h)
	if err != nil {
		err = fmt.Errorf("weft: Bridge: %w", err)
	} else if err = c.start(s, ip); err == nil {
		return nil
	}
	if ip != nil {
		c.server.perIP.give(ip, webSockets)
	}
	return c.fail(err)
}

// reject answers in the handler's place. Called with answering held; unlocks it.
func (c *bridgeConn) reject(status int, why string) error {
	err := c.fail(c.refuse(status, why))
	c.answering.unlock()
	return err
}

func (c *bridgeConn) refuse(status int, why string) error {
	c.x.refuse(status, why)
	return errors.New("weft: Bridge: " + why)
}

// conclude sends what the handler answered, as much as there is. Called with answering held.
func (c *bridgeConn) conclude() {
	a := &c.answer
	switch {
	case a.final != nil:
		c.x.relay(a)
	case len(a.raw) > 0:
		c.refuse(http.StatusInternalServerError, "the handler's answer is cut off")
	default:
		c.refuse(http.StatusInternalServerError, "the handler gave no answer to the request for a WebSocket")
	}
	c.fail(net.ErrClosed)
}

// relay sends an answer that is no 101.
func (x *crossing) relay(a *bridgeAnswer) {
	res, err := readAnswer(a.raw) // now with its body
	if err != nil {
		res = a.final
	}
	dropConnectionFields(res.Header)
	h := x.w.Header()
	clear(h)
	for name, values := range res.Header {
		h[name] = values
	}
	x.status = res.StatusCode
	x.w.WriteHeader(res.StatusCode)
	// What there is of a body that is shorter than its length says was sent.
	io.Copy(x.w, io.LimitReader(res.Body, maxAnswerBody))
}

// complete reports whether the answer's body is all there. Without a length it goes on until the net.Conn is closed.
func (a *bridgeAnswer) complete() bool {
	body := a.raw[a.bodyAt:]
	switch {
	case a.final.ContentLength >= 0:
		return int64(len(body)) >= a.final.ContentLength
	case len(a.final.TransferEncoding) > 0 && bytes.HasSuffix(body, []byte("\r\n\r\n")):
		// The end of the last chunk, of its trailers, or of something that looks like it inside a chunk.
		res, err := readAnswer(a.raw)
		if err == nil {
			_, err = io.Copy(io.Discard, res.Body)
		}
		return err == nil
	}
	return false
}

func readAnswer(raw []byte) (*http.Response, error) {
	return http.ReadResponse(bufio.NewReader(bytes.NewReader(raw)), &http.Request{Method: http.MethodGet})
}

// headEnd returns where a header section ends, behind its empty line, or -1.
//
// "a recipient MAY recognize a single LF as a line terminator and ignore any preceding CR." RFC 9112, Section 2.2.
func headEnd(b []byte) int {
	for at := 0; ; {
		i := bytes.IndexByte(b[at:], '\n')
		if i < 0 {
			return -1
		}
		at += i + 1
		switch rest := b[at:]; {
		case len(rest) > 0 && rest[0] == '\n':
			return at + 1
		case len(rest) > 1 && rest[0] == '\r' && rest[1] == '\n':
			return at + 2
		}
	}
}

// dropConnectionFields removes what has a meaning for an HTTP/1.1 connection or message alone. RFC 9113, Section 8.2.2.
func dropConnectionFields(h http.Header) {
	for _, line := range h["Connection"] {
		for name := range strings.SplitSeq(line, ",") {
			h.Del(strings.TrimSpace(name))
		}
	}
	for _, name := range []string{"Connection", "Upgrade", "Keep-Alive", "Proxy-Connection", "Transfer-Encoding", "Te", "Trailer", "Content-Length"} {
		delete(h, name)
	}
}

// quiesce waits until nobody uses the http.ResponseWriter. c has failed or is open.
func (c *bridgeConn) quiesce() {
	c.answering.lock(context.Background())
	c.answering.unlock()
}

// handlerReturned sends what the handler has answered, or waits until others have: a goroutine of the handler's may write the 101
// yet. It returns the stream if the tunnel is open.
func (c *bridgeConn) handlerReturned() tunnelStream {
	c.beforeOpen(func() {
		if c.answer.final != nil {
			c.conclude()
		}
	})
	for {
		changed, _, err := c.watch()
		switch {
		case c.opened.Load():
			return c.stream
		case err != nil:
			c.quiesce()
			return nil
		}
		select {
		case <-changed:
		case <-c.gone:
			c.fail(errGaveUp)
		}
	}
}

const (
	maxAnswerHead = 64 << 10
	maxAnswerBody = 1 << 20
)

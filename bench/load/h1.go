package load

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha1"
	"encoding/base64"
	"fmt"
	"net/http"
	"time"
)

// An h1conn is a WebSocket that has a TCP connection for itself, or with [Raw] just the connection.
type h1conn struct {
	*pipe
	target   Target
	spec     Spec
	inFlight int
	rx       echo
	sent     int
}

func openH1(ctx context.Context, t Target, s Spec, sc *script) (conn, error) {
	c := &h1conn{target: t, spec: s, inFlight: s.InFlight}
	alpn := "http/1.1"
	if s.Proto == Raw {
		c.inFlight *= s.Streams
		alpn = ""
	} else if s.Streams > 1 {
		return nil, fmt.Errorf("an HTTP/1.1 connection carries one WebSocket, not %d", s.Streams)
	}
	c.rx = echo{script: sc, pong: c.sendPong}
	bufBytes := min(max(maxRecord+512, c.inFlight*len(sc.frames[0])), 256<<10)
	if s.Streams == 0 {
		return c, nil // churn dials for itself
	}
	p, err := dial(ctx, t, s.TLS, alpn, bufBytes, c.inFlight*len(sc.frames[0]))
	if err != nil {
		return nil, err
	}
	c.pipe = p
	if s.Proto == Raw {
		return c, nil
	}
	if d, ok := ctx.Deadline(); ok {
		p.setDeadline(d)
	}
	if err := c.upgrade(); err != nil {
		p.close()
		return nil, err
	}
	return c, nil
}

// upgrade does the opening handshake of RFC 6455, Section 4.1.
func (c *h1conn) upgrade() error {
	var nonce [16]byte
	rand.Read(nonce[:])
	key := base64.StdEncoding.EncodeToString(nonce[:])
	c.out = fmt.Appendf(c.out, "GET /echo HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"+
		"Sec-WebSocket-Key: %s\r\nSec-WebSocket-Version: 13\r\n", key)
	if c.spec.Deflate {
		c.out = append(c.out, extensionsField+": "+deflateOffer+"\r\n"...)
	}
	c.out = append(c.out, "\r\n"...)
	if err := c.flush(); err != nil {
		return err
	}
	end := -1
	for end < 0 {
		if err := c.fill(); err != nil {
			return err
		}
		end = bytes.Index(c.in[c.r:c.w], []byte("\r\n\r\n"))
	}
	head := c.in[c.r : c.r+end+4]
	resp, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(head)), nil)
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusSwitchingProtocols {
		return fmt.Errorf("the server answered the Upgrade with %s", resp.Status)
	}
	if got := resp.Header.Get("Sec-WebSocket-Accept"); got != acceptFor(key) {
		return fmt.Errorf("the server sent a wrong Sec-WebSocket-Accept: %q", got)
	}
	c.r += len(head)
	if c.spec.Deflate {
		return checkDeflate(resp.Header.Get(extensionsField))
	}
	return nil
}

// acceptFor is the answer to a Sec-WebSocket-Key (RFC 6455, Section 4.2.2).
func acceptFor(key string) string {
	sum := sha1.Sum([]byte(key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	return base64.StdEncoding.EncodeToString(sum[:])
}

func (c *h1conn) echo(r *round) (int64, error) {
	first, start := c.sent, c.rx.received
	for c.sent-first < c.inFlight && r.more(c.sent-first) {
		c.send()
	}
	if err := c.flush(); err != nil {
		return 0, err
	}
	for c.rx.received < c.sent {
		if err := c.fill(); err != nil {
			return int64(c.rx.received - start), err
		}
		done, err := c.rx.feed(c.in[c.r:c.w])
		c.r = c.w
		if err == nil && c.rx.closed {
			err = c.rx.closeError()
		}
		if err != nil {
			return int64(c.rx.received - start), err
		}
		for range done {
			if r.more(c.sent - first) {
				c.send()
			}
		}
		if err := c.flush(); err != nil {
			return int64(c.rx.received - start), err
		}
	}
	return int64(c.rx.received - start), nil
}

func (c *h1conn) send() {
	c.out = append(c.out, c.rx.frames[c.sent%len(c.rx.frames)]...)
	c.sent++
}

// churn opens, closes and forgets connections one after the other.
func (c *h1conn) churn(r *round) (n int64, err error) {
	for r.more(int(n)) {
		if err := c.openClose(); err != nil {
			return n, err
		}
		n++
	}
	return n, nil
}

func (c *h1conn) openClose() error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	s := c.spec
	s.Streams = 1
	fresh, err := openH1(ctx, c.target, s, c.rx.script)
	if err != nil {
		return err
	}
	defer fresh.close()
	f := fresh.(*h1conn)
	f.out = appendClientFrame(f.out, opClose, closeNormal, 0x01020304)
	if err := f.flush(); err != nil {
		return err
	}
	for !f.rx.closed {
		if f.r == f.w {
			if err := f.fill(); err != nil {
				return err
			}
		}
		_, err := f.rx.feed(f.in[f.r:f.w])
		f.r = f.w
		if err != nil {
			return err
		}
	}
	return nil
}

var closeNormal = []byte{1000 >> 8, 1000 & 255}

func (c *h1conn) sendPong(p []byte) { c.out = appendClientFrame(c.out, opPong, p, 0x01020304) }

func (c *h1conn) setDeadline(t time.Time) {
	if c.pipe != nil {
		c.pipe.setDeadline(t)
	}
}

func (c *h1conn) close() {
	if c.pipe != nil {
		c.pipe.close()
	}
}

func (c *h1conn) describe() string {
	return fmt.Sprintf("%s connection, %d messages sent, %d echoed", c.spec.Proto, c.sent, c.rx.received)
}

package fakeorigin

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/weftws/weft/internal/handshake"
)

// serveHTTP1 answers one request.
func (c *conn) serveHTTP1() {
	o := c.origin
	r := bufio.NewReader(c.nc)
	if o.Impatience != "" {
		c.nc.SetReadDeadline(time.Now().Add(o.Patience))
	}
	req, err := http.ReadRequest(r)
	c.nc.SetReadDeadline(time.Time{})
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		c.say(o.Impatience)
		c.ended(c.drain(c.nc))
	case errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF):
		c.ended(err)
	case err != nil:
		c.ended(err)
		c.say("HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n")
	case req.Header.Get("Upgrade") != "":
		c.recvUpgrade(r, req)
	case o.Deaf:
		c.ended(c.drain(r))
	default:
		c.say(fmt.Sprintf("HTTP/1.1 200 OK\r\n%s\r\n", o.Head))
	}
}

func (c *conn) recvUpgrade(r *bufio.Reader, req *http.Request) {
	answer := c.origin.Upgrade
	if answer == "" {
		answer = Switching
	}
	if c.origin.Deaf {
		answer = Silence
	}
	answer = strings.ReplaceAll(answer, "%k", handshake.AcceptKey(req.Header.Get("Sec-WebSocket-Key")))
	shake := Handshake{Method: req.Method, Path: req.URL.Path, Header: req.Header}
	if f := strings.Fields(answer); len(f) > 1 && f[0] == "HTTP/1.1" {
		shake.Status, _ = strconv.Atoi(f[1])
	}
	c.server.count(func(n *Counts) {
		n.Upgrades++
		n.Handshakes = append(n.Handshakes, shake)
		if r.Buffered() > 0 {
			n.EarlyData++
		}
	})
	if !c.pause(c.origin.Delay) {
		return
	}
	c.say(answer)
	_, end := cutEnd(answer)
	switch {
	case shake.Status == http.StatusSwitchingProtocols && end == "":
		c.server.count(func(n *Counts) { n.WebSockets++ })
		c.echo(r)
	case end != "":
		c.ended(c.drain(r))
	}
}

// echo is a WebSocket on the whole connection.
func (c *conn) echo(r io.Reader) {
	var ws webSocket
	buf := make([]byte, 1<<15)
	for {
		n, err := r.Read(buf)
		if err != nil {
			c.ended(err)
			return
		}
		out, over := ws.take(buf[:n])
		c.nc.Write(out)
		if over {
			return
		}
	}
}

package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"math"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/quic-go/quic-go/http3"

	"github.com/weftws/weft"
)

// A client is the clients that use one version of HTTP.
type client struct {
	*run
	name   string
	url    string // of the server, for WebSockets; without path
	rungs  []weft.Rung
	dialer *weft.Dialer
	http   *http.Client
	counters
}

// counters are what the table at the end shows.
type counters struct {
	open                                                    atomic.Int64 // now
	dialed, cancelled, messages, bytes, feeds, gaps         atomic.Int64
	requests, pings, aborts, reconnects, unread, interrupts atomic.Int64
}

func (r *run) newClient(name string, rungs ...weft.Rung) *client {
	c := &client{run: r, name: name, rungs: rungs, url: "wss://" + r.server.TLS}
	tlsConfig := &tls.Config{RootCAs: r.roots}
	tr := &http.Transport{TLSClientConfig: tlsConfig, Protocols: new(http.Protocols), MaxIdleConnsPerHost: 4}
	c.http = &http.Client{Transport: tr, Timeout: patience}
	switch name {
	case "h1":
		c.url = "ws://" + r.server.Plain
		tr.Protocols.SetHTTP1(true)
	case "h1+tls":
		tr.Protocols.SetHTTP1(true)
	case "h2":
		tr.Protocols.SetHTTP2(true)
	case "h3":
		c.http.Transport = &http3.Transport{TLSClientConfig: tlsConfig}
	}
	c.dialer = c.newDialer()
	return c
}

func (c *client) newDialer() *weft.Dialer {
	return &weft.Dialer{
		TLSConfig: &tls.Config{RootCAs: c.roots}, Policy: weft.Policy{Rungs: c.rungs}, HandshakeTimeout: patience,
		Observer: c.observer(),
	}
}

func (c *client) close() {
	c.dialer.Close()
	c.http.CloseIdleConnections()
	if tr, ok := c.http.Transport.(*http3.Transport); ok {
		tr.Close()
	}
}

// patience is how long anything may take.
const patience = 30 * time.Second

// A socket is a WebSocket of a scenario.
type socket struct {
	*weft.Conn
	c   *client
	ctx context.Context
}

func (c *client) count(ws *weft.Conn) {
	c.dialed.Add(1)
	c.open.Add(1)
	ws.SetReadLimit(2 << 20)
}

// dial opens a WebSocket; one in four on a connection of its own.
func (c *client) dial(ctx context.Context, path string) (*socket, func(), error) {
	d, done := c.dialer, func() {}
	if rand.IntN(4) == 0 {
		d = c.newDialer()
		done = func() { d.Close() }
	}
	opts := &weft.DialOptions{CompressionMode: weft.CompressionMode(rand.IntN(3))}
	ws, _, err := d.Dial(ctx, fmt.Sprintf("%s%s?z=%d", c.url, path, rand.IntN(3)), opts)
	if err != nil {
		done()
		return nil, nil, err
	}
	c.count(ws)
	return &socket{ws, c, ctx}, func() {
		ws.CloseNow()
		c.open.Add(-1)
		done()
	}, nil
}

// A message to echo.
type message struct {
	typ weft.MessageType
	p   []byte
}

// newMessage has 0 to 256 KiB.
func newMessage() message {
	if rand.IntN(50) == 0 {
		return messageOf(256 << 10)
	}
	return messageOf(randomSize(256 << 10))
}

// randomSize is less than limit; small ones are as many as large ones, by their logarithm.
func randomSize(limit float64) int { return int(math.Exp2(rand.Float64()*math.Log2(limit))) - 1 }

func messageOf(size int) message {
	if rand.IntN(2) == 0 {
		return message{weft.MessageBinary, block[rand.IntN(textAt-size):][:size]}
	}
	return message{weft.MessageText, block[textAt+rand.IntN(len(block)-textAt-size):][:size]}
}

func (s *socket) send(m message) error {
	if len(m.p) > 1000 && rand.IntN(8) == 0 {
		return s.sendFragments(m)
	}
	return s.Write(s.ctx, m.typ, m.p)
}

func (s *socket) sendFragments(m message) error {
	w, err := s.Writer(s.ctx, m.typ)
	if err != nil {
		return err
	}
	for p := m.p; len(p) > 0; {
		n := 1 + rand.IntN(len(p))
		if _, err := w.Write(p[:n]); err != nil {
			return err
		}
		p = p[n:]
	}
	return w.Close()
}

func (s *socket) compare(m message) error {
	typ, p, err := s.Read(s.ctx)
	if err != nil {
		return err
	}
	return s.same(m, typ, p)
}

func (s *socket) same(m message, typ weft.MessageType, p []byte) error {
	if typ != m.typ || !bytes.Equal(p, m.p) {
		return fmt.Errorf("the echo differs: sent %v of %d bytes, received %v of %d", m.typ, len(m.p), typ, len(p))
	}
	s.c.messages.Add(1)
	s.c.bytes.Add(int64(len(p)))
	return nil
}

// end closes the WebSocket with a handshake.
func (s *socket) end() error {
	if err := s.Close(weft.StatusNormalClosure, ""); err != nil {
		return fmt.Errorf("closing: %w", err)
	}
	return nil
}

// A pacer spreads the load so that it takes no more than a share of the processors.
type pacer struct {
	factor atomic.Uint64 // float64: how much longer than at first everybody waits
}

func (p *pacer) scale() float64 { return math.Float64frombits(p.factor.Load()) }

// adapt is told how much of its share is used.
func (p *pacer) adapt(used float64) {
	f := p.scale() * min(max(used, 0.7), 1.5)
	p.factor.Store(math.Float64bits(min(max(f, 0.05), 50)))
}

// pause waits as befits a message of n bytes.
func (s *socket) pause(n int) { s.c.pause(s.ctx, n) }

func (r *run) pause(ctx context.Context, n int) {
	d := 10*time.Millisecond + time.Duration(n)*200*time.Nanosecond
	d = time.Duration(float64(d) * r.pacer.scale() * 2 * rand.Float64())
	select {
	case <-time.After(min(d, time.Second)):
	case <-ctx.Done():
	}
}

// stayMax bounds the messages of WebSockets that stay, since they may hold the last one, inflated, while samples are taken.
const stayMax = 8 << 10

// stay is a WebSocket that stays open: messages, now and then.
func (c *client) stay(ctx context.Context) error {
	ws, _, err := c.dialer.Dial(ctx, c.url+"/echo?z=1", &weft.DialOptions{CompressionMode: weft.CompressionMode(rand.IntN(3))})
	if err != nil {
		return err
	}
	c.count(ws)
	defer c.open.Add(-1)
	defer ws.CloseNow()
	for ctx.Err() == nil {
		c.quiet.RLock()
		one, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience)
		s := &socket{ws, c, one}
		m := messageOf(randomSize(stayMax))
		err := s.send(m)
		if err == nil {
			err = s.compare(m)
		}
		cancel()
		c.quiet.RUnlock()
		if err != nil {
			return err
		}
		c.pause(ctx, 4*len(m.p))
	}
	return ws.Close(weft.StatusNormalClosure, "")
}

// work runs one scenario after the other.
func (c *client) work(ctx context.Context, only string) {
	list := scenarios
	if only != "" {
		list = nil
		for _, s := range scenarios {
			if s.name == only {
				list = append(list, s)
			}
		}
	}
	for ctx.Err() == nil {
		s := list[rand.IntN(len(list))]
		c.quiet.RLock()
		one, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience)
		if err := s.run(one, c); err != nil {
			c.wrong(c.name+", "+s.name, err)
		}
		cancel()
		c.quiet.RUnlock()
		c.pause(ctx, 0)
	}
}

func rootsOf(der []byte) (*x509.CertPool, error) {
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	roots.AddCert(cert)
	return roots, nil
}

func (c *client) httpURL(path string) string { return strings.Replace(c.url, "ws", "http", 1) + path }

// each runs f for every client, and waits.
func each(clients []*client, f func(c *client)) {
	var wg sync.WaitGroup
	for _, c := range clients {
		wg.Go(func() { f(c) })
	}
	wg.Wait()
}

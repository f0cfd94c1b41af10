package load

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/quic-go/qpack"
	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/quicvarint"
)

// An h3conn is the client's end of one HTTP/3 connection. QUIC is quic-go's; each stream is one WebSocket and has a goroutine
// while it echoes.
type h3conn struct {
	q       *quic.Conn
	spec    Spec
	frames  [][]byte // the script's frames, each in a DATA frame
	streams []*h3stream
}

type h3stream struct {
	q    *quic.Stream
	rx   echo
	sent int
	in   []byte
	out  []byte
	head []byte // an HTTP/3 frame header that is not whole
	left int    // bytes of the DATA frame still to come

	echoed atomic.Int64 // for describe
}

// Frames, streams and settings of RFC 9114, Sections 7.2 and 6.2, and RFC 9220, Section 3.
const (
	h3Data            = 0
	h3Headers         = 1
	h3Settings        = 4
	h3Control         = 0
	h3SettingsConnect = 8
)

func openH3(ctx context.Context, t Target, s Spec, sc *script) (conn, error) {
	if s.Deflate {
		return nil, errors.New("compression over HTTP/3 is not measured")
	}
	cfg := &tls.Config{RootCAs: t.Roots, ServerName: "localhost", MinVersion: tls.VersionTLS13, NextProtos: []string{"h3"}}
	q, err := quic.DialAddr(ctx, t.Addr, cfg, &quic.Config{
		InitialStreamReceiveWindow: streamWindow, MaxStreamReceiveWindow: streamWindow,
		InitialConnectionReceiveWindow: connWindow, MaxConnectionReceiveWindow: connWindow,
	})
	if err != nil {
		return nil, err
	}
	c := &h3conn{q: q, spec: s}
	for _, f := range sc.frames {
		c.frames = append(c.frames, append(appendH3Head(nil, h3Data, len(f)), f...))
	}
	if err := c.start(ctx, sc); err != nil {
		c.close()
		return nil, err
	}
	return c, nil
}

func appendH3Head(b []byte, typ uint64, n int) []byte {
	return quicvarint.Append(quicvarint.Append(b, typ), uint64(n))
}

// start sends SETTINGS, waits for the server's, and opens the streams.
func (c *h3conn) start(ctx context.Context, sc *script) error {
	control, err := c.q.OpenUniStreamSync(ctx)
	if err != nil {
		return err
	}
	if _, err := control.Write(appendH3Head([]byte{h3Control}, h3Settings, 0)); err != nil {
		return err
	}
	if err := c.awaitSettings(ctx); err != nil {
		return err
	}
	for range c.spec.Streams {
		q, err := c.q.OpenStreamSync(ctx)
		if err != nil {
			return err
		}
		s := &h3stream{q: q, in: make([]byte, 16<<10), rx: echo{script: sc}}
		s.rx.pong = func(p []byte) {
			f := appendClientFrame(nil, opPong, p, 0x01020304)
			s.out = append(appendH3Head(s.out, h3Data, len(f)), f...)
		}
		c.streams = append(c.streams, s)
		if _, err := q.Write(connectSection()); err != nil {
			return err
		}
	}
	for _, s := range c.streams {
		if err := s.awaitResponse(); err != nil {
			return err
		}
	}
	return nil
}

// awaitSettings reads the server's control stream up to its SETTINGS.
func (c *h3conn) awaitSettings(ctx context.Context) error {
	for {
		s, err := c.q.AcceptUniStream(ctx)
		if err != nil {
			return err
		}
		if d, ok := ctx.Deadline(); ok {
			s.SetReadDeadline(d)
		}
		r := quicvarint.NewReader(s)
		if typ, err := quicvarint.Read(r); err != nil {
			return err
		} else if typ != h3Control {
			continue
		}
		typ, p, err := readH3Frame(r)
		if err != nil {
			return err
		}
		if typ != h3Settings {
			return fmt.Errorf("the server's control stream begins with a frame of type %d", typ)
		}
		for len(p) > 0 {
			id, n, err := quicvarint.Parse(p)
			if err != nil {
				return err
			}
			v, m, err := quicvarint.Parse(p[n:])
			if err != nil {
				return err
			}
			if id == h3SettingsConnect && v == 1 {
				return nil
			}
			p = p[n+m:]
		}
		return errors.New("the server does not offer Extended CONNECT (RFC 9220, Section 3)")
	}
}

func readH3Frame(r quicvarint.Reader) (typ uint64, p []byte, err error) {
	if typ, err = quicvarint.Read(r); err != nil {
		return 0, nil, err
	}
	size, err := quicvarint.Read(r)
	if err != nil {
		return 0, nil, err
	}
	if size > maxFrameSize {
		return 0, nil, fmt.Errorf("the server sent a frame of %d bytes", size)
	}
	p = make([]byte, size)
	for n := 0; n < len(p); {
		k, err := r.Read(p[n:])
		if n += k; err != nil && n < len(p) {
			return 0, nil, err
		}
	}
	return typ, p, nil
}

// connectSection is the Extended CONNECT of RFC 9220, Section 3, in its HEADERS frame.
func connectSection() []byte {
	var section bytes.Buffer
	enc := qpack.NewEncoder(&section)
	for _, f := range connectFields {
		enc.WriteField(qpack.HeaderField{Name: f.Name, Value: f.Value})
	}
	return append(appendH3Head(nil, h3Headers, section.Len()), section.Bytes()...)
}

func (s *h3stream) awaitResponse() error {
	typ, p, err := readH3Frame(quicvarint.NewReader(s.q))
	if err != nil {
		return err
	}
	if typ != h3Headers {
		return fmt.Errorf("the server answered the CONNECT with a frame of type %d", typ)
	}
	f, err := qpack.NewDecoder().Decode(p)()
	if err != nil {
		return err
	}
	if f.Name != ":status" || f.Value != "200" {
		return fmt.Errorf("the server answered the CONNECT with %s %q", f.Name, f.Value)
	}
	return nil
}

func (c *h3conn) echo(r *round) (int64, error) {
	var total atomic.Int64
	errs := make(chan error, len(c.streams))
	var wg sync.WaitGroup
	for _, s := range c.streams {
		wg.Go(func() {
			n, err := s.echo(r, c.frames, c.spec.InFlight)
			total.Add(n)
			if err != nil {
				r.stop.Store(true)
				errs <- fmt.Errorf("stream %d: %w", s.q.StreamID(), err)
			}
		})
	}
	wg.Wait()
	close(errs)
	return total.Load(), <-errs
}

// echo keeps inFlight messages on their way; what one read made possible leaves in one write.
func (s *h3stream) echo(r *round, frames [][]byte, inFlight int) (int64, error) {
	first, start := s.sent, s.rx.received
	due := inFlight
	for {
		for ; due > 0 && r.more(s.sent-first); due-- {
			s.out = append(s.out, frames[s.sent%len(frames)]...)
			s.sent++
		}
		if len(s.out) > 0 {
			if _, err := s.q.Write(s.out); err != nil {
				return int64(s.rx.received - start), err
			}
			s.out = s.out[:0]
		}
		if s.rx.received == s.sent {
			return int64(s.rx.received - start), nil
		}
		n, err := s.q.Read(s.in)
		if err == nil {
			due, err = s.recv(s.in[:n])
		}
		s.echoed.Store(int64(s.rx.received))
		if err != nil {
			return int64(s.rx.received - start), err
		}
	}
}

// recv takes what was read, DATA frames in any pieces, and returns how many echoes it completed.
func (s *h3stream) recv(p []byte) (done int, err error) {
	for len(p) > 0 {
		if s.left == 0 {
			s.head = append(s.head, p[0])
			p = p[1:]
			typ, n, err := quicvarint.Parse(s.head)
			if err != nil {
				continue
			}
			size, _, err := quicvarint.Parse(s.head[n:])
			if err != nil {
				continue
			}
			if typ != h3Data {
				return done, fmt.Errorf("the server sent a frame of type %d in the tunnel", typ)
			}
			s.left, s.head = int(size), s.head[:0]
			continue
		}
		k := min(len(p), s.left)
		n, err := s.rx.feed(p[:k])
		done += n
		if err == nil && s.rx.closed {
			err = s.rx.closeError()
		}
		if err != nil {
			return done, err
		}
		p, s.left = p[k:], s.left-k
	}
	return done, nil
}

func (c *h3conn) churn(*round) (int64, error) {
	return 0, errors.New("openings over HTTP/3 are not measured")
}

func (c *h3conn) setDeadline(t time.Time) {
	for _, s := range c.streams {
		s.q.SetDeadline(t)
	}
}

func (c *h3conn) describe() string {
	echoed := int64(0)
	for _, s := range c.streams {
		echoed += s.echoed.Load()
	}
	return fmt.Sprintf("h3 connection, %d streams, %d messages echoed", len(c.streams), echoed)
}

func (c *h3conn) close() { c.q.CloseWithError(h3NoError, "") }

const h3NoError = 0x100 // RFC 9114, Section 8.1

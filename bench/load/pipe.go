package load

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"sync"
	"time"
)

// A pipe is a connection with its buffers. One goroutine reads; what it wants to send it appends to out and flushes once
// for each batch of input.
type pipe struct {
	conn net.Conn
	bulk *bulk  // below TLS, else nil
	in   []byte // in[r:w] is input not yet parsed
	r, w int
	out  []byte
	wr   *writer // nil: flush writes by itself
}

// dial connects. inFlightBytes is the most the connection will have sent and not received back: if that could fill the
// kernel's buffers both ways, a goroutine of its own writes, because a server that does not read while it writes would
// otherwise wait for us while we wait for it.
func dial(ctx context.Context, t Target, useTLS bool, alpn string, bufBytes, inFlightBytes int) (*pipe, error) {
	var d net.Dialer
	nc, err := d.DialContext(ctx, "tcp", t.Addr)
	if err != nil {
		return nil, err
	}
	p := &pipe{conn: nc, in: make([]byte, bufBytes)}
	if useTLS {
		p.bulk = &bulk{Conn: nc, buf: make([]byte, bufBytes)}
		cfg := &tls.Config{RootCAs: t.Roots, ServerName: "localhost", MinVersion: tls.VersionTLS13}
		if alpn != "" {
			cfg.NextProtos = []string{alpn}
		}
		tc := tls.Client(p.bulk, cfg)
		p.conn = tc
		if err := tc.HandshakeContext(ctx); err != nil {
			nc.Close()
			return nil, err
		}
		// Some HTTP/1.1 servers do not speak ALPN; an HTTP/2 one has to (RFC 9113, Section 3.2).
		if got := tc.ConnectionState().NegotiatedProtocol; got != alpn && (alpn == "h2" || got != "") {
			nc.Close()
			return nil, fmt.Errorf("the server chose ALPN %q, not %q", got, alpn)
		}
	}
	if inFlightBytes > 64<<10 {
		p.wr = newWriter(p.conn)
	}
	return p, nil
}

// fill reads until nothing more has arrived (or in is full); at least once.
func (p *pipe) fill() error {
	if p.r == p.w {
		p.r, p.w = 0, 0
	} else if p.r > 0 && len(p.in)-p.w < len(p.in)/4 {
		p.w = copy(p.in, p.in[p.r:p.w])
		p.r = 0
	}
	for before := p.w; ; {
		n, err := p.conn.Read(p.in[p.w:])
		p.w += n
		if err != nil && p.w > before {
			return nil // what came before the end counts; the next read meets the error again
		}
		if err != nil {
			if p.wr != nil {
				if werr := p.wr.failed(); werr != nil {
					return werr
				}
			}
			return err
		}
		if p.bulk == nil || p.bulk.r == p.bulk.w || len(p.in)-p.w < maxRecord {
			return nil
		}
	}
}

const maxRecord = 16 << 10 // plaintext of a TLS record, RFC 8446, Section 5.1

func (p *pipe) flush() error {
	if len(p.out) == 0 {
		return nil
	}
	if p.wr != nil {
		p.out = p.wr.swap(p.out)
		return nil
	}
	_, err := p.conn.Write(p.out)
	p.out = p.out[:0]
	return err
}

func (p *pipe) setDeadline(t time.Time) { p.conn.SetDeadline(t) }

func (p *pipe) close() {
	if p.bulk != nil {
		p.bulk.Conn.Close()
	} else {
		p.conn.Close()
	}
	if p.wr != nil {
		p.wr.stop()
	}
}

// bulk reads from the socket in large pieces, so that TLS does not cost a system call a record, and shows whether more
// input is at hand. For that it hands out one record at a time: TLS keeps nothing that it does not need yet.
type bulk struct {
	net.Conn
	buf    []byte
	r, w   int
	header [recordHeader]byte // of the record under way
	have   int                // bytes of header
	left   int                // bytes of the record after its header
}

const recordHeader = 5 // RFC 8446, Section 5.1

func (b *bulk) Read(p []byte) (int, error) {
	if b.r == b.w {
		n, err := b.Conn.Read(b.buf)
		b.r, b.w = 0, n
		if err != nil {
			return 0, err
		}
	}
	if b.left == 0 {
		n := copy(p, b.buf[b.r:min(b.w, b.r+recordHeader-b.have)])
		copy(b.header[b.have:], p[:n])
		b.r += n
		if b.have += n; b.have == recordHeader {
			b.have, b.left = 0, int(b.header[3])<<8|int(b.header[4])
		}
		return n, nil
	}
	n := copy(p, b.buf[b.r:min(b.w, b.r+b.left)])
	b.r += n
	b.left -= n
	return n, nil
}

// A writer writes in a goroutine of its own.
type writer struct {
	conn   net.Conn
	mu     sync.Mutex
	cond   sync.Cond
	queued []byte
	err    error
	done   bool
}

func newWriter(c net.Conn) *writer {
	w := &writer{conn: c}
	w.cond.L = &w.mu
	go w.loop()
	return w
}

// swap queues p and returns a buffer to fill next.
func (w *writer) swap(p []byte) []byte {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.queued) == 0 {
		w.queued, p = p, w.queued
	} else {
		w.queued = append(w.queued, p...)
	}
	w.cond.Signal()
	return p[:0]
}

func (w *writer) loop() {
	var spare []byte
	for {
		w.mu.Lock()
		for len(w.queued) == 0 && !w.done {
			w.cond.Wait()
		}
		if w.done {
			w.mu.Unlock()
			return
		}
		b := w.queued
		w.queued = spare[:0]
		w.mu.Unlock()
		if _, err := w.conn.Write(b); err != nil {
			w.mu.Lock()
			w.err, w.done = err, true
			w.mu.Unlock()
			w.conn.Close()
			return
		}
		spare = b
	}
}

func (w *writer) failed() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.err
}

func (w *writer) stop() {
	w.mu.Lock()
	w.done = true
	w.mu.Unlock()
	w.cond.Signal()
}

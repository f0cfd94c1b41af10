package lab

import (
	"context"
	"errors"
	"io"
	"math"
	"net"
	"sync"
	"time"
)

// A relay is a long way to a server: it passes on what it gets, later. Bytes keep their order, and as many may be on the way as there
// are: a slow reader is no reason to delay the writer, as on a network with room. How it is with datagrams stands in relay_udp.go.
type relay struct {
	listener net.Listener
	socket   *net.UDPConn // of the same port
	target   string
	datagram net.Addr      // where datagrams go; nil: nowhere
	delay    time.Duration // one way

	mu     sync.Mutex
	conns  map[net.Conn]struct{} // both sides'; nil: closed
	active sync.WaitGroup
}

// newRelay listens on a free loopback port for connections to target, and for datagrams to an address on it, nil: that are lost.
func newRelay(target string, datagram net.Addr, delay time.Duration) (*relay, error) {
	l, socket, err := listenBoth()
	if err != nil {
		return nil, err
	}
	r := &relay{listener: l, socket: socket, target: target, datagram: datagram, delay: delay, conns: make(map[net.Conn]struct{})}
	r.active.Go(r.accept)
	r.active.Go(r.acceptDatagrams)
	return r, nil
}

// addr is where the relay listens.
func (r *relay) addr() *net.TCPAddr { return r.listener.Addr().(*net.TCPAddr) }

// close ends every connection and returns when nothing of the relay runs any more.
func (r *relay) close() {
	r.listener.Close()
	r.socket.Close()
	r.mu.Lock()
	for c := range r.conns {
		c.Close()
	}
	r.conns = nil
	r.mu.Unlock()
	r.active.Wait()
}

func (r *relay) accept() {
	for {
		near, err := r.listener.Accept()
		if err != nil {
			return
		}
		r.active.Go(func() { r.serve(near) })
	}
}

// serve passes on what is said on one connection, both ways.
func (r *relay) serve(near net.Conn) {
	defer r.drop(near)
	if !r.hold(near) {
		return
	}
	far, err := net.Dial("tcp", r.target)
	if err != nil {
		reset(near)
		return
	}
	defer r.drop(far)
	if !r.hold(far) {
		return
	}
	var ways sync.WaitGroup
	ways.Go(func() { r.pass(near, far) })
	ways.Go(func() { r.pass(far, near) })
	ways.Wait()
}

// hold has close close c; false: the relay is closed.
func (r *relay) hold(c net.Conn) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.conns == nil {
		return false
	}
	r.conns[c] = struct{}{}
	return true
}

func (r *relay) drop(c net.Conn) {
	c.Close()
	r.mu.Lock()
	delete(r.conns, c)
	r.mu.Unlock()
}

// A chunk is what one Read brought.
type chunk struct {
	due  time.Time
	data []byte
	err  error // the last one's: io.EOF for an end, else a failure
}

// pass copies from one side to the other, each chunk the delay after it came. An end arrives as an end and a reset as a
// reset, after the same delay.
func (r *relay) pass(from, to net.Conn) {
	var way queueOfChunks
	way.init()
	var reader sync.WaitGroup
	defer reader.Wait()
	reader.Go(func() {
		for {
			b := make([]byte, chunkSize)
			n, err := from.Read(b)
			way.put(chunk{due: time.Now().Add(r.delay), data: b[:n], err: err})
			if err != nil {
				return
			}
		}
	})
	for {
		c := way.take()
		time.Sleep(time.Until(c.due))
		if len(c.data) > 0 {
			if _, err := to.Write(c.data); err != nil {
				reset(from) // which also ends the reader
				return
			}
		}
		switch {
		case errors.Is(c.err, io.EOF):
			to.(*net.TCPConn).CloseWrite()
			return
		case c.err != nil:
			reset(to)
			return
		}
	}
}

// chunkSize is more than fits a TLS record.
const chunkSize = 32 << 10

// reset closes with RST.
func reset(c net.Conn) {
	c.(*net.TCPConn).SetLinger(0)
	c.Close()
}

// A queueOfChunks is what is on its way.
type queueOfChunks struct {
	mu     sync.Mutex
	some   sync.Cond
	chunks []chunk
}

func (q *queueOfChunks) init() { q.some.L = &q.mu }

func (q *queueOfChunks) put(c chunk) { q.putUpTo(math.MaxInt, c) }

// putUpTo drops c if there are so many chunks already.
func (q *queueOfChunks) putUpTo(limit int, c chunk) {
	q.mu.Lock()
	if len(q.chunks) < limit {
		q.chunks = append(q.chunks, c)
	}
	q.mu.Unlock()
	q.some.Signal()
}

// take waits for a chunk.
func (q *queueOfChunks) take() chunk {
	q.mu.Lock()
	defer q.mu.Unlock()
	for len(q.chunks) == 0 {
		q.some.Wait()
	}
	c := q.chunks[0]
	q.chunks[0] = chunk{}
	q.chunks = q.chunks[1:]
	return c
}

// farDialer makes the connections of a client that is far away: a TCP handshake takes a round trip, which is waited for before
// the connection to the relay is made.
func farDialer(rtt time.Duration) func(ctx context.Context, network, addr string) (net.Conn, error) {
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		select {
		case <-time.After(rtt):
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
		_, port, err := net.SplitHostPort(addr)
		if err != nil {
			return nil, err
		}
		return new(net.Dialer).DialContext(ctx, network, net.JoinHostPort("127.0.0.1", port))
	}
}

package weft_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/weftws/weft"
	"github.com/weftws/weft/internal/simnet"
)

// A rawConn is the bytes of one WebSocket, whatever carries them: a connection after an Upgrade, or an HTTP/2 stream after an
// Extended CONNECT. Read returns io.EOF for an orderly end (FIN, close_notify, END_STREAM) and a *resetError for any other.
type rawConn interface {
	io.ReadWriter
	SetReadDeadline(t time.Time) error
	CloseWrite() error // FIN, close_notify; an empty DATA frame with END_STREAM
	Reset()            // RST; RST_STREAM(CANCEL)
	Close() error      // frees everything
}

// A rawPeer is one end of a WebSocket, driven byte by byte; a Conn is the other.
type rawPeer struct {
	*testing.T
	carrier carrier
	client  bool // the peer is one; the Conn is the server's then
	chopped bool // what is sent arrives in small pieces
	conn    rawConn
	buf     []byte // received, not yet looked at
	keys    map[string]int

	network *simnet.Network
	server  *weft.Server // the Conn's, where the peer is a client
	subject *subject
}

// A subject is the Conn under test, and what its owner is told.
type subject struct {
	*weft.Conn
	events chan any // messages, `text "..."`, `binary "..."`, and at the end the error
	pongs  chan string
}

func newSubject() *subject {
	return &subject{events: make(chan any, 1000), pongs: make(chan string, 1000)}
}

// watch reads everything from the Conn. With callbacks it returns at once.
func (s *subject) watch(callbacks bool) {
	event := func(typ weft.MessageType, p []byte) { s.events <- fmt.Sprintf("%v %s", typ, brief(string(p))) }
	if callbacks {
		s.Handle(weft.HandlerFuncs{
			Message: func(_ *weft.Conn, typ weft.MessageType, p []byte) { event(typ, p) },
			Close:   func(_ *weft.Conn, err error) { s.events <- err },
		})
		return
	}
	for {
		typ, p, err := s.Read(context.Background())
		if err != nil {
			s.events <- err
			return
		}
		event(typ, p)
	}
}

// brief is s quoted, or its length and a sum where it is long.
func brief(s string) string {
	if len(s) <= 300 {
		return fmt.Sprintf("%q", s)
	}
	sum := uint32(1)
	for i := range len(s) {
		sum = sum*31 + uint32(s[i])
	}
	return fmt.Sprintf("%d bytes, sum %08x", len(s), sum)
}

// A setting is what a conversation has besides its frames.
type setting struct {
	accept    weft.AcceptOptions
	dial      weft.DialOptions
	readLimit int64
	// extensions is what the peer offers as a client, or answers with as a server; "": nothing.
	offer, answer string
}

// A conversation is what a rawPeer says to a Conn and hears from it.
type conversation struct {
	name string
	talk func(p *rawPeer)
}

// converse runs each conversation over every carrier, with the peer on either side, and with a Conn that is read and one that
// calls back; to the latter everything comes in small pieces.
func converse(t *testing.T, cs []conversation) {
	t.Helper()
	for _, c := range cs {
		t.Run(c.name, func(t *testing.T) { converseWith(t, setting{}, c.talk) })
	}
}

func converseWith(t *testing.T, s setting, talk func(p *rawPeer)) {
	t.Helper()
	for _, c := range onTCP {
		for _, client := range []bool{true, false} {
			for _, callbacks := range []bool{false, true} {
				t.Run(c.name+"/"+sideName(client)+"/"+apiName(callbacks), func(t *testing.T) {
					simnet.Run(t, rtt, func(t *testing.T, n *simnet.Network) {
						p := &rawPeer{T: t, carrier: c, client: client, chopped: callbacks, keys: make(map[string]int), network: n, subject: newSubject()}
						if client {
							p.meetServer(n, s, callbacks)
						} else {
							p.meetClient(n, s, callbacks)
						}
						t.Cleanup(p.part)
						talk(p)
					})
				})
			}
		}
	}
}

func sideName(client bool) string {
	if client {
		return "client"
	}
	return "server"
}

func apiName(callbacks bool) string {
	if callbacks {
		return "handle"
	}
	return "read"
}

// meetServer starts a Server and opens a WebSocket to it.
func (p *rawPeer) meetServer(n *simnet.Network, s setting, callbacks bool) {
	accepted := make(chan *weft.Conn, 1)
	opts := s.accept
	opts.OnPongReceived = func(_ context.Context, b []byte) { p.subject.pongs <- string(b) }
	e := newEnv(p.T, n, p.carrier, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, err := weft.Accept(w, r, &opts)
		if err != nil {
			p.Errorf("Accept: %v", err)
			accepted <- nil
			return
		}
		p.subject.prepare(c, s)
		accepted <- c
		p.subject.watch(callbacks)
	}), nil)
	p.server = e.server
	var fields []string
	if s.offer != "" {
		fields = append(fields, "sec-websocket-extensions: "+s.offer)
	}
	p.conn = dialRaw(p.T, e, fields...)
	if <-accepted == nil {
		p.FailNow()
	}
}

func (s *subject) prepare(c *weft.Conn, set setting) {
	s.Conn = c
	if set.readLimit != 0 {
		c.SetReadLimit(set.readLimit)
	}
}

// meetClient starts a server by hand and dials it.
func (p *rawPeer) meetClient(n *simnet.Network, s setting, callbacks bool) {
	l := listenRaw(p.T, n, p.carrier)
	opts := s.dial
	opts.OnPongReceived = func(_ context.Context, b []byte) { p.subject.pongs <- string(b) }
	dialed := make(chan error, 1)
	go func() {
		c, _, err := l.dialer.Dial(p.Context(), l.url, &opts)
		if err == nil {
			p.subject.prepare(c, s)
		}
		dialed <- err
		if err == nil {
			p.subject.watch(callbacks)
		}
	}()
	var fields []string
	if s.answer != "" {
		fields = append(fields, "sec-websocket-extensions: "+s.answer)
	}
	p.conn = l.acceptRaw(fields...)
	if err := <-dialed; err != nil {
		p.Fatalf("Dial: %v", err)
	}
}

// part ends what is left of a conversation.
func (p *rawPeer) part() {
	p.subject.CloseNow()
	p.conn.Close()
}

// send sends frames, all at once or in small pieces.
func (p *rawPeer) send(frames ...rawFrame) {
	var b []byte
	for _, f := range frames {
		b = f.append(b, p.client)
	}
	p.sendBytes(string(b))
}

func (p *rawPeer) sendBytes(s string) {
	p.Helper()
	pieces := []string{s}
	if p.chopped {
		pieces = nil
		for len(s) > 0 {
			n := 1
			if len(pieces) > 60 {
				n = min(5000, len(s))
			}
			pieces = append(pieces, s[:n])
			s = s[n:]
		}
	}
	for i, piece := range pieces {
		if i > 0 {
			time.Sleep(time.Microsecond) // what arrives at one time is read at one time
		}
		if _, err := io.WriteString(p.conn, piece); err != nil {
			p.Fatalf("peer cannot write: %v", err)
		}
	}
}

// patience is how long a Conn may take for an answer.
const patience = 10 * rtt

// receive waits for n bytes.
func (p *rawPeer) receive(n int) (string, error) {
	p.conn.SetReadDeadline(time.Now().Add(patience))
	for len(p.buf) < n {
		b := make([]byte, 64<<10)
		k, err := p.conn.Read(b)
		p.buf = append(p.buf, b[:k]...)
		if err != nil && len(p.buf) < n {
			return "", err
		}
	}
	s := string(p.buf[:n])
	p.buf = p.buf[n:]
	return s, nil
}

// next receives one frame, and holds it to everything that every frame has to keep.
func (p *rawPeer) next() (f rawFrame, err error) {
	p.Helper()
	head, err := p.receive(2)
	if err != nil {
		return f, err
	}
	must := func(n int) string {
		s, err := p.receive(n)
		if err != nil {
			p.Fatalf("a frame that begins with %x breaks off: %v", head, err)
		}
		return s
	}
	f.fin, f.rsv, f.opcode = head[0]&0x80 != 0, head[0]>>4&7, head[0]&15
	length := uint64(head[1] & 0x7f)
	switch length {
	case 126:
		if length = uint64(binary.BigEndian.Uint16([]byte(must(2)))); length < 126 {
			p.Errorf("length %d stands in 16 bits", length)
		}
	case 127:
		if length = binary.BigEndian.Uint64([]byte(must(8))); length < 1<<16 || length > 1<<62 {
			p.Errorf("length %d stands in 64 bits", length)
		}
	}
	if f.opcode >= 8 && (length > 125 || !f.fin) {
		p.Errorf("control frame of %d bytes, FIN %t", length, f.fin)
	}
	// "A client MUST mask all frames that it sends to the server." "A server MUST NOT mask any frames that it sends to the
	// client." RFC 6455, Section 5.1.
	if masked := head[1]&0x80 != 0; masked == p.client {
		p.Errorf("%s's frame: masked %t", sideName(!p.client), masked)
	}
	if p.client {
		f.payload = must(int(length))
		return f, nil
	}
	key := must(4)
	p.keys[key]++
	b := []byte(must(int(length)))
	for i := range b {
		b[i] ^= key[i%4]
	}
	f.payload = string(b)
	return f, nil
}

// want receives frames that must be these.
func (p *rawPeer) want(frames ...rawFrame) {
	p.Helper()
	for _, want := range frames {
		got, err := p.next()
		if err != nil {
			p.Fatalf("got %v, want frame %v", err, want)
		}
		if got != want {
			p.Fatalf("got frame %v, want %v", got, want)
		}
	}
}

// wantMessage waits until the Conn's owner has got messages that must be these.
func (p *rawPeer) wantMessage(events ...string) {
	p.Helper()
	for _, want := range events {
		if got := p.event(); got != any(want) {
			p.Fatalf("got %v, want message %s", got, want)
		}
	}
}

// event is what the Conn's owner is told next.
func (p *rawPeer) event() any {
	p.Helper()
	select {
	case ev := <-p.subject.events:
		return ev
	case <-time.After(patience):
		p.Fatal("the Conn has nothing to say")
		return nil
	}
}

// wantQuiet checks that for d neither the peer nor the Conn's owner gets anything.
func (p *rawPeer) wantQuiet(d time.Duration) {
	p.Helper()
	p.conn.SetReadDeadline(time.Now().Add(d))
	var b [256]byte
	if n, err := p.conn.Read(b[:]); len(p.buf)+n > 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
		p.Fatalf("got bytes %x, %v; want nothing", append(p.buf, b[:n]...), err)
	}
	if len(p.subject.events) > 0 {
		p.Fatalf("got %v, want nothing", <-p.subject.events)
	}
}

// wantError waits for the end of the Conn and returns what its owner was told.
func (p *rawPeer) wantError() error {
	p.Helper()
	ev := p.event()
	err, ok := ev.(error)
	if !ok {
		p.Fatalf("got %v, want the end", ev)
	}
	return err
}

// wantClosed checks that the Conn's owner was told of a Close frame with code and reason.
func (p *rawPeer) wantClosed(code weft.StatusCode, reason string) {
	p.Helper()
	err := p.wantError()
	var ce *weft.CloseError
	if !errors.As(err, &ce) || ce.Code != code || ce.Reason != reason {
		p.Errorf("the Conn ended with %v, want %v %q", err, code, reason)
	}
}

// wantFailure checks that the Conn fails the WebSocket connection because the peer broke rule: a Close frame with code, the end of
// the connection, and a *ProtocolError to the owner.
func (p *rawPeer) wantFailure(code weft.StatusCode, rule string) {
	p.Helper()
	p.want(shut(uint16(code), rule))
	err := p.wantError()
	var pe *weft.ProtocolError
	if !errors.As(err, &pe) || pe.Code != code || pe.Name != rule || pe.Side != sideName(p.client) || !strings.HasPrefix(pe.Section, "RFC ") {
		p.Errorf("the Conn ended with %#v (%v), want %v, %s", err, err, code, rule)
	}
	// "An endpoint MUST NOT continue to attempt to process data (including a responding Close frame) from the remote endpoint
	// after being instructed to _Fail the WebSocket Connection_." RFC 6455, Section 7.1.7.
	p.send(ping("too late"), text("too late"), shut(1000, "too late"))
	p.wantEnd()
}

// wantEnd checks that the connection ends in the right order and that nothing comes before its end. It is for a peer that has
// nothing more to say.
//
// "The underlying TCP connection, in most normal cases, SHOULD be closed first by the server." RFC 6455, Section 7.1.1.
func (p *rawPeer) wantEnd() {
	p.Helper()
	if !p.client {
		if !p.overHTTP2() {
			p.wantNothingBut(nil, time.Second)
		}
		p.conn.CloseWrite()
	}
	p.wantNothingBut(io.EOF, patience)
	if p.client {
		p.conn.CloseWrite()
	}
	p.wantGone()
}

func (p *rawPeer) overHTTP2() bool { return strings.HasPrefix(p.carrier.name, "h2") }

// wantNothingBut checks that the next thing to be received within d is the end; nil: that it does not come.
func (p *rawPeer) wantNothingBut(end error, d time.Duration) {
	p.Helper()
	p.conn.SetReadDeadline(time.Now().Add(d))
	b := make([]byte, 256)
	n, err := p.conn.Read(b)
	if b = append(bytes.Clone(p.buf), b[:n]...); len(b) > 0 {
		p.Fatalf("got bytes %x, want the end", b)
	}
	if end == nil {
		end = os.ErrDeadlineExceeded
	}
	if !errors.Is(err, end) {
		p.Fatalf("got %v, want %v", err, end)
	}
}

// wantGone checks that no operation of the Conn works any more.
func (p *rawPeer) wantGone() {
	p.Helper()
	if err := p.subject.Write(p.Context(), weft.MessageText, []byte("x")); err == nil {
		p.Error("Write after the end succeeded")
	}
	if err := p.subject.Ping(p.Context()); err == nil {
		p.Error("Ping after the end succeeded")
	}
}

// write makes the Conn send a message.
func (p *rawPeer) write(typ weft.MessageType, s string) {
	p.Helper()
	if err := p.subject.Write(p.Context(), typ, []byte(s)); err != nil {
		p.Fatalf("Write: %v", err)
	}
}

// begin calls f beside the conversation and returns its result.
func begin[T any](f func() T) <-chan T {
	ch := make(chan T, 1)
	go func() { ch <- f() }()
	return ch
}

// wantBytes receives bytes that must be these.
func (p *rawPeer) wantBytes(want string) {
	p.Helper()
	if got, err := p.receive(len(want)); got != want {
		p.Fatalf("got %s, %v, want %s", brief(got), err, brief(want))
	}
}

package load

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/net/http2/hpack"
)

// An h2conn is the client's end of one HTTP/2 connection. One goroutine runs it.
type h2conn struct {
	*pipe
	spec    Spec
	script  *script
	streams []*h2stream // of the fleet, in the order of their opening
	byID    []*h2stream // index (id-1)/2; nil: closed

	enc        *hpack.Encoder
	block      bytes.Buffer // the block enc writes
	dec        *hpack.Decoder
	status     string // :status of the block being decoded
	extensions string // and its Sec-WebSocket-Extensions
	pending    []byte // a header block that goes on in CONTINUATION

	settings      bool // the server's SETTINGS came
	connect       bool // it has ENABLE_CONNECT_PROTOCOL=1
	maxStreams    uint32
	maxFrame      int
	initialWindow int
	sendWindow    int
	recvWindow    int         // what the server may still send
	waiting       []*h2stream // for sendWindow, first come first served

	round       *round
	heard       func(s *h2stream, n int) // of echoes, if not nil
	outstanding int                      // messages sent or due to be, and not echoed
	opening     int
	churned     int // WebSockets opened and closed in this round
	started     int // openings begun in this round
}

// An h2stream is one WebSocket.
type h2stream struct {
	id         uint32
	rx         echo
	asked      int    // messages sent or due to be
	begun      int    // of which begun
	cur        []byte // rest of the frame being sent
	sendWindow int
	recvWindow int
	waits      bool // is in waiting
	open       bool
	ended      bool // by us
	first      int  // asked when the round began
}

func openH2(ctx context.Context, t Target, s Spec, sc *script) (conn, error) {
	inFlight := s.Streams * s.InFlight * (len(sc.frames[0]) + headerBytes)
	p, err := dial(ctx, t, s.TLS, "h2", 256<<10, inFlight)
	if err != nil {
		return nil, err
	}
	if d, ok := ctx.Deadline(); ok {
		p.setDeadline(d)
	}
	c := &h2conn{
		pipe: p, spec: s, script: sc, round: &round{},
		maxStreams: 1 << 31, maxFrame: maxFrameSize, initialWindow: startWindow, sendWindow: startWindow, recvWindow: connWindow,
	}
	c.enc = hpack.NewEncoder(&c.block)
	c.dec = hpack.NewDecoder(4096, func(f hpack.HeaderField) {
		switch f.Name {
		case ":status":
			c.status = f.Value
		case strings.ToLower(extensionsField):
			c.extensions = f.Value
		}
	})
	if err := c.start(); err != nil {
		p.close()
		return nil, err
	}
	return c, nil
}

// start sends the preface, waits for the server's SETTINGS, and opens the streams.
func (c *h2conn) start() error {
	c.out = append(c.out, preface...)
	c.out = appendFrame(c.out, 18, frameSettings, 0, 0)
	c.out = appendSetting(c.out, settingEnablePush, 0)
	c.out = appendSetting(c.out, settingInitialWindowSize, streamWindow)
	c.out = appendSetting(c.out, settingMaxFrameSize, maxFrameSize)
	c.out = appendWindowUpdate(c.out, 0, connWindow-startWindow)
	if err := c.until(func() bool { return c.settings }); err != nil {
		return err
	}
	if !c.connect {
		return errors.New("the server does not offer Extended CONNECT (RFC 8441, Section 3)")
	}
	if uint32(c.spec.Streams) > c.maxStreams {
		return fmt.Errorf("the server allows %d streams a connection, not %d", c.maxStreams, c.spec.Streams)
	}
	if c.spec.InFlight == 0 {
		return nil // for churn
	}
	for range c.spec.Streams {
		c.streams = append(c.streams, c.openStream())
	}
	return c.until(func() bool { return c.opening == 0 })
}

// until runs the connection until done.
func (c *h2conn) until(done func() bool) error {
	for {
		if err := c.flush(); err != nil {
			return err
		}
		if done() {
			return nil
		}
		if err := c.fill(); err != nil {
			return err
		}
		if err := c.parse(); err != nil {
			return err
		}
	}
}

// openStream sends the Extended CONNECT of RFC 8441, Section 4.
func (c *h2conn) openStream() *h2stream {
	s := &h2stream{id: uint32(len(c.byID))*2 + 1, sendWindow: c.initialWindow, recvWindow: streamWindow}
	s.rx = echo{script: c.script, pong: func(p []byte) { c.sendControl(s, opPong, p) }}
	c.byID = append(c.byID, s)
	c.opening++
	c.block.Reset()
	for _, f := range connectFields {
		c.enc.WriteField(f)
	}
	if c.spec.Deflate {
		c.enc.WriteField(hpack.HeaderField{Name: strings.ToLower(extensionsField), Value: deflateOffer})
	}
	c.out = appendFrame(c.out, c.block.Len(), frameHeaders, flagEndHeaders, s.id)
	c.out = append(c.out, c.block.Bytes()...)
	return s
}

var connectFields = []hpack.HeaderField{
	{Name: ":method", Value: "CONNECT"},
	{Name: ":protocol", Value: "websocket"},
	{Name: ":scheme", Value: "https"},
	{Name: ":path", Value: "/echo"},
	{Name: ":authority", Value: "localhost"},
	{Name: "sec-websocket-version", Value: "13"},
	{Name: "user-agent", Value: "weft-bench"},
}

func (c *h2conn) echo(r *round) (int64, error) {
	c.round, c.heard = r, nil
	start := c.received()
	for _, s := range c.streams {
		s.first = s.asked
		for s.asked-s.first < c.spec.InFlight && r.more(s.asked-s.first) {
			c.send(s)
		}
	}
	err := c.until(func() bool { return c.outstanding == 0 })
	return int64(c.received() - start), err
}

func (c *h2conn) received() (n int) {
	for _, s := range c.streams {
		n += s.rx.received
	}
	return n
}

// send asks for one more message on s.
func (c *h2conn) send(s *h2stream) {
	s.asked++
	c.outstanding++
	c.push(s)
}

// push sends as much of what s has to send as the windows allow, one DATA frame a message if it fits.
func (c *h2conn) push(s *h2stream) {
	for {
		if len(s.cur) == 0 {
			if s.begun == s.asked {
				return
			}
			s.cur = c.script.frames[s.begun%len(c.script.frames)]
			s.begun++
		}
		n := min(len(s.cur), c.maxFrame, s.sendWindow, c.sendWindow)
		if n <= 0 {
			if s.sendWindow > 0 && !s.waits {
				s.waits = true
				c.waiting = append(c.waiting, s)
			}
			return
		}
		c.sendData(s, 0, s.cur[:n])
		s.cur = s.cur[n:]
	}
}

// sendData sends p, which fits the windows.
func (c *h2conn) sendData(s *h2stream, flags byte, p []byte) {
	c.out = appendFrame(c.out, len(p), frameData, flags, s.id)
	c.out = append(c.out, p...)
	s.sendWindow -= len(p)
	c.sendWindow -= len(p)
}

// sendControl sends a control frame; the benchmark's servers hardly ever ask for one while the windows are closed or a
// message is half sent, and it fails if they do.
func (c *h2conn) sendControl(s *h2stream, op byte, p []byte) {
	f := appendClientFrame(nil, op, p, 0x01020304)
	if len(s.cur) > 0 || len(f) > min(s.sendWindow, c.sendWindow) {
		return // the echo will time out and say so
	}
	c.sendData(s, 0, f)
}

// churn keeps spec.Streams openings going: CONNECT, 200, Close, Close, END_STREAM, next.
func (c *h2conn) churn(r *round) (int64, error) {
	c.round, c.churned, c.started = r, 0, 0
	for range c.spec.Streams {
		c.openNext()
	}
	err := c.until(func() bool { return c.churned == c.started })
	return int64(c.churned), err
}

func (c *h2conn) openNext() {
	if c.round.more(c.started) {
		c.started++
		c.openStream()
	}
}

// sendClose begins the close handshake on a stream that churn opened.
func (c *h2conn) sendClose(s *h2stream) { c.sendControl(s, opClose, closeNormal) }

// finish forgets a stream that ended in good order.
func (c *h2conn) finish(s *h2stream) {
	if !s.ended {
		s.ended = true
		c.sendData(s, flagEndStream, nil)
	}
	c.byID[(s.id-1)/2] = nil
	c.churned++
	c.openNext()
}

func (c *h2conn) describe() string {
	stuck, asked := 0, 0
	for _, s := range c.streams {
		asked += s.asked
		if s.rx.received < s.asked {
			stuck++
		}
	}
	return fmt.Sprintf("h2 connection, %d messages sent, %d not echoed on %d of %d streams, send window %d, %d openings begun, %d done",
		asked, c.outstanding, stuck, len(c.streams), c.sendWindow, c.started, c.churned)
}

func (c *h2conn) close() {
	if c.wr == nil {
		c.out = binary.BigEndian.AppendUint64(appendFrame(c.out[:0], 8, frameGoAway, 0, 0), 0)
		c.flush()
	}
	c.pipe.close()
}

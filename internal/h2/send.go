package h2

import (
	"errors"
	"time"

	"github.com/weftws/weft/internal/h2/wire"
)

// Why Open refuses. Nothing was sent.
var (
	ErrNoSlot   = errors.New("peer allows no more concurrent streams")
	ErrDraining = errors.New("connection takes no new streams")
)

const (
	// directLimit: while so many bytes or more are in the output buffer, DATA waits on its stream. Frames of other types still
	// find room in a buffer of 128 KiB, which would otherwise be copied into a larger one for each of them.
	directLimit = 126 << 10
	// maxPayload is the most that we put into one frame. Choice: every peer accepts it, so that SETTINGS_MAX_FRAME_SIZE
	// need not be looked at, and streams take turns after it.
	maxPayload = wire.DefaultMaxFrameSize
	// assumedSlots is how many streams a client opens before it knows the peer's limit: "It is recommended that this value
	// be no smaller than 100, so as to not unnecessarily limit parallelism." RFC 9113, Section 6.5.2.
	assumedSlots = 100
)

// openData is the last frame in the output buffer if it is DATA that may be extended.
type openData struct {
	streamID uint32 // 0: none
	start    int    // of its header in Conn.out
	end      int    // where the frame ends; it is the last while that is len(Conn.out)
	length   int    // of its payload
}

// Slots returns how many more streams Open would take now; 0 once GOAWAY was sent or received.
func (c *Conn) Slots() int {
	if c.Draining() || c.cfg.Side == Server {
		return 0
	}
	limit := uint32(assumedSlots)
	if c.peer.Received {
		limit = c.peer.MaxConcurrentStreams
	}
	ids := (wire.MaxStreamID - int64(c.nextID) + 2) / 2
	return int(max(0, min(int64(limit)-int64(c.OpenStreams()), ids)))
}

// openable says why no stream can be opened.
func (c *Conn) openable() error {
	if c.Slots() > 0 {
		return nil
	}
	if c.Draining() || c.nextID > wire.MaxStreamID {
		return ErrDraining
	}
	return ErrNoSlot
}

// Open starts a request (client). An error: no slot, draining, or no identifiers left; nothing was sent. The names of
// fields are lower case; connection-specific and invalid fields are left out.
func (c *Conn) Open(now time.Time, p Pseudo, fields []Field, end bool) (*Stream, error) {
	c.now = now
	if err := c.openable(); err != nil {
		return nil, err
	}
	s := c.newStream(c.nextID)
	c.nextID += 2
	s.connect = p.Method == "CONNECT"
	s.head = p.Method == "HEAD"
	s.sendHeaders = true
	p.Status = 0
	c.out = c.appendFieldBlock(c.out, s, p, fields, end)
	if end {
		c.endSend(s)
	}
	return s, nil
}

// SendHeaders sends a response (p.Status set; interim for 1xx) or trailers (p zero, end true), in order behind DATA
// that is queued. On a closed stream, and out of order, it does nothing. The names of fields are lower case;
// connection-specific and invalid fields are left out.
func (c *Conn) SendHeaders(s *Stream, p Pseudo, fields []Field, end bool) {
	if c.failed || s.SendClosed() {
		return
	}
	if p.Status != 0 {
		c.sendResponse(s, p, fields, end)
		return
	}
	if !end || !s.sendHeaders {
		return
	}
	if s.connect {
		// Frames other than DATA "MUST NOT be sent on a connected stream". RFC 9113, Section 8.5.
		c.SendData(s, nil, nil, true)
		return
	}
	if s.pending != nil {
		s.sendEnd = true
		s.pending.trailers = append(make([]Field, 0, len(fields)), fields...)
		return
	}
	c.out = c.appendFieldBlock(c.out, s, Pseudo{}, fields, true)
	c.endSend(s)
}

func (c *Conn) sendResponse(s *Stream, p Pseudo, fields []Field, end bool) {
	interim := p.Status < 200
	if c.cfg.Side == Client || s.sendHeaders || interim && end {
		return
	}
	if cap(c.out)-len(c.out) < usualResponse {
		c.growOut()
	}
	c.out = c.appendFieldBlock(c.out, s, Pseudo{Status: p.Status}, fields, end)
	if interim {
		return
	}
	s.sendHeaders = true
	s.tunnel = s.connect && p.Status < 300
	if end {
		c.endSend(s)
	}
}

// SendData queues head and body as DATA, copied. It always takes everything: the driver looks at Pending first. On a
// stream whose side is closed, or before its headers, it does nothing.
func (c *Conn) SendData(s *Stream, head, body []byte, end bool) {
	if c.failed || s.SendClosed() || !s.sendHeaders {
		return
	}
	// Others that wait come first, unless nothing but END_STREAM is to be sent.
	if s.pending == nil && (c.ready.head == nil || len(head)+len(body) == 0) {
		if n := wire.HeaderLen + len(head) + len(body); n > cap(c.out)-len(c.out) && n <= smallOut {
			c.growOut()
		}
		head, body = c.sendNow(s, head, body, end)
		if len(head)+len(body) == 0 {
			return
		}
	}
	s.sendEnd = end
	if len(head)+len(body) > 0 {
		c.queueData(s, head, body)
	}
}

// growOut makes room for a small message or response. Here, and not where the bytes are appended, because that is deep in the stack of a
// goroutine which could do with 2 KiB.
//
//go:noinline
func (c *Conn) growOut() {
	out := make([]byte, len(c.out), max(2*cap(c.out), smallOut))
	copy(out, c.out)
	c.out = out
}

const (
	// smallOut is the smallest output buffer.
	smallOut = 2 << 10
	// usualResponse is as large as the headers of most.
	usualResponse = 256
)

// queueData lets bytes wait on the stream.
func (c *Conn) queueData(s *Stream, head, body []byte) {
	c.appendPending(s, head, body)
	c.queued += int64(len(head) + len(body))
	c.watchStalls()
	if s.Pending() > c.cfg.MaxSendQueue {
		s.full = true
	}
	c.ready.pushIf(s)
}

// sendNow puts as much as may be sent into the output buffer and returns the rest.
func (c *Conn) sendNow(s *Stream, head, body []byte, end bool) (restHead, restBody []byte) {
	for {
		left := len(head) + len(body)
		if left == 0 && !end {
			return nil, nil
		}
		room := directLimit - (len(c.out) - c.outHead) - wire.HeaderLen
		n := min(left, c.sendCredit(s), maxPayload, max(0, room))
		if left > 0 && n == 0 {
			return head, body
		}
		last := end && n == left
		c.extendOrBegin(s.ID, n, last)
		if n >= worthSwapping {
			c.largeOut = true
		}
		k := min(n, len(head))
		c.out = append(append(c.out, head[:k]...), body[:n-k]...)
		head, body = head[k:], body[n-k:]
		c.openData.end = len(c.out)
		c.spend(s, n, n == left)
		if last {
			c.openData = openData{}
			c.endSend(s)
			return nil, nil
		}
	}
}

// extendOrBegin makes room for n bytes of DATA at the end of the output buffer: in the frame that stands there, if it is
// this stream's and has room, or in a new one.
func (c *Conn) extendOrBegin(id uint32, n int, end bool) {
	d := &c.openData
	if d.streamID == id && d.end == len(c.out) && d.length+n <= maxPayload {
		d.length += n
		wire.PutLength(c.out[d.start:], d.length)
		if end {
			c.out[d.start+4] |= byte(wire.FlagEndStream)
		}
		return
	}
	*d = openData{streamID: id, start: len(c.out), length: n}
	c.out = wire.AppendDataHeader(c.out, id, n, end)
}

// sendCredit returns how many bytes of DATA may be sent on s.
func (c *Conn) sendCredit(s *Stream) int { return int(max(0, min(int64(s.sendWindow), c.sendWindow))) }

// spend takes n bytes from both windows. all: nothing more is waiting on the stream.
func (c *Conn) spend(s *Stream, n int, all bool) {
	s.sendWindow -= int32(n)
	c.sendWindow -= int64(n)
	c.countDrained(s, n)
	if all || n >= bytesPerUpdate {
		c.allowUpdates(n)
	}
}

// Reset sends RST_STREAM and forgets what is queued on s. No event of s comes any more. On a closed stream it only does
// the latter.
func (c *Conn) Reset(now time.Time, s *Stream, code wire.ErrCode) {
	c.now = now
	s.dropped = true
	if s.closed || c.failed || c.cancelProposal(s, code) {
		return
	}
	c.closeStream(s, closedByUs)
	c.out = wire.AppendRSTStream(c.out, s.ID, code)
}

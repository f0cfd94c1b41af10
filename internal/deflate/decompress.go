package deflate

import (
	"errors"
	"io"
	"slices"
	"sync"

	"github.com/klauspost/compress/flate"
)

var (
	// ErrTooBig says that a message inflates to more than the caller's limit.
	ErrTooBig = errors.New("peer's compressed message inflates beyond the size limit")
	// ErrCorrupt says that a message's payload is no DEFLATE data, or ends within a block.
	ErrCorrupt = errors.New("peer's compressed message is no valid DEFLATE data (RFC 7692, Section 7.2.2)")
)

// A Decompressor inflates the messages of one direction. While idle it holds its window with context takeover, as much of
// the agreed 2^bits bytes as the peer's messages have filled, and nothing without. RFC 7692, Section 7.2.2.
type Decompressor struct {
	window   window
	takeover bool
}

// NewDecompressor returns a Decompressor for a peer that refers back at most 2^windowBits bytes: 8 to 15, 0 means 15.
// takeover says that the peer may refer to earlier messages.
func NewDecompressor(windowBits int, takeover bool) *Decompressor {
	return &Decompressor{takeover: takeover, window: window{size: 1 << checkBits(windowBits)}}
}

// AppendMessage appends the inflated form of a whole message's payload to dst. It stops with ErrTooBig as soon as more than
// limit bytes come out (0: no limit), and with ErrCorrupt on a payload that is no DEFLATE or ends within a block; what came
// out before is appended all the same. After an error the window is of no use any more: the connection has to fail.
func (d *Decompressor) AppendMessage(dst, payload []byte, limit int64) ([]byte, error) {
	// Choice: an empty payload is taken for an empty message, as zlib does, although a sender owes one octet
	// (RFC 7692, Section 7.2.3.6).
	if len(payload) == 0 {
		return dst, nil
	}
	in := borrowInflater()
	defer returnInflater(in)
	in.src = source{payload: payload, tail: messageTail}
	if limit <= 0 {
		limit = noLimit
	}

	start := len(dst)
	for finals := 0; ; finals++ {
		from := len(dst)
		in.reset(d.window.buf)
		var err error
		dst, err = in.appendAll(dst, limit-int64(from-start))
		if err != nil {
			return dst, err
		}
		done, err := in.src.ended()
		if err != nil {
			return dst, err
		}
		if d.takeover || !done {
			d.window.push(dst[from:])
		}
		if done {
			break
		}
		// Deviation: a message may hold any number of blocks with BFINAL set (RFC 7692, Section 7.2.3.4), but each costs
		// us a restart, up to 30000 times its 2 octets' worth.
		if finals == maxFinalBlocks {
			return dst, ErrCorrupt
		}
	}
	if !d.takeover {
		d.window.drop()
	}
	return dst, nil
}

// maxFinalBlocks bounds the blocks with BFINAL set that may stand before the end of a message. A sender makes one a
// message, or one a fragment.
const maxFinalBlocks = 1024

const noLimit = 1<<63 - 1

// Close gives back what is held.
func (d *Decompressor) Close() { d.window.drop() }

// An inflater is a codec with its source.
type inflater struct {
	src   source
	r     io.Reader // and flate.Resetter
	probe [1]byte
}

var inflaters = sync.Pool{New: func() any {
	in := new(inflater)
	in.r = flate.NewReader(&in.src)
	return in
}}

func borrowInflater() *inflater { return inflaters.Get().(*inflater) }

func returnInflater(in *inflater) {
	in.src = source{}
	inflaters.Put(in)
}

// reset makes ready for a DEFLATE stream that may refer to history.
func (in *inflater) reset(history []byte) {
	// klauspost's Reset copies history and has no way to fail.
	_ = in.r.(flate.Resetter).Reset(&in.src, history)
}

// appendAll appends what the stream holds up to its final block: at most limit bytes, else ErrTooBig.
func (in *inflater) appendAll(dst []byte, limit int64) ([]byte, error) {
	for {
		if len(dst) == cap(dst) && limit > 0 {
			dst = slices.Grow(dst, int(min(limit, int64(growth(len(dst), len(in.src.payload))))))
		}
		// At the limit one more byte decides; it goes where it takes no room.
		room := in.probe[:]
		if limit > 0 {
			room = dst[len(dst):cap(dst)]
			room = room[:min(int64(len(room)), limit)]
		}
		n, err := in.r.Read(room)
		if limit == 0 && n > 0 {
			return dst, ErrTooBig
		}
		dst = dst[:len(dst)+n]
		limit -= int64(n)
		switch err {
		case nil:
		case io.EOF:
			return dst, nil
		default:
			return dst, ErrCorrupt
		}
	}
}

// growth is how much to add to a buffer of n bytes when left octets of payload are still to be inflated: text shrinks to a third or less.
func growth(n, left int) int { return max(n, 3*left, 512) }

// messageTail is what is put behind a payload.
//
// "Append 4 octets of 0x00 0x00 0xff 0xff to the tail end of the payload of the message." RFC 7692, Section 7.2.2. An empty
// final block follows, so that the reader ends with io.EOF exactly if the payload ended at a block's end.
const messageTail = emptyBlockLengths + "\x01" + emptyBlockLengths

// A source is a payload with messageTail behind it.
type source struct {
	payload []byte
	tail    string
}

func (s *source) ReadByte() (byte, error) {
	if len(s.payload) > 0 {
		b := s.payload[0]
		s.payload = s.payload[1:]
		return b, nil
	}
	if len(s.tail) == 0 {
		return 0, io.EOF
	}
	b := s.tail[0]
	s.tail = s.tail[1:]
	return b, nil
}

func (s *source) Read(p []byte) (int, error) {
	if len(s.payload) > 0 {
		n := copy(p, s.payload)
		s.payload = s.payload[n:]
		return n, nil
	}
	if len(s.tail) == 0 {
		return 0, io.EOF
	}
	n := copy(p, s.tail)
	s.tail = s.tail[n:]
	return n, nil
}

// ended reports, after a final block, whether the message is through. It is not when that block stood inside of the payload:
// then DEFLATE goes on at the next octet. RFC 7692, Section 7.2.3.4.
func (s *source) ended() (bool, error) {
	if len(s.payload) > 0 {
		return false, nil
	}
	switch len(messageTail) - len(s.tail) {
	case len(messageTail): // our own final block
		return true, nil
	case len(emptyBlockLengths): // the peer's final block was empty, and lost its last 4 octets
		return true, nil
	case 0: // the payload ends with a final block, and nothing behind it
		return true, nil
	}
	return false, ErrCorrupt
}

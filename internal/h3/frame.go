package h3

import (
	"fmt"

	"github.com/quic-go/quic-go/http3"
	"github.com/quic-go/quic-go/quicvarint"
)

// Frame types. RFC 9114, Section 7.2; RFC 9218, Section 7.2.
const (
	frameData        = 0x0
	frameHeaders     = 0x1
	frameCancelPush  = 0x3
	frameSettings    = 0x4
	framePushPromise = 0x5
	frameGoAway      = 0x7
	frameMaxPushID   = 0xd

	framePriorityRequest = 0xf0700
	framePriorityPush    = 0xf0701
)

// Types of unidirectional streams. RFC 9114, Section 6.2; RFC 9204, Section 4.2.
const (
	streamControl = 0x0
	streamPush    = 0x1
	streamEncoder = 0x2
	streamDecoder = 0x3
)

// maxFrameHead is the length of the longest frame header: two varints.
const maxFrameHead = 16

// A violation is what a peer did wrong, and the code to end the connection with.
type violation struct {
	code   http3.ErrCode
	detail string
	rule   *Rule // where it is not that of the code
}

func (v *violation) Error() string { return v.detail }

func violates(code http3.ErrCode, format string, a ...any) *violation {
	return &violation{code: code, detail: fmt.Sprintf(format, a...) + " (" + code.String() + ")"}
}

// An unframer takes the payload of DATA frames out of a request stream, whatever the pieces it comes in. It skips frames that
// it does not know: "Implementations MUST ignore unknown or unsupported values in all extensible protocol elements." RFC 9114,
// Section 9.
type unframer struct {
	left    uint64 // bytes of the current frame that are still to come
	data    bool   // it is a DATA frame, and not an empty one
	section bool   // it is the trailer section, which is kept
	head    [maxFrameHead]byte
	n       int // bytes of a header in head

	tunnel   bool // only DATA is allowed
	trailers bool // the trailer section has begun: nothing may follow

	empty int32 // frames that carried nothing and followed no payload, since takeEmpty

	keep *trailerSection // what the trailer section goes into; nil: nobody wants it
}

// A trailerSection is what has come of one.
type trailerSection struct {
	p     []byte
	limit uint64
	large bool // it has more than limit bytes, and is not kept
}

// newUnframer returns an unframer for what comes behind HEADERS.
func newUnframer(tunnel bool, keep *trailerSection) unframer {
	return unframer{tunnel: tunnel, keep: keep, data: true} // HEADERS counts as payload
}

// strip returns the payload that is in p, moved together within p. Where err is not nil it is a *violation, and the payload
// came before it.
func (u *unframer) strip(p []byte) (payload []byte, err error) {
	start, end := 0, 0
	for i := 0; i < len(p); {
		if u.left == 0 {
			n, err := u.readHead(p[i:])
			i += n
			if err != nil {
				return p[start:end], err
			}
			continue
		}
		n := int(min(u.left, uint64(len(p)-i)))
		u.left -= uint64(n)
		if u.section {
			u.keep.p = append(u.keep.p, p[i:i+n]...)
		}
		if u.data {
			if start == end {
				start, end = i, i
			}
			if end != i {
				copy(p[end:], p[i:i+n])
			}
			end += n
		}
		i += n
	}
	return p[start:end], nil
}

// readHead takes the next bytes of a frame header from p and says how many.
func (u *unframer) readHead(p []byte) (n int, err error) {
	for n < len(p) {
		u.head[u.n] = p[n]
		u.n++
		n++
		typ, length, ok := parseHead(u.head[:u.n])
		if ok {
			u.n = 0
			return n, u.begin(typ, length)
		}
	}
	return n, nil
}

func parseHead(p []byte) (typ, length uint64, ok bool) {
	typ, n, err := quicvarint.Parse(p)
	if err != nil {
		return 0, 0, false
	}
	length, _, err = quicvarint.Parse(p[n:])
	return typ, length, err == nil
}

func (u *unframer) begin(typ, length uint64) error {
	payload := u.data // of the frame before
	u.left, u.data, u.section = length, typ == frameData && length > 0, false
	switch typ {
	case frameData:
		if u.trailers {
			return violates(http3.ErrCodeFrameUnexpected, "peer sent DATA after the trailer section")
		}
	case frameHeaders:
		if u.tunnel || u.trailers {
			return u.unexpected(typ)
		}
		u.trailers = true
		if u.keep != nil {
			u.keep.large = length > u.keep.limit
			u.section = !u.keep.large
		}
	default:
		if known(typ) {
			return u.unexpected(typ)
		}
	}
	// Choice: one behind payload is free. Some clients end each request with an empty DATA frame, and who sends the two in turn could as
	// well send the payload in crumbs.
	if typ != frameHeaders && !u.data && !payload {
		u.empty++
	}
	return nil
}

// takeEmpty returns how many frames, since it was called last, cost the peer nothing: DATA frames without payload, and those of unknown types.
func (u *unframer) takeEmpty() int {
	n := u.empty
	u.empty = 0
	return int(n)
}

// unexpected: "Once the CONNECT method has completed, only DATA frames are permitted to be sent on the stream. ... Receipt of
// any other known frame type MUST be treated as a connection error of type H3_FRAME_UNEXPECTED." RFC 9114, Section 4.4.
func (u *unframer) unexpected(typ uint64) error {
	return violates(http3.ErrCodeFrameUnexpected, "peer sent a frame of type %#x where only DATA is allowed", typ)
}

// broken says whether the stream must not end here.
//
// "When a stream terminates cleanly, if the last frame on the stream was truncated, this MUST be treated as a connection error of
// type H3_FRAME_ERROR." RFC 9114, Section 7.1.
func (u *unframer) broken() error {
	if u.left > 0 || u.n > 0 {
		return violates(http3.ErrCodeFrameError, "peer ended the stream %d bytes before the end of a frame", u.left)
	}
	return nil
}

// known reports whether typ is defined or reserved.
//
// "Frame types that were used in HTTP/2 where there is no corresponding HTTP/3 frame have also been reserved ... their receipt
// MUST be treated as a connection error of type H3_FRAME_UNEXPECTED." RFC 9114, Section 7.2.8.
func known(typ uint64) bool {
	switch typ {
	case frameData, frameHeaders, frameCancelPush, frameSettings, framePushPromise, frameGoAway, frameMaxPushID,
		framePriorityRequest, framePriorityPush, 0x2, 0x6, 0x8, 0x9:
		return true
	}
	return false
}

// appendData appends the header of a DATA frame.
func appendData(dst []byte, n int) []byte {
	return quicvarint.Append(append(dst, frameData), uint64(n))
}

package h3

import (
	"bufio"
	"errors"
	"io"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"
	"github.com/quic-go/quic-go/quicvarint"
)

// An endpoint is our end of a connection, as the peer's unidirectional streams concern it.
type endpoint interface {
	violated(*stream, *violation)
	// claim reports whether a stream of type typ is the first one.
	claim(typ uint64) bool
	// pushed says what is wrong with a push stream.
	pushed() *violation
	// wants reports whether frames of type typ may come on the control stream. recvControlFrame gets them, and SETTINGS.
	wants(typ uint64) bool
	recvControlFrame(typ uint64, p []byte) error
	// skipped is told of a frame that means nothing.
	skipped(typ uint64) error
}

// recvStream takes one of the peer's unidirectional streams.
func recvStream(e endpoint, s *quic.ReceiveStream) error {
	r := bufio.NewReaderSize(s, controlBuffer)
	typ, err := quicvarint.Read(r)
	if err != nil {
		// "A receiver MUST tolerate unidirectional streams being closed or reset prior to the reception of the unidirectional
		// stream header." RFC 9114, Section 6.2.
		return err
	}
	switch typ {
	case streamControl, streamEncoder, streamDecoder:
		if !e.claim(typ) {
			// "Only one control stream per peer is permitted; receipt of a second stream claiming to be a control stream MUST be treated as a
			// connection error of type H3_STREAM_CREATION_ERROR." RFC 9114, Section 6.2.1. QPACK's: RFC 9204, Section 4.2.
			e.violated(nil, violates(http3.ErrCodeStreamCreationError, "peer opened a second stream of type %#x", typ))
			return nil
		}
		if typ == streamControl {
			s.SetReadDeadline(noDeadline)
			recvControl(e, r)
		}
		// There is no dynamic table: nothing of sense comes on QPACK's streams.
	case streamPush:
		e.violated(nil, e.pushed())
	default:
		// "Implementations MUST discard data or abort reading on unidirectional streams that have unknown or unsupported types."
		// RFC 9114, Section 9.
		s.CancelRead(quic.StreamErrorCode(http3.ErrCodeStreamCreationError))
	}
	return nil
}

// recvControl reads the peer's control stream.
func recvControl(e endpoint, r *bufio.Reader) {
	err := recvFrames(e, r)
	if v, ok := err.(*violation); ok {
		e.violated(nil, v)
		return
	}
	if _, reset := errors.AsType[*quic.StreamError](err); reset || err == io.EOF || err == io.ErrUnexpectedEOF {
		// "If either control stream is closed at any point, this MUST be treated as a connection error of type
		// H3_CLOSED_CRITICAL_STREAM." RFC 9114, Section 6.2.1.
		e.violated(nil, violates(http3.ErrCodeClosedCriticalStream, "peer closed its control stream"))
	}
}

func recvFrames(e endpoint, r *bufio.Reader) error {
	for first := true; ; first = false {
		typ, err := quicvarint.Read(r)
		if err != nil {
			return err
		}
		length, err := quicvarint.Read(r)
		if err != nil {
			return err
		}
		// "If the first frame of the control stream is any other frame type, this MUST be treated as a connection error of type
		// H3_MISSING_SETTINGS." RFC 9114, Section 6.2.1.
		if first && typ != frameSettings {
			return violates(http3.ErrCodeMissingSettings, "peer's first frame is of type %#x, not SETTINGS", typ)
		}
		if err := recvFrame(e, r, typ, length, first); err != nil {
			return err
		}
	}
}

func recvFrame(e endpoint, r *bufio.Reader, typ, length uint64, first bool) error {
	switch {
	case first || e.wants(typ):
		if length > maxSettingsFrame {
			return violates(http3.ErrCodeExcessiveLoad, "peer sent a frame of type %#x and %d bytes", typ, length)
		}
		p := make([]byte, length)
		if _, err := io.ReadFull(r, p); err != nil {
			return err
		}
		return e.recvControlFrame(typ, p)
	case known(typ):
		return violates(http3.ErrCodeFrameUnexpected, "peer sent a frame of type %#x on its control stream", typ)
	}
	if err := e.skipped(typ); err != nil {
		return err
	}
	_, err := io.CopyN(io.Discard, r, int64(length))
	return err
}

// parseID reads the payload of a frame that has one identifier. The error is a *violation.
func parseID(p []byte, frame string) (uint64, error) {
	n, used, err := quicvarint.Parse(p)
	if err != nil || used != len(p) {
		return 0, violates(http3.ErrCodeFrameError, "peer sent a %s of %d bytes", frame, len(p))
	}
	return n, nil
}

const controlBuffer = 64

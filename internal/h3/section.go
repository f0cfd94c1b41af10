package h3

import (
	"errors"
	"io"

	"github.com/quic-go/qpack"
	"github.com/quic-go/quic-go/http3"
	"github.com/quic-go/quic-go/quicvarint"

	"github.com/weftws/weft/internal/fields"
	"github.com/weftws/weft/internal/transport"
)

// readSection reads the HEADERS frame that a message begins with, and not a byte more. Its section is of limit bytes at most, and in a
// buffer that the caller puts back: room for what has come, whatever the frame announces. end says that the stream ends with it.
// Frames of unknown types before it are skipped, limit bytes of them.
// The error is errNoSection, errSectionTooLarge, a *violation, or QUIC's.
func readSection(q io.Reader, limit uint64) (section []byte, end bool, err error) {
	r := &byteReader{Reader: q}
	for skipped := uint64(0); ; {
		typ, err := quicvarint.Read(r)
		if err == io.EOF {
			return nil, false, errNoSection
		}
		if err != nil {
			return nil, false, cutShort(err)
		}
		length, err := quicvarint.Read(r)
		if err != nil {
			return nil, false, cutShort(err)
		}
		switch {
		case typ == frameHeaders && length > limit:
			return nil, false, errSectionTooLarge
		case typ == frameHeaders:
			return readPayload(q, int(length))
		case known(typ):
			// "Receipt of an invalid sequence of frames MUST be treated as a connection error of type H3_FRAME_UNEXPECTED."
			// RFC 9114, Section 4.1.
			return nil, false, violates(http3.ErrCodeFrameUnexpected, "peer sent a frame of type %#x before its HEADERS", typ)
		}
		// A frame of nothing counts for what its header has.
		if skipped += 2 + min(length, limit); skipped > limit {
			return nil, false, violates(http3.ErrCodeExcessiveLoad, "peer sent frames of unknown types and more than %d bytes before its HEADERS", limit)
		}
		if _, err := io.CopyN(io.Discard, r, int64(length)); err != nil {
			return nil, false, cutShort(err)
		}
	}
}

var (
	errNoSection       = errors.New("peer ended the stream without a HEADERS frame")
	errSectionTooLarge = errors.New("peer sent a HEADERS frame that is too large")
)

// A byteReader reads single bytes without an allocation for each, and not one ahead.
type byteReader struct {
	io.Reader
	b [1]byte
}

// ReadByte implements io.ByteReader.
func (r *byteReader) ReadByte() (byte, error) {
	n, err := r.Read(r.b[:])
	if n == 1 {
		return r.b[0], nil
	}
	return 0, err
}

// readPayload reads n bytes into a buffer that grows as they come, and says whether the stream ends there, as far as that is known.
func readPayload(q io.Reader, n int) (p []byte, end bool, err error) {
	p = transport.GetBuffer(min(n, firstRead))
	for len(p) < n {
		if len(p) == cap(p) {
			grown := append(transport.GetBuffer(min(2*cap(p), n)), p...)
			transport.PutBuffer(p)
			p = grown
		}
		m, err := q.Read(p[len(p):min(cap(p), n)])
		p = p[:len(p)+m]
		if len(p) == n {
			return p, err == io.EOF, nil
		}
		if err != nil {
			transport.PutBuffer(p)
			return nil, false, cutShort(err)
		}
	}
	return p, false, nil
}

// cutShort: see unframer.broken.
func cutShort(err error) error {
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		return violates(http3.ErrCodeFrameError, "peer ended the stream in the middle of a frame")
	}
	return err
}

// firstRead is the room for a section before any of it has come.
const firstRead = 1 << 10

// A fieldSection is a field section with its regular lines.
type fieldSection struct {
	fields.Section
	lines []qpack.HeaderField
}

// parseSection decodes a field section. The error is a *fields.Breach, or a *violation where it cannot be decoded at all.
func parseSection(p []byte, kind fields.Kind, limits fields.Limits) (*fieldSection, error) {
	s := &fieldSection{Section: fields.NewSection(kind)}
	s.HTTP3 = true
	for decode := qpack.NewDecoder().Decode(p); ; {
		f, err := decode()
		if err == io.EOF {
			break
		}
		if err != nil {
			// "Error code QPACK_DECOMPRESSION_FAILED: ... the decoder failed to interpret an encoded field section and is not able to continue
			// decoding that field section." RFC 9204, Section 6.
			return nil, violates(http3.ErrCodeQPACKDecompressionFailed, "peer sent a header section that cannot be decoded: %v", err)
		}
		regular, b := s.Recv(f.Name, f.Value, limits)
		if b != nil {
			return nil, b
		}
		if regular {
			s.lines = append(s.lines, f)
		}
	}
	if b := s.Check(); b != nil {
		return nil, b
	}
	return s, nil
}

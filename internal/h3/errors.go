package h3

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"

	"github.com/weftws/weft/internal/transport"
)

var (
	// ErrNoSlot says that the connection takes no further stream now: the peer's limit of streams is reached or a GOAWAY was
	// received, or we are shutting down.
	ErrNoSlot = errors.New("no stream can be opened on the connection now")
	// ErrNoConnect says that the server has not allowed Extended CONNECT, or not yet.
	ErrNoConnect = errors.New("server has not sent SETTINGS_ENABLE_CONNECT_PROTOCOL=1")
)

// A StreamError says that one stream has ended before its time.
type StreamError struct {
	StreamID int64
	Code     uint64 // an HTTP/3 error code (RFC 9114, Section 8.1)
	Local    bool   // we reset it, because of what the peer did or because somebody here cancelled
	// Unprocessed: the server promises that it did nothing: H3_REQUEST_REJECTED, GOAWAY, or rejected early data.
	Unprocessed   bool
	EarlyRejected bool // the server rejected early data: the connection goes on without it
	Stalled       bool // we reset it since the peer accepted nothing; errors.Is says transport.ErrStalled, too
	Detail        string
}

func (e *StreamError) Error() string        { return e.Detail }
func (e *StreamError) Is(target error) bool { return e.Stalled && target == transport.ErrStalled }

// A ConnError says that the connection could not be made, or has ended under everything on it.
type ConnError struct {
	Application     bool   // Code is an HTTP/3 error code, else one of QUIC's (RFC 9000, Section 20.1)
	Code            uint64 // 0 where there was none
	Local           bool   // we ended it
	Timeout         bool   // the network went silent, or the time for the dial was up
	Heard           bool   // any packet had come from the peer
	VersionFallback bool   // the peer wants HTTP/1.1 (H3_VERSION_FALLBACK)
	Detail          string
	Err             error // quic-go's, the network's or the context's
}

func (e *ConnError) Error() string { return e.Detail }
func (e *ConnError) Unwrap() error { return e.Err }

// connError makes a ConnError of what quic-go says.
func connError(err error, heard bool) *ConnError {
	if e, ok := errors.AsType[*ConnError](err); ok {
		return e
	}
	e := &ConnError{Heard: heard, Err: notClosed{err}, Detail: "network: " + err.Error()}
	var (
		application *quic.ApplicationError
		transport   *quic.TransportError
		version     *quic.VersionNegotiationError
		reset       *quic.StatelessResetError
		idle        *quic.IdleTimeoutError
		handshake   *quic.HandshakeTimeoutError
	)
	switch {
	case errors.As(err, &application):
		e.Application, e.Code, e.Local = true, uint64(application.ErrorCode), !application.Remote
		e.VersionFallback = application.Remote && http3.ErrCode(e.Code) == http3.ErrCodeVersionFallback
		e.Detail = fmt.Sprintf("%s closed the connection (%s%s)", who(e.Local), codeName(e.Code), quoted(application.ErrorMessage))
		if e.Local {
			e.Err = err
		}
	case errors.As(err, &transport):
		e.Code, e.Local = uint64(transport.ErrorCode), !transport.Remote
		e.Detail = fmt.Sprintf("%s ended the QUIC connection (%s)", who(e.Local), transport.Error())
	case errors.As(err, &version):
		e.Heard = true
		e.Detail = fmt.Sprintf("peer speaks no version of QUIC that we do: ours %v, theirs %v", version.Ours, version.Theirs)
	case errors.As(err, &reset):
		e.Heard = true
		e.Detail = "peer has forgotten the connection (stateless reset)"
	case errors.As(err, &idle):
		e.Timeout = true
		e.Detail = "network timeout: peer was silent for the whole idle timeout"
	case errors.As(err, &handshake):
		e.Timeout = true
		e.Detail = "network timeout: peer did not complete the QUIC handshake"
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		e.Local, e.Timeout = true, errors.Is(err, context.DeadlineExceeded)
		e.Detail = "we gave up: " + err.Error()
	case errors.Is(err, quic.ErrTransportClosed), errors.Is(err, net.ErrClosed):
		e.Local, e.Err = true, err
		e.Detail = "we closed the connection's socket"
	}
	return e
}

// A notClosed is an error of quic-go's without the net.ErrClosed that is in all of them. To whoever has a WebSocket that means that it was
// closed here, which a peer that has gone, or closed the connection, is not.
type notClosed struct{ err error }

func (e notClosed) Error() string        { return e.err.Error() }
func (e notClosed) Is(target error) bool { return target != net.ErrClosed && errors.Is(e.err, target) }
func (e notClosed) As(target any) bool   { return errors.As(e.err, target) }

// locallyClosed is the reason when somebody here closed the connection.
func locallyClosed() *ConnError {
	return &ConnError{
		Application: true, Code: uint64(http3.ErrCodeNoError), Local: true, Heard: true, Detail: "we closed the connection", Err: net.ErrClosed,
	}
}

// streamError makes an error of the stream, or of the whole connection, of what quic-go says about one. Deadlines and the end
// of the stream stay what they are.
func streamError(err error, id int64, conn under) error {
	if e, ok := errors.AsType[*quic.StreamError](err); ok {
		code := http3.ErrCode(e.ErrorCode)
		return &StreamError{
			StreamID: id, Code: uint64(code), Local: !e.Remote,
			// "The server SHOULD abort its response stream with the error code H3_REQUEST_REJECTED. In this context,
			// "processed" means that some data from the stream was passed to some higher layer of software that might have
			// taken some action as a result." RFC 9114, Section 4.1.1.
			Unprocessed: e.Remote && code == http3.ErrCodeRequestRejected,
			Detail:      fmt.Sprintf("%s reset the stream (%s, stream %d)", who(!e.Remote), codeName(uint64(code)), id),
		}
	}
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return os.ErrDeadlineExceeded
	case errors.Is(err, quic.ErrStreamClosed):
		return net.ErrClosed
	case errors.Is(err, quic.Err0RTTRejected):
		return earlyRejected(id)
	}
	if e, ok := errors.AsType[*StreamError](err); ok {
		return e
	}
	return conn.lost(err)
}

// earlyRejected is the end of what was sent in early data that the server rejected.
func earlyRejected(id int64) *StreamError {
	return &StreamError{
		StreamID: id, Unprocessed: true, EarlyRejected: true,
		Detail: fmt.Sprintf("server rejected early data (stream %d)", id),
	}
}

func who(local bool) string {
	if local {
		return "we"
	}
	return "peer"
}

func codeName(code uint64) string {
	if name := http3.ErrCode(code).String(); code < 1<<16 && name[0] != 'u' { // "unknown error code"
		return name
	}
	return fmt.Sprintf("%#x", code)
}

func quoted(s string) string {
	if s == "" {
		return ""
	}
	return fmt.Sprintf(", %q", s)
}

package h2net

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"

	"github.com/weftws/weft/internal/h2"
	"github.com/weftws/weft/internal/h2/wire"
)

// ErrNoSlot says that the connection takes no further stream now: the peer's MAX_CONCURRENT_STREAMS is reached or a
// GOAWAY was sent or received.
var ErrNoSlot = errors.New("no stream can be opened on the connection now")

// A StreamError says that the peer, or we because of what it did, reset one stream.
type StreamError struct {
	StreamID    uint32
	Code        wire.ErrCode
	Initiator   h2.Initiator
	Unprocessed bool // the server promises that it did nothing: GOAWAY below the identifier, or REFUSED_STREAM
	Unsupported bool // of OpenFrame: the server does not know WS_OPEN
	Detail      string
}

func (e *StreamError) Error() string { return e.Detail }

// A ConnError says that the connection has ended under everything on it.
type ConnError struct {
	GoAway    bool // a GOAWAY with Code was sent or received
	Code      wire.ErrCode
	Initiator h2.Initiator
	Detail    string
	Err       error // the network's, if it was that: io.EOF (close_notify, FIN), a reset, a timeout
}

func (e *ConnError) Error() string { return e.Detail }
func (e *ConnError) Unwrap() error { return e.Err }

// streamReset turns an EventReset into the error that everybody on the stream gets.
func streamReset(ev *h2.Event) *StreamError {
	e := &StreamError{
		StreamID: ev.Stream.ID, Code: ev.Code, Initiator: ev.Initiator, Detail: ev.Detail,
		// "The REFUSED_STREAM error code can be included in a RST_STREAM frame to indicate that the stream is being
		// closed prior to any processing having occurred." RFC 9113, Section 8.7.
		Unprocessed: ev.Unprocessed || ev.Initiator == h2.Peer && ev.Code == wire.RefusedStream,
	}
	if e.Detail == "" {
		who := "peer"
		if ev.Initiator == h2.Local {
			who = "we"
		}
		e.Detail = fmt.Sprintf("%s reset the stream (%v, stream %d)", who, ev.Code, ev.Stream.ID)
	}
	return e
}

// frameUnsupported is the end of a proposal that the server does not know.
func frameUnsupported(id uint32) *StreamError {
	return &StreamError{
		StreamID: id, Initiator: h2.Peer, Unsupported: true,
		Detail: fmt.Sprintf("peer does not know WS_OPEN: it acknowledged the PING behind it alone (stream %d)", id),
	}
}

// connFailed turns an EventConnFailed into the error that everybody on the connection gets.
func connFailed(ev *h2.Event) *ConnError {
	e := &ConnError{GoAway: true, Code: ev.Code, Initiator: ev.Initiator, Detail: ev.Detail}
	if e.Detail == "" {
		e.Detail = fmt.Sprintf("connection failed (%v)", ev.Code)
	}
	return e
}

// networkError says that the network ended the connection with err, after the GOAWAY goAway if there was one.
func networkError(err error, goAway *ConnError) *ConnError {
	if goAway != nil {
		e := *goAway
		e.Err = err
		return &e
	}
	e := &ConnError{Initiator: h2.Peer, Err: err}
	switch {
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF): // the latter: inside a TLS record
		e.Detail = "peer closed the connection"
	case errors.Is(err, net.ErrClosed):
		e.Initiator = h2.Local
		e.Detail = "we closed the connection"
	case errors.Is(err, os.ErrDeadlineExceeded):
		e.Detail = "network timeout: " + err.Error()
	default:
		e.Detail = "network: " + err.Error()
	}
	return e
}

// goAwayReceived turns an EventGoAway into the reason of the end that follows.
func goAwayReceived(ev *h2.Event) *ConnError {
	e := &ConnError{GoAway: true, Code: ev.Code, Initiator: h2.Peer, Detail: fmt.Sprintf("peer sent GOAWAY (%v", ev.Code)}
	if len(ev.Debug) > 0 {
		e.Detail += fmt.Sprintf(", %q", ev.Debug)
	}
	e.Detail += ")"
	return e
}

// locallyClosed is the reason when somebody here closed the connection.
func locallyClosed() *ConnError {
	return &ConnError{GoAway: true, Initiator: h2.Local, Detail: "we closed the connection", Err: net.ErrClosed}
}

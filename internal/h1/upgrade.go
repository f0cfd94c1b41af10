package h1

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"github.com/weftws/weft/internal/transport"
)

// An UpgradeRequest is the GET of a client's opening handshake. RFC 6455, Section 4.1.
type UpgradeRequest struct {
	Host   string
	Path   string // with the query
	Header http.Header
}

// Upgrade sends req on nc and reads the final response. With a 101 it returns the stream on nc, which the caller has yet to check
// the response for; with any other status no stream, and the response's Body, at most 1 MiB, owns nc from then on: closing it closes nc,
// and so does reading it for longer than 30 s.
// The context bounds the handshake alone. With an error nc is still the caller's, to be closed.
func Upgrade(ctx context.Context, nc net.Conn, req UpgradeRequest, opt Options) (*http.Response, transport.Stream, error) {
	request, err := appendRequest(req)
	if err != nil {
		return nil, nil, err
	}
	if deadline, ok := ctx.Deadline(); ok {
		nc.SetDeadline(deadline)
	}
	stop := context.AfterFunc(ctx, func() { nc.SetDeadline(longAgo) })

	head := &headReader{nc: nc, rest: maxResponseHeader}
	br := bufio.NewReader(head)
	res, err := exchange(nc, head, br, request)
	// A deadline of ours that has passed is the context's, even where its own timer is a moment late.
	if cause := context.Cause(ctx); !stop() || cause != nil || errors.Is(err, errDeadline) {
		if cause == nil {
			cause = context.DeadlineExceeded
		}
		return nil, nil, fmt.Errorf("no response to the WebSocket handshake: %w", cause)
	}
	if err != nil {
		return nil, nil, err
	}
	nc.SetDeadline(time.Time{})

	if res.StatusCode != http.StatusSwitchingProtocols {
		head.rest = 2*maxResponseBody + maxResponseHeader // chunks cost something
		nc.SetReadDeadline(time.Now().Add(bodyTimeout))
		res.Body = &body{rest: res.Body, nc: nc, left: maxResponseBody}
		return res, nil, nil
	}
	res.Body = http.NoBody
	early, _ := br.Peek(br.Buffered())
	s := NewStream(nc, bytes.Clone(early), opt)
	s.client = !opt.CloseFirst
	return res, s, nil
}

func appendRequest(req UpgradeRequest) ([]byte, error) {
	if !isVisible(req.Host) {
		return nil, fmt.Errorf("host %q is empty or has a character that no host has", req.Host)
	}
	if !isVisible(req.Path) || req.Path[0] != '/' {
		return nil, fmt.Errorf("path %q does not begin with a slash or has a character that must be escaped", req.Path)
	}
	if err := checkHeader(req.Header); err != nil {
		return nil, err
	}
	var b bytes.Buffer
	b.WriteString("GET " + req.Path + " HTTP/1.1\r\nHost: " + req.Host + "\r\n")
	appendHeader(&b, req.Header, map[string]bool{"Host": true})
	return b.Bytes(), nil
}

// exchange writes the request and reads responses up to the final one.
func exchange(nc net.Conn, head *headReader, br *bufio.Reader, request []byte) (*http.Response, error) {
	if _, err := nc.Write(request); err != nil {
		return nil, fmt.Errorf("could not write the WebSocket handshake: %w", wrapDeadline(err))
	}
	for range maxResponses {
		res, err := http.ReadResponse(br, &http.Request{Method: http.MethodGet})
		// What a connection that has ended leaves of a response is malformed, and that is not the server's fault.
		switch {
		case err == nil:
		case errors.Is(head.err, io.EOF) || errors.Is(head.err, io.ErrUnexpectedEOF):
			return nil, fmt.Errorf("server closed the connection before its response: %w", io.ErrUnexpectedEOF)
		case head.err != nil:
			return nil, fmt.Errorf("no response to the WebSocket handshake: %w", wrapDeadline(head.err))
		default:
			return nil, fmt.Errorf("no valid response to the WebSocket handshake: %w", err)
		}
		// "A client MUST be able to parse one or more 1xx responses received prior to a final response, even if the client does
		// not expect one." RFC 9110, Section 15.2.
		if res.StatusCode >= 200 || res.StatusCode == http.StatusSwitchingProtocols {
			return res, nil
		}
	}
	return nil, fmt.Errorf("server sent %d interim responses and no final one", maxResponses)
}

// A headReader bounds how much a response may make us read.
type headReader struct {
	nc   net.Conn
	rest int
	err  error // with which the connection has ended, or that of a deadline
}

func (r *headReader) Read(p []byte) (int, error) {
	if r.rest <= 0 {
		return 0, errLongHeader
	}
	n, err := r.nc.Read(p[:min(len(p), r.rest)])
	r.rest -= n
	r.err = err
	return n, err
}

// A body is a response's body that owns the connection.
type body struct {
	rest io.ReadCloser
	nc   net.Conn
	left int
}

func (b *body) Read(p []byte) (int, error) {
	if b.left <= 0 {
		return 0, io.EOF
	}
	n, err := b.rest.Read(p[:min(len(p), b.left)])
	b.left -= n
	return n, err
}

func (b *body) Close() error { return b.nc.Close() }

// wrapDeadline marks a deadline that has passed.
func wrapDeadline(err error) error {
	var timeout net.Error
	if errors.As(err, &timeout) && timeout.Timeout() {
		return fmt.Errorf("%w: %w", errDeadline, err)
	}
	return err
}

var (
	errDeadline   = errors.New("deadline passed")
	errLongHeader = fmt.Errorf("server's response header exceeds %d bytes", maxResponseHeader)
)

const (
	maxResponseHeader = 64 << 10
	maxResponseBody   = 1 << 20
	// maxResponses is how many responses, the interim ones included, are read for one request.
	maxResponses = 16
	bodyTimeout  = 30 * time.Second
)

package weft

import (
	"errors"
	"io"
	"net"
	"net/http"
)

// A refusal is a response that opened no WebSocket, to be read as HTTP/1.1 whatever it came by.
type refusal struct {
	net.Conn // our end of a pipe; the other is written by a goroutine that ends with the response or Close
	body     io.Closer
}

func newRefusal(res *http.Response) *refusal {
	near, far := net.Pipe()
	res.Proto, res.ProtoMajor, res.ProtoMinor = "HTTP/1.1", 1, 1
	res.Close = true
	go func() {
		defer far.Close()
		defer res.Body.Close()
		res.Write(far) // an error: whoever reads sees the response end early, or has gone
	}()
	return &refusal{Conn: near, body: res.Body}
}

func (r *refusal) Write([]byte) (int, error) {
	return 0, errors.New("weft: write to a connection whose WebSocket the server refused")
}

func (r *refusal) Close() error {
	r.body.Close()
	return r.Conn.Close()
}

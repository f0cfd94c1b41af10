package h2net

import (
	"errors"
	"net/http"

	"github.com/weftws/weft/internal/transport"
)

// Front and SetFront implement transport.Fronted.
func (ex *exchange) Front() transport.Acceptor     { return ex.front }
func (ex *exchange) SetFront(a transport.Acceptor) { ex.front = a }

// Accept implements transport.Acceptor: it answers an Extended CONNECT with 200 and hands the stream over. What the client
// sent before is in the stream's receive buffer, as far as the window allowed.
func (ex *exchange) Accept(h http.Header) (transport.Stream, error) {
	st := ex.st
	f := &st.c.f
	f.Lock()
	switch {
	case ex.done:
		f.Unlock()
		return nil, errors.New("the handler has returned")
	case ex.w.Answered():
		f.Unlock()
		return nil, errors.New("the request was answered already")
	}
	if err := st.sendErr(); err != nil {
		f.Unlock()
		return nil, err
	}
	ex.w.Hijack()
	ex.answered = true
	st.c.sendHeaders(st, http.StatusOK, h, false)
	// A handler may go on for as long as the WebSocket: it keeps of the request what it needs.
	ex.req, ex.handler = nil, nil
	f.Flush()
	return st, nil
}

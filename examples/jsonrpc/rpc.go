package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"

	"github.com/weftws/weft"
)

// A message is a request (Method and ID), a notification (Method alone) or a response (ID alone). JSON-RPC 2.0 without batches.
type message struct {
	Version string          `json:"jsonrpc"`
	ID      json.RawMessage `json:"id,omitempty"`
	Method  string          `json:"method,omitempty"`
	Params  json.RawMessage `json:"params,omitempty"`
	Result  json.RawMessage `json:"result,omitempty"`
	Error   *Error          `json:"error,omitempty"`
}

// An Error is what a method that fails answers.
type Error struct {
	Code    int    `json:"code"`
	Message string `json:"message"`
}

func (e *Error) Error() string { return fmt.Sprintf("%s (%d)", e.Message, e.Code) }

const (
	parseError     = -32700
	invalidRequest = -32600
	methodNotFound = -32601
	invalidParams  = -32602
	internalError  = -32603
)

// Methods are what a server can be asked. The argument is the request's params, the result is encoded as JSON.
type Methods map[string]func(ctx context.Context, params json.RawMessage) (any, error)

// Serve answers requests on c until it is over, each in a goroutine of its own, so that a slow one holds up nobody. Errors that are an *Error
// go to the client as they are.
func (m Methods) Serve(ctx context.Context, c *weft.Conn) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	slots := make(chan struct{}, 100) // requests at a time; then the peer has to wait
	for {
		_, p, err := c.Read(ctx)
		if err != nil {
			return err
		}
		slots <- struct{}{}
		go func() {
			defer func() { <-slots }()
			if answer := m.answer(ctx, p); answer != nil {
				send(ctx, c, answer)
			}
		}()
	}
}

// answer carries out one request; nil: it was a notification.
func (m Methods) answer(ctx context.Context, p []byte) *message {
	fail := func(id json.RawMessage, code int, text string) *message {
		if id == nil {
			id = json.RawMessage("null")
		}
		return &message{ID: id, Error: &Error{code, text}}
	}
	var q message
	if err := json.Unmarshal(p, &q); err != nil {
		return fail(nil, parseError, "not JSON: "+err.Error())
	}
	if q.Version != "2.0" || q.Method == "" {
		return fail(q.ID, invalidRequest, "not a request of JSON-RPC 2.0")
	}
	f := m[q.Method]
	if f == nil && q.ID != nil {
		return fail(q.ID, methodNotFound, "no method "+q.Method)
	} else if f == nil {
		return nil
	}
	result, err := f(ctx, q.Params)
	if q.ID == nil {
		return nil
	}
	if e, ok := errors.AsType[*Error](err); ok {
		return &message{ID: q.ID, Error: e}
	}
	text, jerr := json.Marshal(result)
	if err = errors.Join(err, jerr); err != nil {
		return fail(q.ID, internalError, err.Error())
	}
	return &message{ID: q.ID, Result: text}
}

func send(ctx context.Context, c *weft.Conn, m *message) error {
	m.Version = "2.0"
	p, err := json.Marshal(m)
	if err != nil {
		return err
	}
	return c.Write(ctx, weft.MessageText, p)
}

// A Client calls methods on the other end of a WebSocket. Safe for concurrent use: answers find their calls by their id.
type Client struct {
	conn *weft.Conn

	mu      sync.Mutex
	last    int64
	pending map[int64]chan message
	err     error // why there will be no more answers
}

// NewClient takes c over.
func NewClient(c *weft.Conn) *Client {
	cl := &Client{conn: c, pending: make(map[int64]chan message)}
	c.Handle(cl)
	return cl
}

// OnMessage implements weft.Handler.
func (cl *Client) OnMessage(c *weft.Conn, _ weft.MessageType, p []byte) {
	var m message
	var id int64
	if json.Unmarshal(p, &m) != nil || json.Unmarshal(m.ID, &id) != nil {
		c.Close(weft.StatusUnsupportedData, "not a response of JSON-RPC 2.0")
		return
	}
	cl.mu.Lock()
	ch := cl.pending[id]
	delete(cl.pending, id)
	cl.mu.Unlock()
	if ch != nil {
		ch <- m
	}
}

// OnClose implements weft.Handler.
func (cl *Client) OnClose(_ *weft.Conn, err error) {
	cl.mu.Lock()
	defer cl.mu.Unlock()
	cl.err = err
	for _, ch := range cl.pending {
		close(ch)
	}
	clear(cl.pending)
}

// Call calls method and decodes its answer into result.
func (cl *Client) Call(ctx context.Context, method string, params, result any) error {
	text, err := json.Marshal(params)
	if err != nil {
		return err
	}
	ch := make(chan message, 1)
	cl.mu.Lock()
	if cl.err != nil {
		cl.mu.Unlock()
		return cl.err
	}
	cl.last++
	id := cl.last
	cl.pending[id] = ch
	cl.mu.Unlock()
	defer func() {
		cl.mu.Lock()
		delete(cl.pending, id)
		cl.mu.Unlock()
	}()
	if err := send(ctx, cl.conn, &message{ID: fmt.Append(nil, id), Method: method, Params: text}); err != nil {
		return err
	}
	select {
	case m, ok := <-ch:
		switch {
		case !ok:
			return cl.err
		case m.Error != nil:
			return m.Error
		}
		return json.Unmarshal(m.Result, result)
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Close ends the WebSocket.
func (cl *Client) Close() error { return cl.conn.Close(weft.StatusNormalClosure, "") }

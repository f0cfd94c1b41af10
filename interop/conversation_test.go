package interop

import (
	"bytes"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// A socket is an open WebSocket of any client. Its methods give up after patience.
type socket interface {
	send(text bool, p []byte) error
	// sendFragments sends one message in as many frames; errNoFragments: the client has no means for it.
	sendFragments(text bool, parts ...[]byte) error
	// receive returns the next message; a *closed error after the peer's Close frame.
	receive() (text bool, p []byte, err error)
	// close closes with a handshake and returns when the peer's Close frame has come.
	close(code int, reason string) error
	subprotocol() string
	// compressed says whether permessage-deflate was agreed, as far as the client tells.
	compressed() bool
}

var errNoFragments = errors.New("this client cannot send fragments")

// A closed error says with what the peer closed.
type closed struct {
	code   int
	reason string
}

func (c *closed) Error() string { return fmt.Sprintf("closed with %d %q", c.code, c.reason) }

// offer is what a client asks for.
type offer struct {
	subprotocols []string
	deflate      string // "", "takeover" or "no-takeover"
}

// A talk is a client, an echo server and what is between them.
type talk struct {
	dial   func(t *testing.T, url string, o offer) socket
	url    string  // of the server or proxy, without path
	server *record // the server's
	// carried is what the server's record says of each socket, "version=HTTP/2.0".
	carried string
	deflate []string // modes to try; nil: the peer has none
	// noFragments: the server cannot be told to answer in fragments; noSubprotocol: it has none.
	noFragments, noSubprotocol bool
	// noReassembly: it takes every fragment for a message.
	noReassembly bool
}

var lastID atomic.Int64

// open dials the echo server; the record knows the socket as id.
func (k *talk) open(t *testing.T, o offer, query string) (s socket, id string) {
	t.Helper()
	id = fmt.Sprintf("id=%d", lastID.Add(1))
	q := url.Values{}
	if o.deflate != "" {
		q.Set("deflate", o.deflate)
	}
	if query != "" {
		query = "&" + query
	}
	if e := q.Encode(); e != "" {
		query += "&" + e
	}
	s = k.dial(t, k.url+"/echo?"+id+query, o)
	k.server.await(t, "open "+id+" ", k.carried)
	return s, id
}

// run is the whole conversation.
func (k *talk) run(t *testing.T) {
	t.Run("messages", func(t *testing.T) {
		for _, query := range []string{"", "api=callbacks"} {
			s, id := k.open(t, offer{}, query)
			k.messages(t, s)
			k.clientCloses(t, s, id, 1000, "")
		}
	})
	if !k.noFragments {
		t.Run("fragments", func(t *testing.T) {
			s, id := k.open(t, offer{}, "fragments=1")
			exchange(t, s, true, []byte("from the server in pieces, zażółć gęślą jaźń"))
			exchange(t, s, false, pattern(200_000))
			k.clientCloses(t, s, id, 1000, "done")
		})
	}
	t.Run("at once", k.atOnce)
	t.Run("client closes", func(t *testing.T) {
		s, id := k.open(t, offer{}, "")
		k.clientCloses(t, s, id, 4000, "enough, już wystarczy")
		s, id = k.open(t, offer{}, "")
		exchange(t, s, true, []byte("one"))
		k.clientCloses(t, s, id, 1000, "bye")
	})
	t.Run("server closes", func(t *testing.T) {
		for _, want := range []closed{{1000, "that was all"}, {4000, "dość"}} {
			s, _ := k.open(t, offer{}, "")
			k.serverCloses(t, s, want)
		}
	})
	if !k.noSubprotocol {
		t.Run("subprotocol", func(t *testing.T) {
			s, id := k.open(t, offer{subprotocols: []string{"unknown", "second", "first"}}, "")
			if got := s.subprotocol(); got != "first" && got != "second" {
				t.Errorf("subprotocol = %q, want one that both know", got)
			}
			exchange(t, s, true, []byte("agreed"))
			k.clientCloses(t, s, id, 1000, "")
		})
	}
	for _, mode := range k.deflate {
		t.Run("deflate "+mode, func(t *testing.T) {
			s, id := k.open(t, offer{deflate: mode}, "")
			if !s.compressed() {
				t.Error("permessage-deflate was not agreed")
			}
			k.messages(t, s)
			k.clientCloses(t, s, id, 4000, "deflated")
		})
	}
}

// messages sends every kind of message and wants each back.
func (k *talk) messages(t *testing.T, s socket) {
	t.Helper()
	for _, text := range []string{"hello", "", "żółć 🧵", strings.Repeat("weft and warp, ", 70_000)} {
		exchange(t, s, true, []byte(text))
	}
	// Around each change of the length's encoding: RFC 6455, Section 5.2.
	for _, size := range []int{0, 1, 125, 126, 127, 65535, 65536, 1 << 20} {
		exchange(t, s, false, pattern(size))
	}
	parts := [][]byte{[]byte("a fragmen"), []byte("ted me\xc5"), []byte("\xbcage"), pattern(70_000)}
	for i, text := range []bool{true, false} {
		if k.noReassembly {
			break
		}
		p := parts[:3+i]
		err := s.sendFragments(text, p...)
		if err == errNoFragments {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		wantMessage(t, s, text, bytes.Join(p, nil))
	}
	exchange(t, s, true, []byte("last"))
}

// atOnce talks on several sockets at the same time.
func (k *talk) atOnce(t *testing.T) {
	const sockets, messages = 5, 40
	var group sync.WaitGroup
	errs := make(chan error, sockets)
	for i := range sockets {
		query := ""
		if i%2 == 1 {
			query = "api=callbacks"
		}
		s, _ := k.open(t, offer{}, query)
		group.Go(func() {
			for n := range messages {
				p := fmt.Appendf(nil, "socket %d message %d ", i, n)
				p = append(p, bytes.Repeat([]byte("x"), n*n*20)...)
				if err := tryExchange(s, true, p); err != nil {
					errs <- fmt.Errorf("socket %d, message %d: %w", i, n, err)
					return
				}
			}
			if err := s.close(1000, "done"); err != nil {
				errs <- fmt.Errorf("socket %d: %w", i, err)
			}
		})
	}
	group.Wait()
	close(errs)
	for err := range errs {
		t.Error(err)
	}
}

// clientCloses closes s; the server must see the same.
func (k *talk) clientCloses(t *testing.T, s socket, id string, code int, reason string) {
	t.Helper()
	if err := s.close(code, reason); err != nil {
		t.Errorf("close: %v", err)
	}
	k.server.await(t, fmt.Sprintf("close %s code=%d reason=%q", id, code, reason))
}

// serverCloses has the server close s; the client must see it.
func (k *talk) serverCloses(t *testing.T, s socket, want closed) {
	t.Helper()
	if err := s.send(true, fmt.Appendf(nil, "close %d %s", want.code, want.reason)); err != nil {
		t.Fatal(err)
	}
	_, _, err := s.receive()
	if got, ok := errors.AsType[*closed](err); !ok || *got != want {
		t.Errorf("the client saw %v, want %v", err, &want)
	}
}

// closeCommand parses the text by which a client has the server close.
func closeCommand(text bool, p []byte) (c closed, ok bool) {
	rest, ok := strings.CutPrefix(string(p), "close ")
	if !ok || !text {
		return c, false
	}
	code, reason, _ := strings.Cut(rest, " ")
	_, err := fmt.Sscan(code, &c.code)
	c.reason = reason
	return c, err == nil
}

func exchange(t *testing.T, s socket, text bool, p []byte) {
	t.Helper()
	if err := tryExchange(s, text, p); err != nil {
		t.Fatal(err)
	}
}

func tryExchange(s socket, text bool, p []byte) error {
	if err := s.send(text, p); err != nil {
		return fmt.Errorf("send of %d bytes: %w", len(p), err)
	}
	return expect(s, text, p)
}

func wantMessage(t *testing.T, s socket, text bool, want []byte) {
	t.Helper()
	if err := expect(s, text, want); err != nil {
		t.Fatal(err)
	}
}

func expect(s socket, text bool, want []byte) error {
	gotText, got, err := s.receive()
	switch {
	case err != nil:
		return fmt.Errorf("receive of %d bytes: %w", len(want), err)
	case gotText != text:
		return fmt.Errorf("text = %v, want %v", gotText, text)
	case !bytes.Equal(got, want):
		return fmt.Errorf("got %d bytes %.40q, want %d bytes %.40q", len(got), got, len(want), want)
	}
	return nil
}

// pattern returns n bytes that compress badly and show misplaced pieces.
func pattern(n int) []byte {
	p := make([]byte, n)
	x := uint32(n) | 1
	for i := range p {
		x ^= x << 13
		x ^= x >> 17
		x ^= x << 5
		p[i] = byte(x)
	}
	return p
}

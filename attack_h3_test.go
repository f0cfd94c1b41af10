package weft_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/quic-go/qpack"
	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"
	"github.com/quic-go/quic-go/quicvarint"

	"github.com/weftws/weft"
)

// h3Request is a HEADERS frame. RFC 9114, Section 7.2.2.
func h3Request(fields ...string) []byte {
	var block bytes.Buffer
	enc := qpack.NewEncoder(&block)
	for _, f := range fields {
		i := strings.Index(f[1:], ":") + 1
		enc.WriteField(qpack.HeaderField{Name: f[:i], Value: strings.TrimSpace(f[i+1:])})
	}
	return append(quicvarint.Append([]byte{1}, uint64(block.Len())), block.Bytes()...)
}

// attackH3 opens a connection and sends SETTINGS.
func (a *arena) attackH3() *quic.Conn { return a.attackH3From("127.0.0.1") }

func (a *arena) attackH3From(from string) *quic.Conn {
	a.Helper()
	q, err := a.dialQUIC(from)
	if err != nil {
		a.Fatal(err)
	}
	control, err := q.OpenUniStream()
	if err != nil {
		a.Fatal(err)
	}
	control.Write([]byte{0, 4, 0})
	return q
}

// Requests that are cancelled at once, as in Rapid Reset: their slots are free when the handlers have returned.
func TestAttackHTTP3RapidReset(t *testing.T) {
	const slots = 100
	release := make(chan struct{})
	var begun atomic.Int32
	a := newArena(t, true, func(s *weft.Server) {
		s.Options.MaxConcurrentStreams = slots
		s.Handler = handleHard(s.Handler, func(r *http.Request) {
			begun.Add(1)
			io.Copy(io.Discard, r.Body)
			<-release
		})
	})
	t.Cleanup(func() { close(release) })
	a.beside(32<<20, func() {
		q := a.attackH3()
		// The attack ends where no further request is let in.
		for n := int32(1); n <= 5*slots; n++ {
			ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
			s, err := q.OpenStreamSync(ctx)
			cancel()
			if err != nil {
				break
			}
			s.Write(h3Hard)
			a.await("the handler", func() bool { return begun.Load() >= n })
			cancelH3(s)
		}
	})
	if n := begun.Load(); n != slots {
		t.Errorf("%d handlers are at work, want %d", n, slots)
	}
}

// The same where handlers notice, which frees the slots at once: a connection has a budget.
func TestAttackHTTP3ResetFlood(t *testing.T) {
	for _, attack := range []struct {
		name  string
		mount func(a *arena, s *quic.Stream)
	}{
		{name: "requests", mount: func(a *arena, s *quic.Stream) {
			s.Write(h3Hard)
			s.Close()
			s.CancelRead(quic.StreamErrorCode(http3.ErrCodeRequestCanceled))
		}},
		{name: "requests with more than their content-length", mount: func(a *arena, s *quic.Stream) {
			s.Write(h3Request(":method: POST", ":scheme: https", ":path: /hard", ":authority: localhost", "content-length: 1"))
			s.Write([]byte{0, 2, 'x', 'x'})
			s.CancelRead(0)
		}},
		{name: "WebSockets", mount: func(a *arena, s *quic.Stream) {
			s.Write(h3WebSocket("/ws"))
			h3Status(s)
			cancelH3(s)
		}},
	} {
		t.Run(attack.name, func(t *testing.T) {
			a := newArena(t, true, func(s *weft.Server) {
				s.Handler = handleHard(s.Handler, func(r *http.Request) {
					io.Copy(io.Discard, r.Body)
					<-r.Context().Done()
				})
			})
			sent := 0
			a.beside(48<<20, func() {
				q := a.attackH3()
				for sent < 10000 {
					ctx, cancel := context.WithTimeout(a.Context(), attackPatience)
					s, err := q.OpenStreamSync(ctx)
					cancel()
					if err != nil {
						break
					}
					s.SetDeadline(time.Now().Add(attackPatience))
					attack.mount(a, s)
					sent++
				}
				wantClosedH3(t, q, http3.ErrCodeExcessiveLoad, "client caused more than 1000 stream resets, 33 a second")
			})
			if sent <= 1000 {
				t.Errorf("%d streams were opened and cancelled, and 1000 are allowed", sent)
			}
			a.wantCounted("http3/too-many-resets", 1) // and what was being accepted when the connection ended
		})
	}
}

// A browser that leaves a page resets what the page had open; one that ends its WebSockets in order may go on for ever.
func TestHTTP3ResetsOfBrowsers(t *testing.T) {
	a := newArena(t, true, nil)
	q := a.attackH3()
	var open []*quic.Stream
	for range 300 {
		s, err := q.OpenStream()
		if err != nil {
			t.Fatal(err)
		}
		s.SetDeadline(time.Now().Add(attackPatience))
		s.Write(h3WebSocket("/ws"))
		open = append(open, s)
	}
	for _, s := range open {
		if status := h3Status(s); status != "200" {
			t.Fatalf("status %s", status)
		}
	}
	for _, s := range open {
		cancelH3(s)
	}
	for range 1000 {
		s, err := q.OpenStreamSync(a.Context())
		if err != nil {
			t.Fatal(err)
		}
		s.SetDeadline(time.Now().Add(attackPatience))
		s.Write(h3WebSocket("/ws"))
		if status := h3Status(s); status != "200" {
			t.Fatalf("status %s", status)
		}
		s.Write([]byte{0, 6, 0x88, 0x80, 1, 2, 3, 4}) // DATA with a Close frame
		if _, err := io.Copy(io.Discard, s); err != nil {
			t.Fatalf("a WebSocket that ends in order: %v", err)
		}
		s.Close()
	}
	if err := q.Context().Err(); err != nil {
		t.Errorf("the connection has ended: %v", context.Cause(q.Context()))
	}
	if counts, _ := a.scrape(); len(counts) != 0 {
		t.Errorf("counted: %v", counts)
	}
}

var h3Hard = h3Request(":method: GET", ":scheme: https", ":path: /hard", ":authority: localhost")

func h3WebSocket(path string) []byte {
	return h3Request(":method: CONNECT", ":protocol: websocket", ":scheme: https", ":path: "+path, ":authority: localhost", "sec-websocket-version: 13")
}

// handleHard is next, but for requests for /hard.
func handleHard(next http.Handler, hard func(*http.Request)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/hard" {
			hard(r)
		} else {
			next.ServeHTTP(w, r)
		}
	})
}

func cancelH3(s *quic.Stream) {
	s.CancelRead(quic.StreamErrorCode(http3.ErrCodeRequestCanceled))
	s.CancelWrite(quic.StreamErrorCode(http3.ErrCodeRequestCanceled))
}

// wantClosedH3 waits for the end of a connection and checks what the attacker was told.
func wantClosedH3(t *testing.T, q *quic.Conn, code http3.ErrCode, reason string) {
	t.Helper()
	select {
	case <-q.Context().Done():
	case <-time.After(attackPatience):
		t.Error("the server did not end the connection")
		return
	}
	e, ok := errors.AsType[*quic.ApplicationError](context.Cause(q.Context()))
	if !ok || !e.Remote || http3.ErrCode(e.ErrorCode) != code || e.ErrorMessage != reason {
		t.Errorf("the attacker was told %v, want %v, %q", context.Cause(q.Context()), code, reason)
	}
}

// Streams whose reader has stopped fill the window of their connection, and no other's: what is kept is bounded by ConnWindow.
func TestAttackHTTP3Windows(t *testing.T) {
	a := newArena(t, true, func(s *weft.Server) { s.Options.ConnWindow = 2 << 20 })
	a.beside(48<<20, func() {
		d := &weft.Dialer{TLSConfig: a.tls, Policy: weft.Policy{Rungs: []weft.Rung{weft.H3}}}
		defer d.Close()
		var wg sync.WaitGroup
		ctx, cancel := context.WithTimeout(a.Context(), 300*time.Millisecond)
		defer cancel()
		for range 20 {
			c, _, err := d.Dial(a.Context(), "wss://"+a.addr+"/deaf", nil)
			if err != nil {
				t.Fatal(err)
			}
			defer c.CloseNow()
			wg.Go(func() {
				for c.Write(ctx, weft.MessageBinary, make([]byte, 64<<10)) == nil {
				}
			})
		}
		wg.Wait()
	})
}

// A header section that is too large, or grows so when it is decoded, is not kept, and costs the request.
func TestAttackHTTP3Headers(t *testing.T) {
	get := []string{":method: GET", ":scheme: https", ":path: /", ":authority: localhost"}
	plain := h3Request(get...)
	bomb := append(bytes.Clone(plain[2:]), bytes.Repeat([]byte{0xc0 | 44}, 40000)...) // content-type: application/dns-message, of QPACK's static table
	for name, request := range map[string][]byte{
		"large": h3Request(append(get, "x: "+strings.Repeat("x", 1<<20))...),
		"bomb":  append(quicvarint.Append([]byte{1}, uint64(len(bomb))), bomb...),
	} {
		t.Run(name, func(t *testing.T) {
			a := newArena(t, true, nil)
			a.beside(48<<20, func() {
				q := a.attackH3()
				for range 20 {
					s, err := q.OpenStream()
					if err != nil {
						t.Fatal(err)
					}
					s.SetDeadline(time.Now().Add(attackPatience))
					go s.Write(request)
					if status := h3Status(s); status != "431" {
						t.Errorf("the attacker was told %s", status)
					}
				}
			})
			a.wantCount("http3/header-list-too-large", 20)
		})
	}
}

// Header sections that do not end cost their streams, in time, and nothing else of their connection; others have theirs all the while.
func TestAttackHTTP3SlowHeaders(t *testing.T) {
	const slots = 50
	a := newArena(t, true, func(s *weft.Server) {
		s.Options.MaxConcurrentStreams = slots
		s.ReadHeaderTimeout = 500 * time.Millisecond
	})
	a.beside(32<<20, func() {
		q := a.attackH3()
		request := h3Request(":method: GET", ":scheme: https", ":path: /", ":authority: localhost")
		var slow []*quic.Stream
		for range slots {
			s, err := q.OpenStream()
			if err != nil {
				t.Fatal(err)
			}
			s.Write(request[:len(request)-1])
			slow = append(slow, s)
		}
		if s, err := q.OpenStream(); err == nil {
			t.Errorf("stream %d is one too many", s.StreamID())
		}
		ask := func(q *quic.Conn) {
			ctx, cancel := context.WithTimeout(a.Context(), attackPatience)
			defer cancel()
			s, err := q.OpenStreamSync(ctx)
			if err != nil {
				t.Fatal(err)
			}
			s.SetDeadline(time.Now().Add(attackPatience))
			s.Write(request)
			if status := h3Status(s); status != "200" {
				t.Errorf("a request is answered %s", status)
			}
		}
		ask(a.attackH3())
		for _, s := range slow {
			s.SetReadDeadline(time.Now().Add(attackPatience))
			_, err := io.ReadAll(s)
			if e, ok := errors.AsType[*quic.StreamError](err); !ok || http3.ErrCode(e.ErrorCode) != http3.ErrCodeRequestIncomplete {
				t.Fatalf("the attacker was told %v", err)
			}
		}
		ask(q)
	})
	a.wantCount("http3/headers-timeout", slots)
}

// What a client says wrong is told to it, and counted, by the name that it has in HTTP/2.
func TestAttackHTTP3Malformed(t *testing.T) {
	t.Run("requests", func(t *testing.T) {
		a := newArena(t, true, nil)
		a.beside(32<<20, func() {
			q := a.attackH3()
			for range 100 {
				s, err := q.OpenStreamSync(a.Context())
				if err != nil {
					t.Fatal(err)
				}
				s.SetDeadline(time.Now().Add(attackPatience))
				s.Write(h3Request(":method: GET", ":scheme: https", ":path: /", ":authority: localhost", "connection: close"))
				_, err = io.ReadAll(s)
				if e, ok := errors.AsType[*quic.StreamError](err); !ok || http3.ErrCode(e.ErrorCode) != http3.ErrCodeMessageError {
					t.Fatalf("the attacker was told %v", err)
				}
			}
		})
		a.wantCount("http3/connection-specific-field", 100)
	})
	t.Run("frames", func(t *testing.T) {
		a := newArena(t, true, nil)
		a.beside(32<<20, func() {
			q := a.attackH3()
			<-q.HandshakeComplete()
			s, err := q.OpenStream()
			if err != nil {
				t.Fatal(err)
			}
			s.Write(h3Hard)
			s.Write([]byte{6, 0}) // a PING of HTTP/2
			io.ReadAll(s)
			s, err = q.OpenStream()
			if err != nil {
				t.Fatal(err)
			}
			s.Write([]byte{0, 0})
			wantClosedH3(t, q, http3.ErrCodeFrameUnexpected, "peer sent a frame of type 0x0 before its HEADERS (H3_FRAME_UNEXPECTED)")
		})
		a.wantCount("http3/frame-unexpected", 1)
	})
	t.Run("the control stream", func(t *testing.T) {
		a := newArena(t, true, nil)
		a.beside(32<<20, func() {
			q, err := a.dialQUIC("127.0.0.1")
			if err != nil {
				t.Fatal(err)
			}
			control, err := q.OpenUniStream()
			if err != nil {
				t.Fatal(err)
			}
			control.Write(append([]byte{0, 4, 0}, bytes.Repeat([]byte{0x21, 0}, 20000)...))
			wantClosedH3(t, q, http3.ErrCodeExcessiveLoad, "client sent more than 10000 control frames, 1000 a second")
		})
		a.wantCount("http3/too-many-control-frames", 1)
	})
}

// Frames that carry nothing, in WebSockets and in the content of requests, which handlers read: two bytes each.
func TestAttackHTTP3EmptyFrames(t *testing.T) {
	for name, frame := range map[string][]byte{"unknown": {0x21, 0}, "DATA": {0, 0}} {
		for where, request := range map[string][]byte{"a WebSocket": h3WebSocket("/ws"), "content": h3Hard} {
			t.Run(name+" in "+where, func(t *testing.T) {
				a := newArena(t, true, func(s *weft.Server) {
					s.Handler = handleHard(s.Handler, func(r *http.Request) { io.Copy(io.Discard, r.Body) })
				})
				a.beside(32<<20, func() {
					q := a.attackH3()
					<-q.HandshakeComplete()
					s, err := q.OpenStream()
					if err != nil {
						t.Fatal(err)
					}
					s.SetDeadline(time.Now().Add(attackPatience))
					s.Write(request)
					s.Write(bytes.Repeat(frame, 1<<20)) // or what the server takes of it
					wantClosedH3(t, q, http3.ErrCodeExcessiveLoad, "client sent more than 10000 empty or unknown frames, 1000 a second")
				})
				a.wantCount("http3/too-many-control-frames", 1)
			})
		}
	}
}

// A client that asks for much and reads nothing loses its streams, and the handlers go on.
func TestAttackHTTP3SlowReaders(t *testing.T) {
	const streams = 50
	a := newArena(t, true, func(s *weft.Server) { s.Options.WriteTimeout = 200 * time.Millisecond })
	a.beside(32<<20, func() {
		q := a.attackH3()
		for range streams {
			s, err := q.OpenStream()
			if err != nil {
				t.Fatal(err)
			}
			s.Write(h3Request(":method: GET", ":scheme: https", ":path: /large", ":authority: localhost"))
		}
		a.await("the handlers", func() bool { return a.writers.Load() > 0 })
		a.await("the handlers' end", func() bool { return a.writers.Load() == 0 })
	})
	a.wantCount("http3/stream-stalled", streams)
}

// A page of another origin, and a protocol that nobody speaks.
func TestAttackHTTP3Handshakes(t *testing.T) {
	a := newArena(t, true, nil)
	a.beside(32<<20, func() {
		d := &weft.Dialer{TLSConfig: a.tls, Policy: weft.Policy{Rungs: []weft.Rung{weft.H3}}}
		defer d.Close()
		_, res, err := d.Dial(a.Context(), "wss://"+a.addr+"/ws", &weft.DialOptions{HTTPHeader: http.Header{"Origin": {"https://evil.example"}}})
		if err == nil || res == nil || res.StatusCode != http.StatusForbidden {
			t.Fatalf("%v, %v", res, err)
		}
		res.Body.Close()

		s, err := a.attackH3().OpenStream()
		if err != nil {
			t.Fatal(err)
		}
		s.SetDeadline(time.Now().Add(attackPatience))
		s.Write(h3Request(":method: CONNECT", ":protocol: connect-udp", ":scheme: https", ":path: /ws", ":authority: localhost"))
		if status := h3Status(s); status != "501" {
			t.Errorf("an unknown :protocol is answered %s", status)
		}
	})
	a.wantCounted("refused/unknown-protocol", 1)
	if got := a.wantCounted("refused/foreign-origin", 1); len(got) != 2 {
		t.Errorf("the Observer counted %v", got)
	}
}

// h3Status reads a response's HEADERS frame.
func h3Status(s io.Reader) string {
	r := quicvarint.NewReader(s)
	if _, err := quicvarint.Read(r); err != nil {
		return err.Error()
	}
	n, _ := quicvarint.Read(r)
	block := make([]byte, n)
	if _, err := io.ReadFull(s, block); err != nil {
		return err.Error()
	}
	next := qpack.NewDecoder().Decode(block)
	for {
		f, err := next()
		if err != nil || f.Name == ":status" {
			return f.Value
		}
	}
}

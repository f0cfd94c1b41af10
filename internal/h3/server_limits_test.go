package h3

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"
	"github.com/quic-go/quic-go/quicvarint"

	"github.com/weftws/weft/internal/bucket"
	"github.com/weftws/weft/internal/transport"
)

// Header sections that do not end cost their own stream, and none other.
func TestHeadersTimeout(t *testing.T) {
	const timeout = 3 * time.Second
	get := requestOf("GET")
	for name, sent := range map[string][]byte{
		"a byte too few":     get[:len(get)-1],
		"no frame":           frameOf(0x21, "grease"),
		"half a frame":       get[:1],
		"half an unknown":    frameOf(0x21, "grease")[:4],
		"a large one, to be": {frameHeaders, 0x80, 0, 0xff, 0xff, 0, 0},
	} {
		t.Run(name, func(t *testing.T) {
			var told complaint
			handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.Copy(w, r.Body) })
			inFakeTime(t, &Server{Violation: told.note, ReadHeaderTimeout: timeout, MaxStreams: 2}, handler, func(t *testing.T, fx *fixture) {
				q := fx.rawDial(nil)
				slow := q.request(sent)
				// A handler has all the time that it wants for the content.
				post := q.request(requestOf("POST"))
				start := time.Now()
				if got := resetCode(slow); got != http3.ErrCodeRequestIncomplete || time.Since(start) != timeout+rtt {
					t.Errorf("reset with %v after %v", got, time.Since(start))
				}
				if got := stopCode(slow.Context()); got != http3.ErrCodeRequestIncomplete {
					t.Errorf("stopped with %v", got)
				}
				told.want(t, "http3/headers-timeout: client did not end the header section of a request within 3s (RFC 9114, Section 10.5)")
				pass(10 * time.Second)
				post.Write(frameOf(frameData, "late"))
				post.Close()
				if all, err := io.ReadAll(post); err != nil || !bytes.HasSuffix(all, []byte("late")) {
					t.Errorf("%q, %v", all, err)
				}
				if status := fx.ask(q.Conn, get); status != 200 {
					t.Errorf("a request in its slot: status %d", status)
				}
			})
		})
	}
}

// Streams that do not say what they are end; but not the first three, which may be QPACK's.
func TestStreamTypeTimeout(t *testing.T) {
	var told complaint
	inFakeTime(t, &Server{Violation: told.note, ReadHeaderTimeout: 3 * time.Second}, http.NotFoundHandler(), func(t *testing.T, fx *fixture) {
		q := fx.rawDial(&quic.Config{KeepAlivePeriod: 10 * time.Second})
		q.uni(controlStream(frameOf(frameSettings, "")))
		var streams []*quic.SendStream
		for range 4 {
			streams = append(streams, q.uni([]byte{0x40}))
		}
		pass(time.Minute)
		var stopped []http3.ErrCode
		for _, s := range streams {
			stopped = append(stopped, stopCode(s.Context()))
		}
		if want := []http3.ErrCode{0, 0, http3.ErrCodeStreamCreationError, http3.ErrCodeStreamCreationError}; !slices.Equal(stopped, want) {
			t.Errorf("stopped with %v, want %v", stopped, want)
		}
		const text = "http3/stream-type-timeout: client opened a stream and did not say its type within 3s (RFC 9114, Section 10.5)"
		told.want(t, text, text)
		streams[1].Write([]byte{streamEncoder})
		if status := fx.ask(q.Conn, requestOf("GET")); status != 404 {
			t.Errorf("status %d", status)
		}
	})
}

// A client that does not read loses the stream, also where the handler has long returned.
func TestStalledResponse(t *testing.T) {
	const timeout = 5 * time.Second
	for name, handler := range map[string]func(w http.ResponseWriter) error{
		"large": func(w http.ResponseWriter) error { _, err := w.Write(make([]byte, 1<<20)); return err },
		"small": func(w http.ResponseWriter) error { _, err := w.Write(make([]byte, 4000)); return err },
		"events": func(w http.ResponseWriter) error {
			for {
				io.WriteString(w, "an event")
				if err := http.NewResponseController(w).Flush(); err != nil {
					return err
				}
				pass(100 * time.Millisecond)
			}
		},
		"a header": func(w http.ResponseWriter) error {
			w.Header().Set("X", string(bytes.Repeat([]byte("x"), 4000)))
			return http.NewResponseController(w).Flush()
		},
	} {
		t.Run(name, func(t *testing.T) {
			var told complaint
			var ended chan error
			h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { ended <- handler(w) })
			inFakeTime(t, &Server{Violation: told.note, WriteTimeout: timeout}, h, func(t *testing.T, fx *fixture) {
				ended = make(chan error, 1)
				q := fx.rawDial(&quic.Config{InitialStreamReceiveWindow: 100, MaxStreamReceiveWindow: 100})
				s := q.request(requestOf("GET"))
				s.Close()
				pass(20 * time.Second)
				if err := <-ended; name != "small" && !errors.Is(err, transport.ErrStalled) {
					t.Errorf("the handler is told %v", err)
				}
				if got := resetCode(s); got != http3.ErrCodeExcessiveLoad {
					t.Errorf("reset with %v", got)
				}
				told.want(t, "http3/stream-stalled: client took less than 1024 bytes within 5s (RFC 9114, Section 10.5)")
			})
		})
	}
}

// A client that is slow, and goes on, gets everything.
func TestSlowClientIsNotStalled(t *testing.T) {
	const size = 64 << 10
	var told complaint
	ended := make(chan error, 1)
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, err := w.Write(make([]byte, size))
		ended <- err
	})
	inFakeTime(t, &Server{Violation: told.note, WriteTimeout: 5 * time.Second}, h, func(t *testing.T, fx *fixture) {
		ended = make(chan error, 1)
		q := fx.rawDial(&quic.Config{InitialStreamReceiveWindow: 4096, MaxStreamReceiveWindow: 4096, KeepAlivePeriod: 10 * time.Second})
		s := q.request(requestOf("GET"))
		s.Close()
		start, got := time.Now(), 0
		for got < size {
			n, err := io.ReadFull(s, make([]byte, 2048))
			if got += n; err != nil {
				t.Fatalf("after %d bytes: %v", got, err)
			}
			pass(3 * time.Second)
		}
		if err := <-ended; err != nil || time.Since(start) < time.Minute {
			t.Errorf("the handler is told %v, after %v", err, time.Since(start))
		}
		told.want(t)
	})
}

// A handler's own deadlines are its own.
func TestDeadlinesOfHandlers(t *testing.T) {
	var told complaint
	var errs chan error
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		rc := http.NewResponseController(w)
		rc.SetReadDeadline(time.Now().Add(time.Second))
		_, err := r.Body.Read(make([]byte, 10))
		errs <- err
		rc.SetWriteDeadline(time.Now().Add(time.Second))
		_, err = w.Write(make([]byte, 1<<20))
		errs <- err
	})
	inFakeTime(t, &Server{Violation: told.note}, handler, func(t *testing.T, fx *fixture) {
		errs = make(chan error, 2)
		q := fx.rawDial(&quic.Config{InitialStreamReceiveWindow: 1000, MaxStreamReceiveWindow: 1000})
		s := q.request(requestOf("POST"))
		start := time.Now()
		for range 2 {
			if err := <-errs; err != os.ErrDeadlineExceeded {
				t.Errorf("%v", err)
			}
		}
		if d := time.Since(start); d != 2*time.Second+rtt/2 {
			t.Errorf("after %v", d)
		}
		if got := resetCode(s); got != http3.ErrCodeInternalError {
			t.Errorf("reset with %v", got)
		}
		told.want(t)
	})
}

// Frames and streams that cost a client nothing have a budget.
func TestControlFlood(t *testing.T) {
	for name, flood := range map[string]func(q *rawClient, control *quic.SendStream){
		"unknown frames": func(_ *rawClient, control *quic.SendStream) { control.Write(bytes.Repeat(frameOf(0x21, ""), 15000)) },
		"PRIORITY_UPDATE": func(_ *rawClient, control *quic.SendStream) {
			control.Write(bytes.Repeat(frameOf(framePriorityRequest, "\x00u=1"), 15000))
		},
		"streams": func(q *rawClient, _ *quic.SendStream) {
			for q.Context().Err() == nil {
				if s, err := q.OpenUniStreamSync(q.Context()); err == nil {
					s.Write([]byte{0x21})
					s.CancelWrite(0)
				}
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			var told complaint
			inFakeTime(t, &Server{Violation: told.note}, http.NotFoundHandler(), func(t *testing.T, fx *fixture) {
				q := fx.rawDial(nil)
				if name == "streams" {
					// Each round trip has only so many of them.
					for sc := range fx.srv.conns {
						sc.mu.Lock()
						sc.controls = bucket.New(time.Now(), 300, 0)
						sc.mu.Unlock()
					}
				}
				flood(q, q.uni(controlStream(frameOf(frameSettings, ""))))
				pass(time.Second)
				if got := q.closeCode(); got != http3.ErrCodeExcessiveLoad {
					t.Errorf("closed with %v", got)
				}
				told.wantNames(t, "too-many-control-frames")
			})
		})
	}
}

// So have frames that carry nothing, in the content of requests and in WebSockets. It is for all streams of a connection together.
func TestEmptyFrameFlood(t *testing.T) {
	for name, frame := range map[string][]byte{"unknown": frameOf(0x21, ""), "unknown with a load": frameOf(0x21, "xyz"), "empty DATA": frameOf(frameData, "")} {
		for where, request := range requestsWithFrames {
			t.Run(name+" in "+where, func(t *testing.T) {
				var told complaint
				inFakeTime(t, &Server{Violation: told.note}, readAll(t), func(t *testing.T, fx *fixture) {
					q, other := fx.rawDial(nil), fx.rawDial(nil)
					for range 2 {
						q.request(request, bytes.Repeat(frame, controlBurst/2))
					}
					pass(100 * time.Millisecond)
					if got := q.closeCode(); got != 0 {
						t.Fatalf("closed with %v within the budget", got)
					}
					q.request(request, bytes.Repeat(frame, 500)) // more than has been given back since
					pass(time.Second)
					if got := q.closeCode(); got != http3.ErrCodeExcessiveLoad {
						t.Errorf("closed with %v", got)
					}
					told.want(t, "http3/too-many-control-frames: client sent more than 10000 empty or unknown frames, 1000 a second (RFC 9114, Section 10.5)")
					if status := fx.ask(other.Conn, requestOf("GET")); status != 200 {
						t.Errorf("another connection: status %d", status)
					}
				})
			})
		}
	}
}

// Clients that send GREASE, or end what they send with an empty DATA frame, are not hurt, however much they send; nor by a burst.
func TestHonestEmptyFrames(t *testing.T) {
	grease, payload, empty := frameOf(0x21, "grease"), frameOf(frameData, "x"), frameOf(frameData, "")
	for where, request := range requestsWithFrames {
		t.Run(where, func(t *testing.T) {
			var told complaint
			inFakeTime(t, &Server{Violation: told.note}, readAll(t), func(t *testing.T, fx *fixture) {
				q := fx.rawDial(nil)
				s := q.request(request, bytes.Repeat(join(payload, grease, payload, empty), 2*controlBurst))
				s.Write(bytes.Repeat(grease, controlBurst))
				pass(5 * time.Second)
				s.Write(join(bytes.Repeat(grease, 4*controlRate), payload, empty))
				s.Close()
				if f, err := nextFrame(s); err != nil || f.typ != frameHeaders {
					t.Errorf("the answer: %+v, %v", f, err)
				}
				if f, err := nextFrame(s); err != nil || f.payload != "40001 bytes" {
					t.Errorf("the answer: %q, %v", f.payload, err)
				}
				told.want(t)
			})
		})
	}
}

var requestsWithFrames = map[string][]byte{"a WebSocket": requestOf("CONNECT", ":protocol", "websocket"), "content": requestOf("POST")}

// readAll is a handler that reads what the client sends, and then says how much that was.
func readAll(t testing.TB) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if transport.AcceptorFrom(r.Context()) == nil {
			n, _ := io.Copy(io.Discard, r.Body)
			fmt.Fprintf(w, "%d bytes", n)
			return
		}
		s := takeStream(t, r)
		if s == nil {
			return
		}
		defer s.Close(time.Second)
		for n := 0; ; {
			p, err := s.Receive()
			if n += len(p); err != nil {
				s.Send(fmt.Appendf(nil, "%d bytes", n), nil)
				return
			}
		}
	})
}

// GOAWAY names the next request. It is rejected, and what came before is served.
func TestServerGoAway(t *testing.T) {
	inNetwork(t, func(t *testing.T, fx *fixture) {
		release := make(chan struct{})
		fx.serve(&Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			<-release
			io.WriteString(w, "served")
		}), MaxStreams: 5})
		q := fx.rawDial(nil)
		control := q.control()
		if f, err := nextFrame(control); err != nil || f.typ != frameSettings {
			t.Errorf("%+v, %v", f, err)
		}
		before := q.request(requestOf("GET"))
		before.Close()
		pass(time.Second)
		done := make(chan error, 1)
		go func() { done <- fx.srv.Shutdown(t.Context()) }()
		f, err := nextFrame(control)
		if id, _, _ := quicvarint.Parse([]byte(f.payload)); err != nil || f.typ != frameGoAway || id != 4 {
			t.Errorf("%+v, %v, want GOAWAY for stream 4", f, err)
		}
		for range 20 { // their slots are free again
			s, err := q.OpenStreamSync(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			s.Write(requestOf("GET"))
			if got := resetCode(s); got != http3.ErrCodeRequestRejected {
				t.Fatalf("a request afterwards: reset with %v", got)
			}
			<-s.Context().Done()
			if got := stopCode(s.Context()); got != http3.ErrCodeRequestRejected {
				t.Fatalf("a request afterwards: stopped with %v", got)
			}
		}
		close(release)
		if all, err := io.ReadAll(before); err != nil || !bytes.HasSuffix(all, []byte("served")) {
			t.Errorf("%q, %v", all, err)
		}
		if err := <-done; err != nil {
			t.Error(err)
		}
		if got := q.closeCode(); got != http3.ErrCodeNoError {
			pass(rtt)
			if got = q.closeCode(); got != http3.ErrCodeNoError {
				t.Errorf("closed with %v", got)
			}
		}
		<-fx.served
	})
}

// An idle connection is told before it is closed.
func TestIdleGoAway(t *testing.T) {
	inFakeTime(t, &Server{IdleTimeout: time.Minute}, http.NotFoundHandler(), func(t *testing.T, fx *fixture) {
		q := fx.rawDial(&quic.Config{KeepAlivePeriod: 10 * time.Second})
		control := q.control()
		nextFrame(control)
		start := time.Now()
		f, err := nextFrame(control)
		if d := time.Since(start); err != nil || f.typ != frameGoAway || d > time.Minute {
			t.Errorf("%+v, %v after %v", f, err, d)
		}
		start = time.Now()
		<-q.Context().Done()
		if d := time.Since(start); q.closeCode() != http3.ErrCodeNoError || d != drainTimeout {
			t.Errorf("closed with %v after %v", q.closeCode(), d)
		}
	})
}

// SETTINGS say what the server does.
func TestServerSettings(t *testing.T) {
	for _, on := range []bool{true, false} {
		withServer(t, &Server{Handler: http.NotFoundHandler(), ConnectProtocol: on, MaxHeaderBytes: 12345}, func(t *testing.T, fx *fixture) {
			q := fx.rawDial(nil)
			f, err := nextFrame(q.control())
			s, perr := parseSettings([]byte(f.payload))
			if err != nil || perr != nil || f.typ != frameSettings || s != (settings{connect: on, connectPresent: on, maxSection: 12345}) {
				t.Errorf("%+v: %+v, %v, %v", f, s, err, perr)
			}
		})
	}
}

// A handler that is at work keeps the slot of a stream that has ended.
func TestSlotsOfHandlers(t *testing.T) {
	var release chan struct{}
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if s := takeStream(t, r); s != nil {
			s.Close(time.Second)
			<-release
		}
	})
	inFakeTime(t, &Server{MaxStreams: 1}, handler, func(t *testing.T, fx *fixture) {
		release = make(chan struct{})
		q := fx.rawDial(nil)
		s := q.request(requestOf("CONNECT", ":protocol", "websocket"))
		s.Close()
		if _, err := io.ReadAll(s); err != nil {
			t.Error(err)
		}
		pass(10 * time.Second)
		if s, err := q.OpenStream(); err == nil {
			t.Errorf("stream %d, while the handler is at work", s.StreamID())
		}
		close(release)
		pass(time.Second)
		if _, err := q.OpenStream(); err != nil {
			t.Error(err)
		}
	})
}

// A section has room for what has come, whatever its frame announces.
func TestSectionFollowsWhatCame(t *testing.T) {
	const announced = 1 << 20
	r := &offers{left: announced / 2}
	if _, _, err := readSection(io.MultiReader(bytes.NewReader([]byte{frameHeaders, 0x80, announced >> 16, 0, 0}), r), announced); err == nil {
		t.Fatal("half a section")
	}
	if r.most > 2 {
		t.Errorf("the room was %.1f times what had come", r.most)
	}
}

// An offers notes how much room there is for what it gives.
type offers struct {
	came, left int
	most       float64
}

// Read implements io.Reader.
func (r *offers) Read(p []byte) (int, error) {
	if r.left == 0 {
		return 0, io.EOF
	}
	if r.came >= firstRead {
		r.most = max(r.most, float64(r.came+len(p))/float64(r.came))
	}
	n := min(len(p), 100, r.left)
	r.came, r.left = r.came+n, r.left-n
	return n, nil
}

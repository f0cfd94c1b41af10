package h2net

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/weftws/weft/internal/h2"
	"github.com/weftws/weft/internal/h2/wire"
	"github.com/weftws/weft/internal/simnet"
	"github.com/weftws/weft/internal/transport"
)

var echoHandlers = map[string]func(*testing.T) http.Handler{"callbacks": echoCallbacks, "blocking": echoBlocking}

func TestEcho(t *testing.T) {
	for name, handler := range echoHandlers {
		t.Run(name, func(t *testing.T) {
			inFakeTime(t, &Server{}, handler(t), func(fx *fixture) {
				cc := fx.connect(ClientOptions{})
				start := time.Now()
				s := fx.open(cc, "/")
				if got := fx.net.RoundTrips(start); got != 1 {
					t.Errorf("open took %v round trips, want 1", got)
				}
				start = time.Now()
				if n, err := s.Send([]byte("hello, "), []byte("world")); n != 12 || err != nil {
					t.Fatal(n, err)
				}
				if got := string(receiveAll(t, s, 12)); got != "hello, world" {
					t.Errorf("echo = %q", got)
				}
				if got := fx.net.RoundTrips(start); got != 1 {
					t.Errorf("echo took %v round trips, want 1", got)
				}
				s.Close(time.Second)
				if _, err := s.Receive(); err != net.ErrClosed {
					t.Errorf("Receive after Close: %v", err)
				}
				time.Sleep(2 * rtt)
				if n := cc.State().Streams; n != 0 {
					t.Errorf("%d streams are left", n)
				}
			})
		})
	}
}

// The first flight is one Write: preface, SETTINGS and the request.
func TestFirstFlight(t *testing.T) {
	inFakeTime(t, &Server{}, echoCallbacks(t), func(fx *fixture) {
		cc := fx.connect(ClientOptions{})
		var writes []string
		var mu sync.Mutex
		fx.net.Tap(func(s simnet.Segment) {
			mu.Lock()
			defer mu.Unlock()
			if s.Client {
				writes = append(writes, string(s.Data))
			}
		})
		fx.open(cc, "/")
		mu.Lock()
		defer mu.Unlock()
		if !strings.HasPrefix(writes[0], wire.ClientPreface) {
			t.Errorf("first write begins with %.40q", writes[0])
		}
		frames := writes[0][len(wire.ClientPreface):]
		var types []wire.FrameType
		for len(frames) > 0 {
			h, ok := wire.ParseFrameHeader([]byte(frames))
			if !ok {
				t.Fatalf("cut frame: %q", frames)
			}
			types = append(types, h.Type)
			frames = frames[wire.HeaderLen+int(h.Length):]
		}
		if last := types[len(types)-1]; types[0] != wire.Settings || last != wire.Headers {
			t.Errorf("frames of the first write: %v", types)
		}
	})
}

func TestEchoMuch(t *testing.T) {
	configs := map[string]h2.Config{
		"default":      {},
		"small window": {InitialWindowSize: 1000, MaxSendQueue: 3000},
	}
	for name, handler := range echoHandlers {
		for cfgName, cfg := range configs {
			t.Run(name+", "+cfgName, func(t *testing.T) {
				inFakeTime(t, wantConfig(cfg), handler(t), func(fx *fixture) {
					cc := fx.connect(ClientOptions{Config: cfg})
					var wg sync.WaitGroup
					for range 3 {
						s := fx.open(cc, "/")
						sent := make([]byte, 300_000)
						rng := rand.New(rand.NewPCG(1, 2))
						for i := range sent {
							sent[i] = byte(rng.Uint32())
						}
						wg.Go(func() {
							for p := sent; len(p) > 0; {
								n := min(len(p), 1+rng.IntN(40_000))
								if _, err := s.Send(p[:n/3], p[n/3:n]); err != nil {
									t.Error(err)
								}
								p = p[n:]
							}
						})
						wg.Go(func() {
							if got := receiveAll(t, s, len(sent)); !bytes.Equal(got, sent) {
								t.Error("the echo differs")
							}
							s.Close(time.Second)
						})
					}
					wg.Wait()
				})
			})
		}
	}
}

func TestPeerEnds(t *testing.T) {
	inFakeTime(t, &Server{}, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s := accept(t, r)
		s.Send([]byte("bye"), nil)
		s.Close(time.Second)
	}), func(fx *fixture) {
		cc := fx.connect(ClientOptions{})
		s := fx.open(cc, "/")
		if got := string(receiveAll(t, s, 3)); got != "bye" {
			t.Errorf("received %q", got)
		}
		for range 2 {
			if _, err := s.Receive(); err != io.EOF {
				t.Errorf("Receive = %v, want EOF", err)
			}
		}
		s.Close(time.Second)
		if n := cc.State().Streams; n != 0 {
			t.Errorf("%d streams are left", n)
		}

		// The same by callback.
		s = fx.open(cc, "/")
		var got []string
		done := make(chan struct{})
		s.Handle(func(p []byte, err error) {
			got = append(got, string(p))
			if err != nil {
				got = append(got, err.Error())
				close(done)
			}
		})
		<-done
		if strings.Join(got, "|") != "bye||EOF" {
			t.Errorf("callbacks: %q", got)
		}
		s.Close(0)
	})
}

func TestPeerAborts(t *testing.T) {
	inFakeTime(t, &Server{}, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s := accept(t, r)
		time.Sleep(time.Second)
		s.Abort()
	}), func(fx *fixture) {
		cc := fx.connect(ClientOptions{})
		s := fx.open(cc, "/")
		_, err := s.Receive()
		var se *StreamError
		if !errors.As(err, &se) || se.Code != wire.Cancel || se.Initiator != h2.Peer || se.StreamID != 1 {
			t.Errorf("Receive = %#v", err)
		}
		if _, err := s.Send([]byte("x"), nil); !errors.As(err, &se) {
			t.Errorf("Send = %v", err)
		}
		if s.TrySend([]byte("x")) {
			t.Error("TrySend on a stream that was reset")
		}
	})
}

func TestConnLost(t *testing.T) {
	var ends chan error
	inFakeTime(t, &Server{}, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s := accept(t, r)
		s.Handle(func(p []byte, err error) {
			if err != nil {
				ends <- err
			}
		})
	}), func(fx *fixture) {
		ends = make(chan error, 2)
		closed := make(chan error, 1)
		cc := fx.connect(ClientOptions{Closed: func(_ *ClientConn, err error) { closed <- err }})
		s := fx.open(cc, "/")
		fx.srv.Close()
		_, err := s.Receive()
		var ce *ConnError
		if !errors.As(err, &ce) || ce.Initiator != h2.Peer || !errors.Is(err, io.EOF) && !errors.Is(err, net.ErrClosed) {
			t.Errorf("client's Receive = %#v", err)
		}
		if err := <-closed; err == nil || err != cc.Err() {
			t.Errorf("Closed was told %v, Err is %v", err, cc.Err())
		}
		<-cc.Done()
		if err := <-ends; !errors.As(err, &ce) || ce.Initiator != h2.Local {
			t.Errorf("server's callback = %#v", err)
		}
		if _, err := cc.OpenConnect(ConnectRequest{}); !errors.As(err, &ce) {
			t.Errorf("OpenConnect = %v", err)
		}
	})
}

func TestReadDeadline(t *testing.T) {
	inFakeTime(t, &Server{}, echoCallbacks(t), func(fx *fixture) {
		s := fx.open(fx.connect(ClientOptions{}), "/")
		s.SetReadDeadline(time.Now().Add(time.Hour))
		s.SetReadDeadline(time.Now().Add(time.Second))
		start := time.Now()
		for range 2 {
			if _, err := s.Receive(); err != os.ErrDeadlineExceeded {
				t.Fatalf("Receive = %v", err)
			}
		}
		if d := time.Since(start); d != time.Second {
			t.Errorf("the deadline of 1s passed after %v", d)
		}
		// Moving it reaches a Receive that is blocked; taking it away makes the stream as before.
		s.SetReadDeadline(time.Time{})
		go func() {
			time.Sleep(time.Second)
			s.SetReadDeadline(time.Now())
		}()
		if _, err := s.Receive(); err != os.ErrDeadlineExceeded {
			t.Fatalf("Receive = %v", err)
		}
		if d := time.Since(start); d != 2*time.Second {
			t.Errorf("the deadline was noticed after %v", d)
		}
		s.SetReadDeadline(time.Time{})
		s.Send([]byte("still here"), nil)
		if got := string(receiveAll(t, s, 10)); got != "still here" {
			t.Errorf("received %q", got)
		}
	})
}

// silentServer accepts and reads nothing, so that the window is all there is.
func silentServer(t *testing.T) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { accept(t, r) })
}

func TestWriteDeadline(t *testing.T) {
	cfg := h2.Config{InitialWindowSize: 65535, MaxSendQueue: 1000}
	inFakeTime(t, wantConfig(cfg), silentServer(t), func(fx *fixture) {
		s := fx.open(fx.connect(ClientOptions{Config: cfg}), "/")
		// The window takes 65,535 bytes; 1000 more wait at most before Send does.
		for range 67 {
			if _, err := s.Send(make([]byte, 1000), nil); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(rtt)
		start := time.Now()
		s.SetWriteDeadline(start.Add(3 * time.Second))
		if n, err := s.Send(make([]byte, 1000), nil); n != 0 || err != os.ErrDeadlineExceeded {
			t.Errorf("Send = %d, %v", n, err)
		}
		if d := time.Since(start); d != 3*time.Second {
			t.Errorf("Send returned after %v", d)
		}
		if !s.TrySend(make([]byte, 125)) {
			t.Error("TrySend has no room of its own")
		}
		for range 100 {
			s.TrySend(make([]byte, 125))
		}
		if s.TrySend(make([]byte, 125)) {
			t.Error("TrySend has no limit")
		}
		s.Abort()
	})
}

// A unit that is cut by the deadline says how much was taken; another Send does not come between.
func TestSendUnits(t *testing.T) {
	cfg := h2.Config{InitialWindowSize: 65535, MaxSendQueue: 1000}
	inFakeTime(t, wantConfig(cfg), silentServer(t), func(fx *fixture) {
		s := fx.open(fx.connect(ClientOptions{Config: cfg}), "/")
		s.SetWriteDeadline(time.Now().Add(time.Second))
		second := make(chan error)
		go func() {
			time.Sleep(500 * time.Millisecond)
			_, err := s.Send([]byte("me too"), nil)
			second <- err
		}()
		n, err := s.Send([]byte("head"), make([]byte, 100_000))
		if n < 65535 || n > 68_000 || err != os.ErrDeadlineExceeded {
			t.Errorf("Send = %d, %v", n, err)
		}
		if err := <-second; err != os.ErrDeadlineExceeded {
			t.Errorf("the other Send = %v", err)
		}
		if s.TrySend([]byte("x")) != true {
			t.Error("TrySend after the unit was given up")
		}
		s.Abort()
	})
}

func TestInterleavedUnits(t *testing.T) {
	cfg := h2.Config{InitialWindowSize: 2000, MaxSendQueue: 1000}
	inFakeTime(t, wantConfig(cfg), echoBlocking(t), func(fx *fixture) {
		s := fx.open(fx.connect(ClientOptions{Config: cfg}), "/")
		const units, size = 8, 10_000
		for i := range units {
			go s.Send([]byte{byte(i)}, bytes.Repeat([]byte{byte(i)}, size-1))
		}
		got := receiveAll(t, s, units*size)
		for u := range units {
			unit := got[u*size : (u+1)*size]
			if n := bytes.Count(unit, unit[:1]); n != size {
				t.Fatalf("unit %d is mixed: %d of %d bytes are its own", u, n, size)
			}
		}
	})
}

// The linger of Close passes: RST_STREAM(CANCEL).
func TestCloseLinger(t *testing.T) {
	var mu sync.Mutex
	var reason error
	inFakeTime(t, &Server{}, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s := accept(t, r)
		s.Handle(func(p []byte, err error) {
			if err == io.EOF {
				go func() {
					for err == io.EOF {
						time.Sleep(rtt)
						_, err = s.Send([]byte("late"), nil)
					}
					mu.Lock()
					reason = err
					mu.Unlock()
				}()
			}
		})
	}), func(fx *fixture) {
		cc := fx.connect(ClientOptions{})
		s := fx.open(cc, "/")
		start := time.Now()
		s.Close(2 * time.Second)
		time.Sleep(2*time.Second - 1)
		if cc.State().Streams != 1 {
			t.Error("the stream is gone before its linger")
		}
		time.Sleep(time.Nanosecond)
		synctest.Wait()
		if cc.State().Streams != 0 {
			t.Errorf("the stream is there after %v", time.Since(start))
		}
		time.Sleep(2 * rtt)
		mu.Lock()
		defer mu.Unlock()
		var se *StreamError
		if reason != nil && (!errors.As(reason, &se) || se.Code != wire.Cancel) {
			t.Errorf("the server's Send = %v", reason)
		}
	})
}

// Data that came before Handle comes first, and nothing overtakes it.
func TestHandleLate(t *testing.T) {
	inFakeTime(t, &Server{}, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s := accept(t, r)
		for i := range 200 {
			s.Send([]byte{byte(i)}, nil)
			time.Sleep(time.Millisecond)
		}
		s.Close(time.Second)
	}), func(fx *fixture) {
		s := fx.open(fx.connect(ClientOptions{}), "/")
		time.Sleep(100 * time.Millisecond)
		var got []byte
		done := make(chan struct{})
		s.Handle(func(p []byte, err error) {
			got = append(got, p...)
			time.Sleep(3 * time.Millisecond)
			if err != nil {
				close(done)
			}
		})
		<-done
		for i, b := range got {
			if int(b) != i {
				t.Fatalf("byte %d is %d", i, b)
			}
		}
		if len(got) != 200 {
			t.Errorf("%d bytes", len(got))
		}
		s.Close(0)
	})
}

// A callback that panics costs its stream alone.
func TestCallbackPanics(t *testing.T) {
	inFakeTime(t, &Server{}, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s := accept(t, r)
		s.Handle(func(p []byte, err error) {
			if r.URL.Path == "/panic" {
				panic("as told")
			}
			if err == nil {
				s.Send(p, nil)
			}
		})
	}), func(fx *fixture) {
		fx.srv.ErrorLog = nil
		cc := fx.connect(ClientOptions{})
		bad, good := fx.open(cc, "/panic"), fx.open(cc, "/")
		bad.Send([]byte("x"), nil)
		var se *StreamError
		if _, err := bad.Receive(); !errors.As(err, &se) || se.Code != wire.InternalError {
			t.Errorf("Receive = %v", err)
		}
		good.Send([]byte("x"), nil)
		receiveAll(t, good, 1)
	})
}

func TestInfo(t *testing.T) {
	inFakeTime(t, &Server{}, echoCallbacks(t), func(fx *fixture) {
		cc := fx.connect(ClientOptions{})
		fx.open(cc, "/")
		info := fx.open(cc, "/").Info()
		if info.StreamID != 3 || info.ConnID != cc.State().ConnID || info.Proto != "HTTP/2.0" || info.Secure ||
			info.RemoteAddr.String() != serverAddr {
			t.Errorf("Info = %+v", info)
		}
	})
}

func TestCancelledCall(t *testing.T) {
	var released chan struct{}
	inFakeTime(t, &Server{}, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		<-r.Context().Done()
		close(released)
	}), func(fx *fixture) {
		released = make(chan struct{})
		cc := fx.connect(ClientOptions{})
		call, err := cc.OpenConnect(ConnectRequest{Scheme: "https", Authority: "example.com", Path: "/"})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(fx.ctx, time.Second)
		defer cancel()
		if _, err := call.Response(ctx); err != context.DeadlineExceeded {
			t.Errorf("Response = %v", err)
		}
		call.Cancel()
		var se *StreamError
		if _, err := call.Response(fx.ctx); !errors.As(err, &se) || se.Initiator != h2.Local {
			t.Errorf("Response = %v", err)
		}
		<-released
	})
}

var _ transport.Stream = (*stream)(nil)

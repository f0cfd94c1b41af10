package h2net

//lint:file-ignore SA1019 x/net's own HTTP/2 is deprecated for users, and just right as an independent peer

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/weftws/weft/internal/h2"
	"github.com/weftws/weft/internal/h2/wire"
	"github.com/weftws/weft/internal/simnet"
)

// withPeer runs f with a client whose server is peer, frame by frame.
func withPeer(t *testing.T, opt ClientOptions, peer func(nc net.Conn, fr *http2.Framer), f func(t *testing.T, cc *ClientConn)) {
	simnet.Run(t, rtt, func(t *testing.T, n *simnet.Network) {
		ln := n.Listen(serverAddr)
		go func() {
			nc, err := ln.Accept()
			if err != nil {
				return
			}
			defer nc.Close()
			io.ReadFull(nc, make([]byte, len(wire.ClientPreface)))
			peer(nc, http2.NewFramer(nc, nc))
		}()
		nc, err := n.Dial(serverAddr)
		if err != nil {
			t.Fatal(err)
		}
		cc := NewClientConn(nc, opt)
		defer cc.Close()
		f(t, cc)
	})
}

func call(t *testing.T, cc *ClientConn) *Call {
	t.Helper()
	c, err := cc.OpenConnect(ConnectRequest{Scheme: "https", Authority: "example.com", Path: "/"})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func statusBlock(status string) []byte {
	var b strings.Builder
	hpack.NewEncoder(&b).WriteField(hpack.HeaderField{Name: ":status", Value: status})
	return []byte(b.String())
}

// readUntil reads frames until one of type typ.
func readUntil(fr *http2.Framer, typ http2.FrameType) http2.Frame {
	for {
		f, err := fr.ReadFrame()
		if err != nil || f.Header().Type == typ {
			return f
		}
	}
}

func TestInterimResponses(t *testing.T) {
	withPeer(t, ClientOptions{}, func(nc net.Conn, fr *http2.Framer) {
		fr.WriteSettings()
		readUntil(fr, http2.FrameHeaders)
		for _, status := range []string{"100", "103", "200"} {
			fr.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: statusBlock(status), EndHeaders: true})
		}
		fr.WriteData(1, false, []byte("first"))
		io.Copy(io.Discard, nc)
	}, func(t *testing.T, cc *ClientConn) {
		c := call(t, cc)
		if c.Stream() != nil || c.Ended() {
			t.Error("a stream before the response")
		}
		resp, err := c.Response(t.Context())
		if err != nil || resp.StatusCode != 200 || c.Ended() {
			t.Fatal(resp, err)
		}
		if got := string(receiveAll(t, c.Stream(), 5)); got != "first" {
			t.Errorf("received %q", got)
		}
	})
}

func TestEndedResponse(t *testing.T) {
	withPeer(t, ClientOptions{}, func(nc net.Conn, fr *http2.Framer) {
		fr.WriteSettings()
		for id := uint32(1); id <= 3; id += 2 {
			readUntil(fr, http2.FrameHeaders)
			status := "200"
			if id == 3 {
				status = "404"
			}
			fr.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: statusBlock(status), EndHeaders: true, EndStream: true})
		}
		io.Copy(io.Discard, nc)
	}, func(t *testing.T, cc *ClientConn) {
		c := call(t, cc)
		if _, err := c.Response(t.Context()); err != nil || !c.Ended() {
			t.Fatal(err, c.Ended())
		}
		if _, err := c.Stream().Receive(); err != io.EOF {
			t.Errorf("Receive = %v", err)
		}
		c.Cancel()
		c = call(t, cc)
		if resp, err := c.Response(t.Context()); err != nil || !c.Ended() || resp.Body != http.NoBody {
			t.Error(resp, err)
		}
		if s := cc.State(); s.Streams != 0 {
			t.Errorf("%+v", s)
		}
	})
}

func TestSettingsAndSlots(t *testing.T) {
	idle := 0
	var mu sync.Mutex
	opt := ClientOptions{Idle: func(cc *ClientConn) {
		mu.Lock()
		idle++
		mu.Unlock()
		cc.State() // no lock is held
	}}
	withPeer(t, opt, func(nc net.Conn, fr *http2.Framer) {
		fr.WriteSettings(http2.Setting{ID: http2.SettingMaxConcurrentStreams, Val: 2}, http2.Setting{ID: 8, Val: 1})
		io.Copy(io.Discard, nc)
	}, func(t *testing.T, cc *ClientConn) {
		if s := cc.State(); s.SettingsReceived || s.ConnectProtocol || s.Slots == 0 || s.Draining {
			t.Errorf("before SETTINGS: %+v", s)
		}
		cc.Start()
		start := time.Now()
		<-cc.Settings()
		if d := time.Since(start); d != rtt {
			// The peer reads the preface before it writes.
			t.Errorf("SETTINGS after %v", d)
		}
		if s := cc.State(); !s.SettingsReceived || !s.ConnectProtocol || s.Slots != 2 {
			t.Errorf("after SETTINGS: %+v", s)
		}
		a, b := call(t, cc), call(t, cc)
		if _, err := cc.OpenConnect(ConnectRequest{}); !errors.Is(err, ErrNoSlot) {
			t.Errorf("a third stream: %v", err)
		}
		a.Cancel()
		synctest.Wait()
		mu.Lock()
		if idle != 0 {
			t.Error("Idle with a stream open")
		}
		mu.Unlock()
		b.Cancel()
		synctest.Wait()
		mu.Lock()
		defer mu.Unlock()
		if s := cc.State(); idle != 1 || s.Slots != 2 || s.Streams != 0 {
			t.Errorf("idle %d, %+v", idle, s)
		}
	})
}

// How the ends that the ladder tells apart look.
func TestEnds(t *testing.T) {
	streamError := func(code wire.ErrCode, by h2.Initiator, unprocessed bool) func(error) bool {
		return func(err error) bool {
			var e *StreamError
			return errors.As(err, &e) && e.Code == code && e.Initiator == by && e.Unprocessed == unprocessed && e.Detail != ""
		}
	}
	connError := func(goAway bool, code wire.ErrCode, by h2.Initiator, network error) func(error) bool {
		return func(err error) bool {
			var e *ConnError
			return errors.As(err, &e) && e.GoAway == goAway && e.Code == code && e.Initiator == by && e.Detail != "" &&
				(network == nil && e.Err == nil || network != nil && errors.Is(err, network))
		}
	}
	for name, c := range map[string]struct {
		peer func(nc net.Conn, fr *http2.Framer)
		want func(error) bool
	}{
		"EOF before anything": {
			func(nc net.Conn, fr *http2.Framer) {},
			connError(false, 0, h2.Peer, io.EOF),
		},
		"EOF after SETTINGS": {
			func(nc net.Conn, fr *http2.Framer) { fr.WriteSettings(); readUntil(fr, http2.FrameHeaders) },
			connError(false, 0, h2.Peer, io.EOF),
		},
		"GOAWAY and EOF": {
			func(nc net.Conn, fr *http2.Framer) {
				fr.WriteSettings()
				readUntil(fr, http2.FrameHeaders)
				fr.WriteGoAway(1, http2.ErrCodeProtocol, []byte("what is :protocol"))
			},
			connError(true, wire.ProtocolError, h2.Peer, io.EOF),
		},
		"GOAWAY below the stream": {
			func(nc net.Conn, fr *http2.Framer) {
				fr.WriteSettings()
				readUntil(fr, http2.FrameHeaders)
				fr.WriteGoAway(0, http2.ErrCodeNo, nil)
				io.Copy(io.Discard, nc)
			},
			streamError(wire.RefusedStream, h2.Peer, true),
		},
		"GOAWAY with an error below the stream": {
			func(nc net.Conn, fr *http2.Framer) {
				fr.WriteSettings()
				readUntil(fr, http2.FrameHeaders)
				fr.WriteGoAway(0, http2.ErrCodeProtocol, nil)
				io.Copy(io.Discard, nc)
			},
			connError(true, wire.ProtocolError, h2.Peer, nil),
		},
		"REFUSED_STREAM": {
			func(nc net.Conn, fr *http2.Framer) {
				fr.WriteSettings()
				readUntil(fr, http2.FrameHeaders)
				fr.WriteRSTStream(1, http2.ErrCodeRefusedStream)
				io.Copy(io.Discard, nc)
			},
			streamError(wire.RefusedStream, h2.Peer, true),
		},
		"PROTOCOL_ERROR": {
			func(nc net.Conn, fr *http2.Framer) {
				fr.WriteSettings()
				readUntil(fr, http2.FrameHeaders)
				fr.WriteRSTStream(1, http2.ErrCodeProtocol)
				io.Copy(io.Discard, nc)
			},
			streamError(wire.ProtocolError, h2.Peer, false),
		},
		"malformed response": {
			func(nc net.Conn, fr *http2.Framer) {
				fr.WriteSettings()
				readUntil(fr, http2.FrameHeaders)
				fr.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: statusBlock("2000"), EndHeaders: true})
				io.Copy(io.Discard, nc)
			},
			streamError(wire.ProtocolError, h2.Local, false),
		},
		"no HTTP/2": {
			func(nc net.Conn, fr *http2.Framer) {
				io.WriteString(nc, "HTTP/1.1 400 Bad Request\r\n\r\n")
				io.Copy(io.Discard, nc)
			},
			func(err error) bool {
				var e *ConnError
				return errors.As(err, &e) && e.GoAway && e.Initiator == h2.Local && e.Code != 0
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			withPeer(t, ClientOptions{}, c.peer, func(t *testing.T, cc *ClientConn) {
				resp, err := call(t, cc).Response(t.Context())
				if resp != nil || err == nil || !c.want(err) {
					t.Errorf("Response = %v, %#v", resp, err)
				}
			})
		})
	}
}

// GOAWAY after which the last stream ends closes the connection.
func TestServerDrains(t *testing.T) {
	withPeer(t, ClientOptions{}, func(nc net.Conn, fr *http2.Framer) {
		fr.WriteSettings()
		readUntil(fr, http2.FrameHeaders)
		fr.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: statusBlock("200"), EndHeaders: true})
		fr.WriteGoAway(1, http2.ErrCodeNo, nil)
		io.Copy(io.Discard, nc)
	}, func(t *testing.T, cc *ClientConn) {
		c := call(t, cc)
		if _, err := c.Response(t.Context()); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		if s := cc.State(); !s.Draining || s.Streams != 1 || s.Slots != 0 {
			t.Errorf("%+v", s)
		}
		c.Stream().Abort()
		<-cc.Done()
	})
}

func TestClientPing(t *testing.T) {
	inFakeTime(t, &Server{}, echoCallbacks(t), func(fx *fixture) {
		cc := fx.connect(ClientOptions{})
		if d, err := cc.Ping(fx.ctx); d != rtt || err != nil {
			t.Errorf("Ping = %v, %v", d, err)
		}
		ctx, cancel := context.WithTimeout(fx.ctx, rtt/2)
		defer cancel()
		if _, err := cc.Ping(ctx); err != context.DeadlineExceeded {
			t.Errorf("Ping = %v", err)
		}
		time.AfterFunc(rtt/4, func() { fx.srv.Close() })
		var ce *ConnError
		if _, err := cc.Ping(fx.ctx); !errors.As(err, &ce) {
			t.Errorf("Ping = %v", err)
		}
	})
}

func TestKeepalive(t *testing.T) {
	inFakeTime(t, &Server{}, echoCallbacks(t), func(fx *fixture) {
		cc := fx.connect(ClientOptions{Config: h2.Config{PingInterval: 30 * time.Second, PingTimeout: 15 * time.Second}})
		s := fx.open(cc, "/")
		time.Sleep(10 * time.Minute)
		s.Send([]byte("x"), nil)
		receiveAll(t, s, 1)
		fx.net.Cut(serverAddr)
		start := time.Now()
		_, err := s.Receive()
		var ce *ConnError
		if !errors.As(err, &ce) || ce.Initiator != h2.Local {
			t.Errorf("Receive = %#v", err)
		}
		if d := time.Since(start); d > 46*time.Second {
			t.Errorf("noticed after %v", d)
		}
	})
}

func TestClientShutdown(t *testing.T) {
	inFakeTime(t, &Server{}, echoCallbacks(t), func(fx *fixture) {
		cc := fx.connect(ClientOptions{})
		s := fx.open(cc, "/")
		start := time.Now()
		cc.Shutdown(time.Minute)
		if _, err := cc.OpenConnect(ConnectRequest{}); err == nil {
			t.Error("a stream after Shutdown")
		}
		s.Send([]byte("x"), nil)
		receiveAll(t, s, 1)
		s.Close(time.Second)
		<-cc.Done()
		if d := time.Since(start); d > time.Second {
			t.Errorf("ended after %v", d)
		}
		cc = fx.connect(ClientOptions{})
		s = fx.open(cc, "/")
		start = time.Now()
		cc.Shutdown(5 * time.Second)
		if _, err := s.Receive(); !errors.Is(err, net.ErrClosed) {
			t.Errorf("Receive = %v", err)
		}
		if d := time.Since(start); d != 5*time.Second {
			t.Errorf("ended after %v", d)
		}
		fx.connect(ClientOptions{}).Shutdown(time.Second) // not started
	})
}

// golang.org/x/net's server as an independent peer. Whether it knows Extended CONNECT depends on the environment at the
// start of the process.
func TestAgainstXNetServer(t *testing.T) {
	const enabled = "http2xconnect=1"
	if !strings.Contains(os.Getenv("GODEBUG"), enabled) {
		againstXNetServer(t, false)
		cmd := exec.Command(os.Args[0], "-test.run=^TestAgainstXNetServer$")
		cmd.Env = append(os.Environ(), "GODEBUG="+enabled)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("with %s: %v\n%s", enabled, err, out)
		}
		return
	}
	againstXNetServer(t, true)
}

func againstXNetServer(t *testing.T, enabled bool) {
	simnet.Run(t, rtt, func(t *testing.T, n *simnet.Network) {
		ln := n.Listen(serverAddr)
		h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Method != "CONNECT" || r.Header.Get(":protocol") != "websocket" {
				t.Errorf("%s %v", r.Method, r.Header)
			}
			if r.URL.Path == "/403" {
				http.Error(w, "no", 403)
				return
			}
			w.WriteHeader(200)
			http.NewResponseController(w).Flush()
			buf := make([]byte, 10_000)
			for {
				m, err := r.Body.Read(buf)
				if err != nil {
					return
				}
				w.Write(buf[:m])
				http.NewResponseController(w).Flush()
			}
		})
		go func() {
			nc, err := ln.Accept()
			if err == nil {
				new(http2.Server).ServeConn(nc, &http2.ServeConnOpts{Handler: h})
				nc.Close()
			}
		}()
		fx := &fixture{t: t, net: n, ctx: t.Context()}
		cc := fx.connect(ClientOptions{})
		if !enabled {
			var se *StreamError
			if _, err := call(t, cc).Response(fx.ctx); !errors.As(err, &se) || se.Code != wire.ProtocolError || cc.State().ConnectProtocol {
				t.Errorf("Response = %v", err)
			}
			return
		}
		s := fx.open(cc, "/")
		sent := pattern(500_000)
		go s.Send(sent[:1], sent[1:])
		if got := receiveAll(t, s, len(sent)); string(got) != string(sent) {
			t.Error("the echo differs")
		}
		s.Close(time.Second)
		c, _ := cc.OpenConnect(ConnectRequest{Scheme: "https", Authority: "example.com", Path: "/403"})
		resp, err := c.Response(fx.ctx)
		if err != nil {
			t.Fatal(err)
		}
		if body, err := io.ReadAll(resp.Body); resp.StatusCode != 403 || string(body) != "no\n" || err != nil {
			t.Errorf("%v %q %v", resp.Status, body, err)
		}
		if !cc.State().ConnectProtocol {
			t.Error("ConnectProtocol is off")
		}
	})
}

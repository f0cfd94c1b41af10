package h2net

//lint:file-ignore SA1019 x/net's own HTTP/2 is deprecated for users, and just right as an independent peer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/http2"

	"github.com/weftws/weft/internal/h2"
	"github.com/weftws/weft/internal/h2/wire"
	"github.com/weftws/weft/internal/simnet"
	"github.com/weftws/weft/internal/transport"
)

var chat = ConnectRequest{Scheme: "https", Authority: "example.com", Path: "/chat"}

// openFrame proposes a stream.
func openFrame(t *testing.T, cc *ClientConn) *Call {
	t.Helper()
	c, err := cc.OpenFrame(chat)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func isClosed(ch <-chan struct{}) bool {
	select {
	case <-ch:
		return true
	default:
		return false
	}
}

// A WebSocket by WS_OPEN costs one round trip from the first byte on, with SETTINGS that allow no Extended CONNECT.
func TestOpenFrame(t *testing.T) {
	inFakeTime(t, &Server{Config: h2.Config{WSFrame: true}}, echoCallbacks(t), func(fx *fixture) {
		cc := fx.connect(ClientOptions{})
		start := time.Now()
		c := openFrame(t, cc)
		resp, err := c.Response(fx.ctx)
		if err != nil || resp.StatusCode != 200 || time.Since(start) != rtt {
			t.Fatal(resp, err, time.Since(start))
		}
		if !isClosed(c.Accepted()) {
			t.Error("answered and not accepted")
		}
		s := c.Stream()
		s.Send([]byte("hello"), nil)
		if got := receiveAll(t, s, 5); string(got) != "hello" {
			t.Errorf("received %q", got)
		}
		// On the live connection, and beside an Extended CONNECT.
		start = time.Now()
		other := fx.open(cc, "/")
		c = openFrame(t, cc)
		if _, err := c.Response(fx.ctx); err != nil || time.Since(start) != 2*rtt {
			t.Error(err, time.Since(start))
		}
		for _, s := range []interface{ Close(time.Duration) }{s, other, c.Stream()} {
			s.Close(time.Second)
		}
		time.Sleep(time.Second)
		if st := cc.State(); st.Streams != 0 || st.Draining {
			t.Errorf("%+v", st)
		}
		req := chat
		req.Header = http.Header{"Cookie": {strings.Repeat("x", 20<<10)}}
		if _, err := cc.OpenFrame(req); err != h2.ErrFrameTooLarge {
			t.Errorf("a field of 20 KiB: %v", err)
		}
	})
}

// To a server that does not know WS_OPEN the proposal costs a round trip, and nothing else.
func TestOpenFrameUnsupported(t *testing.T) {
	inFakeTime(t, &Server{}, echoCallbacks(t), func(fx *fixture) {
		cc := fx.connect(ClientOptions{})
		start := time.Now()
		c := openFrame(t, cc)
		var se *StreamError
		if _, err := c.Response(fx.ctx); !errors.As(err, &se) || !se.Unsupported || se.Detail == "" || time.Since(start) != rtt {
			t.Fatal(err, time.Since(start))
		}
		if isClosed(c.Accepted()) {
			t.Error("accepted")
		}
		c.Cancel()
		if _, err := cc.OpenFrame(chat); err != h2.ErrFrameUnsupported {
			t.Error(err)
		}
		s := fx.open(cc, "/")
		s.Send([]byte("x"), nil)
		receiveAll(t, s, 1)
		s.Close(time.Second)
		time.Sleep(time.Second)
		if st := cc.State(); st.Streams != 0 || st.Draining {
			t.Errorf("%+v", st)
		}
	})
}

// A proposal that is given up waits for the server's word, without anybody's having to.
func TestOpenFrameCancel(t *testing.T) {
	for _, on := range []bool{true, false} {
		var handled sync.WaitGroup
		handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("Upgrade") != "" {
				defer handled.Done()
				<-r.Context().Done()
			}
		})
		inFakeTime(t, &Server{Config: h2.Config{WSFrame: on}}, handler, func(fx *fixture) {
			if on {
				handled.Add(1)
			}
			cc := fx.connect(ClientOptions{})
			c := openFrame(t, cc)
			c.Cancel()
			var se *StreamError
			if _, err := c.Response(fx.ctx); !errors.As(err, &se) || se.Initiator != h2.Local || se.Unsupported {
				t.Error(err)
			}
			if st := cc.State(); st.Streams != 0 || st.Slots != 99 {
				t.Errorf("on %v: %+v", on, st)
			}
			if err := cc.Settle(fx.ctx); err != nil {
				t.Error(err)
			}
			handled.Wait()
		})
	}
}

// Refusals, and the ends that the ladder tells apart.
func TestOpenFrameEnds(t *testing.T) {
	for name, c := range map[string]struct {
		peer func(nc net.Conn, fr *http2.Framer, open *http2.UnknownFrame)
		want func(error) bool
	}{
		"GOAWAY below": {
			func(nc net.Conn, fr *http2.Framer, _ *http2.UnknownFrame) { fr.WriteGoAway(0, http2.ErrCodeNo, nil) },
			func(err error) bool {
				var se *StreamError
				return errors.As(err, &se) && se.Unprocessed && !se.Unsupported
			},
		},
		"GOAWAY with an error": {
			func(nc net.Conn, fr *http2.Framer, _ *http2.UnknownFrame) {
				fr.WriteGoAway(1<<31-1, http2.ErrCodeProtocol, nil)
				nc.Close()
			},
			func(err error) bool {
				var ce *ConnError
				return errors.As(err, &ce) && ce.GoAway && ce.Code == wire.ProtocolError && ce.Initiator == h2.Peer
			},
		},
		"lost": {
			func(nc net.Conn, fr *http2.Framer, _ *http2.UnknownFrame) { nc.Close() },
			func(err error) bool {
				var ce *ConnError
				return errors.As(err, &ce) && !ce.GoAway && ce.Err != nil
			},
		},
		"HEADERS without WS_ACCEPT": {
			func(nc net.Conn, fr *http2.Framer, _ *http2.UnknownFrame) {
				fr.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: statusBlock("200"), EndHeaders: true})
			},
			func(err error) bool {
				var ce *ConnError
				return errors.As(err, &ce) && ce.Initiator == h2.Local && ce.Code == wire.ProtocolError
			},
		},
		"accepted and refused": {
			func(nc net.Conn, fr *http2.Framer, open *http2.UnknownFrame) {
				fr.WriteRawFrame(http2.FrameType(wire.WSAccept), 0, 0, open.Payload()[:13])
				fr.WriteRSTStream(1, http2.ErrCodeRefusedStream)
			},
			func(err error) bool {
				var se *StreamError
				return errors.As(err, &se) && se.Unprocessed && !se.Unsupported
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			withPeer(t, ClientOptions{}, func(nc net.Conn, fr *http2.Framer) {
				fr.WriteSettings()
				c.peer(nc, fr, readUntil(fr, http2.FrameType(wire.WSOpen)).(*http2.UnknownFrame))
				io.Copy(io.Discard, nc)
			}, func(t *testing.T, cc *ClientConn) {
				if resp, err := openFrame(t, cc).Response(t.Context()); resp != nil || !c.want(err) {
					t.Errorf("Response = %v, %#v", resp, err)
				}
			})
		})
	}
}

// The skipped identifier is legal: golang.org/x/net's server, which does not know WS_OPEN, goes on to serve requests.
func TestXNetServerSurvivesProposal(t *testing.T) {
	simnet.Run(t, rtt, func(t *testing.T, n *simnet.Network) {
		client, server := net.Pipe()
		go new(http2.Server).ServeConn(server, &http2.ServeConnOpts{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			io.WriteString(w, "still here")
		})})
		c := h2.New(time.Now(), h2.Config{Side: h2.Client})
		out := make(chan []byte, 100)
		defer close(out)
		go func() {
			for p := range out {
				client.Write(p)
			}
		}()
		var log []string
		var body []byte
		var opened int
		step := func() {
			for ev := c.NextEvent(); ev != nil; ev = c.NextEvent() {
				switch ev.Kind {
				case h2.EventFrameUnsupported:
					log = append(log, fmt.Sprintf("unsupported %d", ev.Stream.ID))
				case h2.EventHeaders:
					log = append(log, fmt.Sprintf("%d %d", ev.Stream.ID, ev.Pseudo.Status))
				case h2.EventData:
					body = append(body, ev.Data...)
				case h2.EventConnFailed, h2.EventGoAway, h2.EventReset:
					t.Fatal(ev.Kind, ev.Detail, ev.Code)
				}
				if ev.End {
					opened--
				}
			}
			out <- c.AppendOutput(nil, 1<<20)
		}
		get := h2.Pseudo{Method: "GET", Scheme: "https", Authority: "example.com", Path: "/"}
		connect := h2.Pseudo{Method: "CONNECT", Scheme: "https", Authority: "example.com", Path: "/", Protocol: "websocket"}
		if _, err := c.OpenFrame(time.Now(), connect, nil, [8]byte{1}); err != nil {
			t.Fatal(err)
		}
		for range 2 { // behind the proposal, and when it is decided
			if _, err := c.Open(time.Now(), get, nil, true); err != nil {
				t.Fatal(err)
			}
			opened++
			step()
			var in []byte
			for opened > 0 {
				p := make([]byte, 4096)
				m, err := client.Read(p)
				if err != nil {
					t.Fatal(err)
				}
				in = append(in, p[:m]...)
				took := c.Recv(time.Now(), in)
				step()
				in = in[took:]
			}
		}
		slices.Sort(log)
		if want := []string{"3 200", "5 200", "unsupported 1"}; !slices.Equal(log, want) || string(body) != "still herestill here" {
			t.Errorf("%q, want %q; %q", log, want, body)
		}
		client.Close()
		synctest.Wait()
	})
}

// A writes counts Writes.
type writes struct {
	net.Conn
	mu   sync.Mutex
	list [][]byte
}

func (w *writes) Write(p []byte) (int, error) {
	w.mu.Lock()
	w.list = append(w.list, slices.Clone(p))
	w.mu.Unlock()
	return w.Conn.Write(p)
}

// What is opened before Start leaves together with the preface and SETTINGS, in one Write.
func TestFirstFlightIsOneWrite(t *testing.T) {
	for name, open := range map[string]func(*ClientConn) (*Call, error){
		"SETTINGS WINDOW_UPDATE HEADERS":      func(cc *ClientConn) (*Call, error) { return cc.OpenConnect(chat) },
		"SETTINGS WINDOW_UPDATE WS_OPEN PING": func(cc *ClientConn) (*Call, error) { return cc.OpenFrame(chat) },
	} {
		inFakeTime(t, &Server{Config: h2.Config{WSFrame: true}}, echoCallbacks(t), func(fx *fixture) {
			w := &writes{Conn: fx.dial()}
			cc := NewClientConn(w, ClientOptions{})
			defer cc.Close()
			c, err := open(cc)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := c.Response(fx.ctx); err != nil {
				t.Fatal(err)
			}
			w.mu.Lock()
			defer w.mu.Unlock()
			b, ok := strings.CutPrefix(string(w.list[0]), wire.ClientPreface)
			var types []string
			for len(b) > 0 {
				h, _ := wire.ParseFrameHeader([]byte(b))
				types = append(types, h.Type.String())
				b = b[wire.HeaderLen+int(h.Length):]
			}
			if got := strings.Join(types, " "); !ok || got != name {
				t.Errorf("the first Write has %s, want %s", got, name)
			}
		})
	}
}

func TestSettle(t *testing.T) {
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		transport.AcceptorFrom(r.Context()).Accept(nil) // or the client has reset it
	})
	inFakeTime(t, &Server{}, handler, func(fx *fixture) {
		cc := fx.connect(ClientOptions{})
		c := call(t, cc)
		c.Cancel()
		start := time.Now()
		if err := cc.Settle(fx.ctx); err != nil || time.Since(start) != rtt {
			t.Error(err, time.Since(start))
		}
		ctx, cancel := context.WithTimeout(fx.ctx, rtt/2)
		defer cancel()
		if err := cc.Settle(ctx); err != context.DeadlineExceeded {
			t.Error(err)
		}
		fx.open(cc, "/").Abort()
	})
	for name, test := range map[string]struct {
		peer func(nc net.Conn, fr *http2.Framer)
		want func(*ConnError) bool
	}{
		"GOAWAY, and the connection stays": {
			func(nc net.Conn, fr *http2.Framer) {
				fr.WriteGoAway(1, http2.ErrCodeProtocol, []byte("what is that"))
				io.Copy(io.Discard, nc)
			},
			func(e *ConnError) bool { return e.GoAway && e.Code == wire.ProtocolError && e.Initiator == h2.Peer },
		},
		"GOAWAY before the ack": {
			func(nc net.Conn, fr *http2.Framer) {
				ping := readUntil(fr, http2.FramePing).(*http2.PingFrame)
				fr.WriteGoAway(1, http2.ErrCodeNo, nil)
				fr.WritePing(true, ping.Data)
				io.Copy(io.Discard, nc)
			},
			func(e *ConnError) bool { return e.GoAway && e.Code == wire.NoError && e.Initiator == h2.Peer },
		},
		"lost": {
			func(nc net.Conn, fr *http2.Framer) {},
			func(e *ConnError) bool { return !e.GoAway && e.Err != nil },
		},
		"EOF instead of the ack": {
			func(nc net.Conn, fr *http2.Framer) { readUntil(fr, http2.FramePing) },
			func(e *ConnError) bool { return !e.GoAway && errors.Is(e.Err, io.EOF) },
		},
	} {
		t.Run(name, func(t *testing.T) {
			withPeer(t, ClientOptions{}, func(nc net.Conn, fr *http2.Framer) {
				fr.WriteSettings()
				readUntil(fr, http2.FrameHeaders)
				test.peer(nc, fr)
			}, func(t *testing.T, cc *ClientConn) {
				call(t, cc).Cancel()
				start := time.Now()
				for range 2 { // the second time it is known
					var ce *ConnError
					if err := cc.Settle(t.Context()); !errors.As(err, &ce) || !test.want(ce) || time.Since(start) > 2*rtt {
						t.Errorf("Settle = %#v after %v", err, time.Since(start))
					}
				}
			})
		})
	}
}

// When Extended CONNECT is enabled follows from the ALPN protocol.
func TestConnectRules(t *testing.T) {
	rules := map[string]h2.ConnectRule{"wsoverh2": h2.Implied, "h2.1": h2.UnlessOff}
	for _, tt := range []struct {
		alpn            string
		off             bool
		usable, present bool
	}{
		{"h2", false, true, true},
		{"h2", true, false, false},
		{"h2.1", false, true, false},
		{"h2.1", true, false, true},
		{"wsoverh2", false, true, false},
		{"wsoverh2", true, true, false},
	} {
		simnet.Run(t, rtt, func(t *testing.T, n *simnet.Network) {
			srv := &Server{Config: h2.Config{ConnectProtocol: !tt.off}, ConnectRules: rules}
			ln := n.Listen(serverAddr)
			go func() {
				nc, err := ln.Accept()
				if err == nil {
					srv.ServeConn(nc, ConnOptions{Handler: echoCallbacks(t), ALPN: tt.alpn})
				}
			}()
			nc, err := n.Dial(serverAddr)
			if err != nil {
				t.Fatal(err)
			}
			cc := NewClientConn(nc, ClientOptions{Config: h2.Config{ConnectRule: rules[tt.alpn]}})
			if before := cc.State().ConnectProtocol; before != (tt.alpn == "wsoverh2") {
				t.Errorf("%+v: ConnectProtocol is %v before SETTINGS", tt, before)
			}
			_, err = call(t, cc).Response(t.Context())
			st := cc.State()
			if (err == nil) != tt.usable || st.ConnectProtocol != tt.usable || st.ConnectAtFirst != tt.usable || st.ConnectPresent != tt.present {
				t.Errorf("%+v: %v, %+v", tt, err, st)
			}
			cc.Close()
			<-cc.Done()
			srv.Close()
			synctest.Wait()
		})
	}
}

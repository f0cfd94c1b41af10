package h3

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"

	"github.com/weftws/weft/internal/simnet"
)

func connErr(t *testing.T, err error) *ConnError {
	t.Helper()
	var ce *ConnError
	if !errors.As(err, &ce) {
		t.Fatalf("error %v (%T), want a *ConnError", err, err)
	}
	return ce
}

func TestDialFails(t *testing.T) {
	for name, c := range map[string]struct {
		udp     simnet.UDP
		roots   *x509.CertPool
		timeout time.Duration
		want    ConnError // without texts
		is      error
	}{
		"UDP is swallowed": {udp: simnet.UDP{Block: true}, roots: testRoots, want: ConnError{Timeout: true}},
		"time is up":       {udp: simnet.UDP{Block: true}, roots: testRoots, timeout: time.Second, want: ConnError{Timeout: true, Local: true}, is: context.DeadlineExceeded},
		"untrusted":        {roots: x509.NewCertPool(), want: ConnError{Local: true, Heard: true, Code: 0x12a}},
	} {
		t.Run(name, func(t *testing.T) {
			inFakeTime(t, &Server{}, echoCallbacks(t), func(t *testing.T, fx *fixture) {
				fx.net.SetUDP(serverAddr, c.udp)
				ctx := fx.t.Context()
				if c.timeout > 0 {
					var cancel context.CancelFunc
					ctx, cancel = context.WithTimeout(ctx, c.timeout)
					defer cancel()
				}
				_, err := Dial(ctx, fx.net.ListenPacket(":0"), remote(), DialOptions{TLS: clientTLS(c.roots)})
				ce := connErr(t, err)
				if ce.Timeout != c.want.Timeout || ce.Local != c.want.Local || ce.Heard != c.want.Heard || ce.Code != c.want.Code || c.is != nil && !errors.Is(err, c.is) {
					t.Errorf("%+v", ce)
				}
				if _, untrusted := errors.AsType[x509.UnknownAuthorityError](err); untrusted != (name == "untrusted") {
					t.Errorf("%v is an x509.UnknownAuthorityError: %v", err, untrusted)
				}
				time.Sleep(time.Minute)
			})
		})
	}
}

// Over the kernel's UDP, which quic-go reads in batches.
func TestLoopback(t *testing.T) {
	socket := func() *net.UDPConn {
		pc, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
		if err != nil {
			t.Fatal(err)
		}
		return pc
	}
	pc := socket()
	srv := &Server{
		Handler: echoCallbacks(t), ConnectProtocol: true, TLSConfig: &tls.Config{Certificates: []tls.Certificate{testCert}},
	}
	served := make(chan error, 1)
	go func() { served <- srv.Serve(pc) }()
	cc, err := Dial(t.Context(), socket(), pc.LocalAddr(), DialOptions{TLS: clientTLS(testRoots)})
	if err != nil {
		t.Fatal(err)
	}
	if !cc.pc.heard() {
		t.Error("nothing heard")
	}
	<-cc.Settings()
	call, err := cc.OpenConnect(connectTo("/"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := call.Response(t.Context()); err != nil {
		t.Fatal(err)
	}
	big := bytes.Repeat([]byte("0123456789"), 100_000)
	go call.Stream().Send(big, nil)
	if got := receiveAll(t, call.Stream(), len(big)); !bytes.Equal(got, big) {
		t.Error("the echo differs")
	}
	cc.Close()
	srv.Close()
	<-served
}

func TestConnectionLost(t *testing.T) {
	inFakeTime(t, &Server{}, echoCallbacks(t), func(t *testing.T, fx *fixture) {
		closed := make(chan error, 1)
		cc := fx.connect(DialOptions{IdleTimeout: 20 * time.Second, Closed: func(_ *ClientConn, err error) { closed <- err }})
		errs := make(chan error, 2)
		blocked, handled := fx.open(cc, "/"), fx.open(cc, "/")
		go func() {
			_, err := blocked.Receive()
			errs <- err
		}()
		handled.Handle(func(p []byte, err error) { errs <- err })
		synctest.Wait()
		fx.net.SetUDP(serverAddr, simnet.UDP{Block: true})
		<-cc.Done()
		<-blocked.Done()
		for _, err := range []error{<-errs, <-errs, <-closed, cc.Err(), sendErr(blocked)} {
			if ce := connErr(t, err); !ce.Timeout || ce.Local || !ce.Heard || ce.Application {
				t.Errorf("%+v", ce)
			}
		}
		<-handled.Done()
		if _, err := cc.OpenConnect(connectTo("/")); !connErr(t, err).Timeout {
			t.Errorf("OpenConnect: %v", err)
		}
		if st := cc.State(); !st.Draining || st.Slots != 0 {
			t.Errorf("%+v", st)
		}
		time.Sleep(time.Minute)
	})
}

func TestCloseReachesEverybody(t *testing.T) {
	h, served := handing(t)
	_ = served
	inFakeTime(t, &Server{}, h, func(t *testing.T, fx *fixture) {
		cc := fx.connect(DialOptions{})
		s := fx.open(cc, "/")
		cc.Close()
		_, err := s.Receive()
		if ce := connErr(t, err); !ce.Local || !errors.Is(err, net.ErrClosed) || ce.Code != 0x100 {
			t.Errorf("%+v", ce)
		}
		<-s.Done()
	})
}

func TestPeerCloses(t *testing.T) {
	for name, c := range map[string]struct {
		code     http3.ErrCode
		fallback bool
	}{
		"version fallback": {http3.ErrCodeVersionFallback, true},
		"internal error":   {http3.ErrCodeInternalError, false},
	} {
		t.Run(name, func(t *testing.T) {
			inRaw(t, controlStream(connectOn()), func(c2 *rawConn) {
				c2.request()
				c2.q.CloseWithError(quic.ApplicationErrorCode(c.code), "go away")
			}, func(t *testing.T, fx *fixture, cc *ClientConn) {
				_, err := fx.call(cc, "/").Response(t.Context())
				ce := connErr(t, err)
				if ce.Local || !ce.Application || ce.Code != uint64(c.code) || ce.VersionFallback != c.fallback || !ce.Heard {
					t.Errorf("%+v", ce)
				}
				if want := c.code.String() + `, "go away"`; !strings.Contains(ce.Detail, want) {
					t.Errorf("%q, want %q in it", ce.Detail, want)
				}
			})
		})
	}
}

func TestNoConnectProtocol(t *testing.T) {
	for name, c := range map[string]struct {
		settings []byte
		present  bool
	}{
		"absent": {settingsOf(), false},
		"off":    {settingsOf(8, 0), true},
	} {
		t.Run(name, func(t *testing.T) {
			inRaw(t, controlStream(frameOf(frameSettings, string(c.settings))), func(*rawConn) {}, func(t *testing.T, fx *fixture, cc *ClientConn) {
				if st := cc.State(); !st.SettingsReceived || st.ConnectProtocol || st.ConnectAtFirst || st.ConnectPresent != c.present {
					t.Errorf("%+v", st)
				}
				if _, err := cc.OpenConnect(connectTo("/")); err != ErrNoConnect {
					t.Errorf("OpenConnect: %v", err)
				}
			})
		})
	}
}

// A CONNECT does not leave before SETTINGS.
func TestConnectBeforeSettings(t *testing.T) {
	inNetwork(t, func(t *testing.T, fx *fixture) {
		fx.rawServe(nil).serve(nil, func(c *rawConn) {
			time.Sleep(time.Second)
			s, _ := c.q.OpenUniStream()
			s.Write(controlStream(connectOn()))
		})
		cc := fx.dial(DialOptions{})
		if _, err := cc.OpenConnect(connectTo("/")); err != ErrNoConnect {
			t.Errorf("OpenConnect: %v", err)
		}
		<-cc.Settings()
		fx.call(cc, "/")
		cc.Close()
		time.Sleep(time.Second)
	})
}

func TestRequestTooLarge(t *testing.T) {
	inRaw(t, controlStream(frameOf(frameSettings, string(settingsOf(8, 1, 6, 300)))), func(*rawConn) {}, func(t *testing.T, fx *fixture, cc *ClientConn) {
		req := connectTo("/" + strings.Repeat("x", 100))
		if _, err := cc.OpenConnect(req); err == nil || !strings.Contains(err.Error(), "300") {
			t.Errorf("OpenConnect: %v", err)
		}
	})
}

func TestStreamLimit(t *testing.T) {
	idle := 0
	inFakeTime(t, &Server{MaxStreams: 2}, echoCallbacks(t), func(t *testing.T, fx *fixture) {
		cc := fx.connect(DialOptions{Idle: func(*ClientConn) { idle++ }})
		if n := cc.State().Slots; n < 1 {
			t.Fatalf("%d slots", n)
		}
		a, b := fx.open(cc, "/"), fx.open(cc, "/")
		if st := cc.State(); st.Slots != 0 || st.Streams != 2 || st.Draining {
			t.Errorf("%+v", st)
		}
		if _, err := cc.OpenConnect(connectTo("/")); err != ErrNoSlot {
			t.Errorf("OpenConnect: %v", err)
		}
		a.Close(time.Second)
		<-a.Done()
		time.Sleep(time.Second)
		if st := cc.State(); st.Slots == 0 || idle != 0 {
			t.Errorf("%+v, idle %d times", st, idle)
		}
		c := fx.open(cc, "/")
		b.Abort()
		c.Abort()
		if st := cc.State(); idle != 1 || st.Streams != 0 {
			t.Errorf("%+v, idle %d times", st, idle)
		}
	})
}

func TestCancel(t *testing.T) {
	gone := make(chan struct{}, 1)
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		<-r.Context().Done()
		gone <- struct{}{}
	})
	inFakeTime(t, &Server{}, handler, func(t *testing.T, fx *fixture) {
		cc := fx.connect(DialOptions{})
		call := fx.call(cc, "/")
		ctx, cancel := within(time.Second)
		if _, err := call.Response(ctx); err != context.DeadlineExceeded {
			t.Errorf("Response: %v", err)
		}
		cancel()
		call.Cancel()
		_, err := call.Response(t.Context())
		wantStreamError(t, err, true, 0x10c)
		time.Sleep(time.Second)
		if len(gone) != 1 || cc.State().Streams != 0 {
			t.Errorf("handlers ended: %d, streams: %d", len(gone), cc.State().Streams)
		}
	})
}

func TestRefused(t *testing.T) {
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Www-Authenticate", "Basic")
		http.Error(w, strings.Repeat("no ", 5000), http.StatusUnauthorized)
	})
	inFakeTime(t, &Server{}, handler, func(t *testing.T, fx *fixture) {
		cc := fx.connect(DialOptions{})
		call := fx.call(cc, "/")
		resp := fx.want(call, 401)
		if resp.Proto != "HTTP/3.0" || resp.ProtoMajor != 3 || resp.Header.Get("WWW-Authenticate") != "Basic" || resp.TLS == nil || call.Stream() != nil {
			t.Errorf("%+v", resp)
		}
		body, err := io.ReadAll(resp.Body)
		if len(body) != 15001 || err != nil {
			t.Errorf("%d bytes, %v", len(body), err)
		}
		resp.Body.Close()
		time.Sleep(time.Second)
		if n := cc.State().Streams; n != 0 {
			t.Errorf("%d streams", n)
		}
		resp = fx.want(fx.call(cc, "/"), 401)
		resp.Body.Close()
		if n := cc.State().Streams; n != 0 {
			t.Errorf("%d streams", n)
		}
	})
}

func TestRequestReset(t *testing.T) {
	for code, unprocessed := range map[http3.ErrCode]bool{http3.ErrCodeRequestRejected: true, http3.ErrCodeInternalError: false} {
		inRaw(t, controlStream(connectOn()), func(c *rawConn) {
			s := c.request()
			s.CancelRead(quic.StreamErrorCode(code))
			s.CancelWrite(quic.StreamErrorCode(code))
		}, func(t *testing.T, fx *fixture, cc *ClientConn) {
			_, err := fx.call(cc, "/").Response(t.Context())
			wantStreamError(t, err, false, uint64(code))
			if se, ok := errors.AsType[*StreamError](err); ok && se.Unprocessed != unprocessed {
				t.Errorf("%+v", se)
			}
		})
	}
}

// A GOAWAY refuses what it does not cover, and lets the rest end.
func TestGoAway(t *testing.T) {
	inRaw(t, controlStream(connectOn()), func(c *rawConn) {
		first := c.request()
		first.Write(headersOf(":status", "200"))
		c.request()
		c.control.Write(frameOf(frameGoAway, "\x04"))
		discard(first)
		first.Close()
	}, func(t *testing.T, fx *fixture, cc *ClientConn) {
		s := fx.open(cc, "/")
		_, err := fx.call(cc, "/").Response(t.Context())
		se, ok := errors.AsType[*StreamError](err)
		if !ok || !se.Unprocessed || se.Local || se.StreamID != 4 {
			t.Errorf("%+v, %v", se, err)
		}
		if st := cc.State(); !st.Draining || st.Slots != 0 || st.Streams != 1 {
			t.Errorf("%+v", st)
		}
		if _, err := cc.OpenConnect(connectTo("/")); err != ErrNoSlot {
			t.Errorf("OpenConnect: %v", err)
		}
		if cc.Err() != nil {
			t.Error(cc.Err())
		}
		s.Close(time.Second)
		<-cc.Done()
		if ce := connErr(t, cc.Err()); !ce.Local || ce.Code != 0x100 {
			t.Errorf("%+v", ce)
		}
	})
}

func TestClientShutdown(t *testing.T) {
	inFakeTime(t, &Server{}, echoCallbacks(t), func(t *testing.T, fx *fixture) {
		cc := fx.connect(DialOptions{})
		s := fx.open(cc, "/")
		cc.Shutdown(time.Minute)
		if _, err := cc.OpenConnect(connectTo("/")); err != ErrNoSlot {
			t.Errorf("OpenConnect: %v", err)
		}
		send(t, s, "hi")
		receiveAll(t, s, 2)
		s.Close(time.Second)
		start := time.Now()
		<-cc.Done()
		if d := time.Since(start); d > 2*rtt {
			t.Errorf("ended after %v", d)
		}

		cc = fx.connect(DialOptions{})
		fx.open(cc, "/")
		start = time.Now()
		cc.Shutdown(10 * time.Second)
		<-cc.Done()
		if d := time.Since(start); d != 10*time.Second {
			t.Errorf("ended after %v", d)
		}

		cc = fx.connect(DialOptions{})
		cc.Shutdown(time.Minute)
		<-cc.Done()
	})
}

func TestKeepAlive(t *testing.T) {
	inFakeTime(t, &Server{}, echoCallbacks(t), func(t *testing.T, fx *fixture) {
		kept, idle := fx.connect(DialOptions{KeepAlive: 10 * time.Second}), fx.connect(DialOptions{})
		s := fx.open(kept, "/")
		time.Sleep(10 * time.Minute)
		send(t, s, "hi")
		receiveAll(t, s, 2)
		if idle.Err() == nil || !connErr(t, idle.Err()).Timeout {
			t.Errorf("the idle connection: %v", idle.Err())
		}
		if kept.RTT() != rtt {
			t.Errorf("RTT() = %v", kept.RTT())
		}
	})
}

// Early data for a server that takes back what it allowed costs the connection.
func TestSettingsReduced(t *testing.T) {
	inNetwork(t, func(t *testing.T, fx *fixture) {
		raw := fx.rawServe(&quic.Config{Allow0RTT: true})
		raw.serve(controlStream(connectOn()), func(*rawConn) {})
		fx.remember()
		raw.serve(controlStream(frameOf(frameSettings, "")), func(*rawConn) {})
		cc := fx.dial(DialOptions{Early: true})
		call := fx.call(cc, "/")
		_, err := call.Response(t.Context())
		if ce := connErr(t, err); !ce.Local || ce.Code != uint64(http3.ErrCodeSettingsError) {
			t.Errorf("%+v", ce)
		}
		time.Sleep(time.Second)
	})
}

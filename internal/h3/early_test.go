package h3

import (
	"crypto/tls"
	"errors"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/weftws/weft/internal/simnet"
	"github.com/weftws/weft/internal/transport"
)

func TestRoundTripsFreshAndLive(t *testing.T) {
	inFakeTime(t, &Server{}, echoCallbacks(t), func(t *testing.T, fx *fixture) {
		start := time.Now()
		cc := fx.dial(DialOptions{})
		<-cc.Settings()
		fx.wantRoundTrips(start, 1)
		fx.open(cc, "/")
		fx.wantRoundTrips(start, 2)

		start = time.Now()
		s := fx.open(cc, "/")
		fx.wantRoundTrips(start, 1)
		send(t, s, "hi")
		receiveAll(t, s, 2)
		fx.wantRoundTrips(start, 2)
	})
}

// remember makes the fixture's sessions know the server.
func (fx *fixture) remember() {
	fx.t.Helper()
	if fx.sessions.Early("key", time.Now()) {
		fx.t.Fatal("early data without a ticket")
	}
	cc := fx.connect(DialOptions{})
	time.Sleep(time.Second)
	cc.Close()
	if !fx.sessions.Early("key", time.Now()) {
		fx.t.Fatal("no early data with a ticket")
	}
	if fx.sessions.Early("other", time.Now()) || fx.sessions.Early("key", time.Now().Add(7*24*time.Hour)) {
		fx.t.Fatal("early data for another key, or after a week")
	}
}

// A ticket is a week old by either clock: the wall clock may be set, and the machine may sleep.
func TestEarlyWhenTheClockIsSet(t *testing.T) {
	const week = 7 * 24 * time.Hour
	for _, jump := range []time.Duration{-87600 * time.Hour, -time.Hour, time.Hour, week - 1, week, 87600 * time.Hour} {
		s := &Sessions{}
		c := &connSessions{all: s, key: "key"}
		c.received(settings{connect: true})
		c.Put("", &tls.ClientSessionState{})
		e := s.find("key")
		e.early = true
		for _, after := range []time.Duration{0, week - time.Minute, week} {
			now := simnet.SetWall(e.since.Add(after), jump)
			if got, want := s.Early("key", now), max(after, after+jump) < week; got != want {
				t.Errorf("%v after a jump of %v: %v, want %v", after, jump, got, want)
			}
		}
	}
}

func TestRoundTripsEarly(t *testing.T) {
	var early chan bool
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		early <- transport.InEarlyData(r.Context())
		echoCallbacks(t).ServeHTTP(w, r)
	})
	inFakeTime(t, &Server{}, handler, func(t *testing.T, fx *fixture) {
		early = make(chan bool, 2)
		fx.remember()
		start := time.Now()
		cc := fx.dial(DialOptions{Early: true})
		fx.wantRoundTrips(start, 0)
		st := cc.State()
		if !cc.Early() || st.SettingsReceived || !st.ConnectProtocol || st.Slots == 0 {
			t.Errorf("Early() = %v, state = %+v", cc.Early(), st)
		}
		call := fx.call(cc, "/")
		fx.want(call, 200)
		fx.wantRoundTrips(start, 1)
		if !call.Early() || !<-early {
			t.Error("the request did not go in early data, or the server does not know")
		}
		<-cc.HandshakeComplete()
		call = fx.call(cc, "/")
		fx.want(call, 200)
		if call.Early() {
			t.Error("a request after the handshake calls itself early")
		}
		if <-early {
			t.Error("the server takes a request after the handshake for an early one")
		}
		if cc.EarlyRejected() || !cc.State().SettingsReceived {
			t.Errorf("EarlyRejected() = %v, state = %+v", cc.EarlyRejected(), cc.State())
		}
	})
}

// Without Early, or without anything remembered, Dial waits for the handshake.
func TestEarlyNeedsBoth(t *testing.T) {
	inFakeTime(t, &Server{}, echoCallbacks(t), func(t *testing.T, fx *fixture) {
		start := time.Now()
		if cc := fx.dial(DialOptions{Early: true}); cc.Early() {
			t.Error("early data without a ticket")
		}
		fx.wantRoundTrips(start, 1)
		time.Sleep(time.Second)
		start = time.Now()
		if cc := fx.dial(DialOptions{}); cc.Early() {
			t.Error("early data that nobody asked for")
		}
		fx.wantRoundTrips(start, 1)
	})
}

func TestTooEarly(t *testing.T) {
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if transport.InEarlyData(r.Context()) {
			http.Error(w, "too early", http.StatusTooEarly)
			return
		}
		echoCallbacks(t).ServeHTTP(w, r)
	})
	inFakeTime(t, &Server{}, handler, func(t *testing.T, fx *fixture) {
		fx.remember()
		start := time.Now()
		cc := fx.dial(DialOptions{Early: true})
		fx.want(fx.call(cc, "/"), 425)
		fx.wantRoundTrips(start, 1)
		<-cc.HandshakeComplete()
		fx.open(cc, "/")
		fx.wantRoundTrips(start, 2)
	})
}

func TestEarlyRejected(t *testing.T) {
	inFakeTime(t, &Server{}, echoCallbacks(t), func(t *testing.T, fx *fixture) {
		fx.remember()
		// The server comes back with other ticket keys.
		fx.srv.Close()
		<-fx.served
		fx.serve(&Server{Handler: echoCallbacks(t), ConnectProtocol: true})

		start := time.Now()
		cc := fx.dial(DialOptions{Early: true})
		if !cc.Early() {
			t.Fatal("no early data")
		}
		call := fx.call(cc, "/")
		_, err := call.Response(t.Context())
		var se *StreamError
		if !errors.As(err, &se) || !se.EarlyRejected || !se.Unprocessed {
			t.Fatalf("response: %v", err)
		}
		fx.wantRoundTrips(start, 1)
		<-cc.Settings()
		fx.wantRoundTrips(start, 1)
		if !cc.EarlyRejected() || !cc.Early() {
			t.Errorf("EarlyRejected() = %v, Early() = %v", cc.EarlyRejected(), cc.Early())
		}
		s := fx.open(cc, "/")
		fx.wantRoundTrips(start, 2)
		send(t, s, "hi")
		receiveAll(t, s, 2)
		synctest.Wait()
		if st := cc.State(); st.Streams != 1 {
			t.Errorf("%d streams, want 1", st.Streams)
		}
	})
}

// A server that comes back with its ticket keys takes early data only where its SETTINGS are what they were.
func TestEarlyNeedsSameSettings(t *testing.T) {
	for name, c := range map[string]struct {
		connect  bool
		max      int
		rejected bool
	}{
		"the same":              {connect: true},
		"no CONNECT any more":   {rejected: true},
		"smaller headers":       {connect: true, max: 1000, rejected: true},
		"the default, in words": {connect: true, max: http.DefaultMaxHeaderBytes},
	} {
		t.Run(name, func(t *testing.T) {
			conf := &tls.Config{Certificates: []tls.Certificate{testCert}}
			conf.SetSessionTicketKeys([][32]byte{{1}})
			inFakeTime(t, &Server{TLSConfig: conf}, echoCallbacks(t), func(t *testing.T, fx *fixture) {
				fx.remember()
				fx.srv.Close()
				<-fx.served
				fx.serve(&Server{Handler: echoCallbacks(t), TLSConfig: conf, ConnectProtocol: c.connect, MaxHeaderBytes: c.max})
				cc := fx.dial(DialOptions{Early: true})
				if !cc.Early() {
					t.Fatal("no early data")
				}
				<-cc.Settings()
				if cc.EarlyRejected() != c.rejected {
					t.Errorf("rejected: %v, %v", cc.EarlyRejected(), cc.Err())
				}
			})
		})
	}
}

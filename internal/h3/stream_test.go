package h3

import (
	"bytes"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"

	"github.com/weftws/weft/internal/transport"
)

// pair returns both ends of a stream.
func (fx *fixture) pair(cc *ClientConn, served <-chan transport.Stream) (client, server transport.Stream) {
	fx.t.Helper()
	return fx.open(cc, "/"), <-served
}

// inPair runs f with both ends of a stream on a connection of its own.
func inPair(t *testing.T, srv *Server, opt DialOptions, f func(t *testing.T, fx *fixture, cc *ClientConn, client, server transport.Stream)) {
	t.Helper()
	inNetwork(t, func(t *testing.T, fx *fixture) {
		h, served := handing(t)
		srv.Handler, srv.ConnectProtocol = h, true
		fx.serve(srv)
		cc := fx.connect(opt)
		client, server := fx.pair(cc, served)
		f(t, fx, cc, client, server)
		cc.Close()
		srv.Close()
		<-fx.served
	})
}

func TestEchoMany(t *testing.T) {
	for name, h := range map[string]func(testing.TB) http.Handler{"callbacks": echoCallbacks, "blocking": echoBlocking} {
		t.Run(name, func(t *testing.T) {
			inFakeTime(t, &Server{}, h(t), func(t *testing.T, fx *fixture) {
				cc := fx.connect(DialOptions{})
				const streams, messages = 20, 200
				done := make(chan []byte, streams)
				message := func(i, j int) string {
					return strings.Repeat(string(rune('a'+i)), 1+(i*j)%700)
				}
				for i := range streams {
					s := fx.open(cc, "/")
					want := 0
					for j := range messages {
						want += len(message(i, j))
					}
					go func() {
						for j := range messages {
							s.Send([]byte(message(i, j)), nil)
						}
					}()
					go func() {
						got := receiveAll(t, s, want)
						if n := bytes.Count(got, []byte{byte('a' + i)}); n != want {
							t.Errorf("stream %d: %d bytes are its own, want %d", i, n, want)
						}
						s.Close(time.Second)
						done <- got
					}()
				}
				for range streams {
					<-done
				}
			})
		})
	}
}

// What a callback sends leaves in one DATA frame.
func TestOneFrameForABatch(t *testing.T) {
	inPair(t, &Server{}, DialOptions{}, func(t *testing.T, fx *fixture, cc *ClientConn, client, server transport.Stream) {
		server.Handle(func(p []byte, err error) {
			for range p {
				server.Send([]byte("xyz"), nil)
			}
		})
		q := client.(*stream).q
		send(t, client, "0123456789")
		want := append(appendData(nil, 30), strings.Repeat("xyz", 10)...)
		got := make([]byte, len(want))
		if _, err := io.ReadFull(q, got); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%q, %v, want one frame: %q", got, err, want)
		}
	})
}

func TestLargeMessage(t *testing.T) {
	inFakeTime(t, &Server{}, echoBlocking(t), func(t *testing.T, fx *fixture) {
		s := fx.open(fx.connect(DialOptions{}), "/")
		big := make([]byte, 3<<20)
		for i := range big {
			big[i] = byte(i * 31 >> 8)
		}
		go func() {
			if n, err := s.Send([]byte("head"), big); n != len(big)+4 || err != nil {
				t.Errorf("Send = %d, %v", n, err)
			}
		}()
		got := receiveAll(t, s, len(big)+4)
		if string(got[:4]) != "head" || !bytes.Equal(got[4:], big) {
			t.Error("the echo differs")
		}
	})
}

func TestBackpressure(t *testing.T) {
	inPair(t, &Server{}, DialOptions{}, func(t *testing.T, fx *fixture, cc *ClientConn, client, server transport.Stream) {
		piece := make([]byte, 16<<10)
		sent := 0
		blocked := make(chan struct{})
		go func() {
			defer close(blocked)
			for range 1000 {
				n, err := client.Send(piece, nil)
				sent += n
				if err != nil {
					t.Errorf("Send: %v", err)
				}
			}
		}()
		time.Sleep(10 * time.Second)
		select {
		case <-blocked:
			t.Fatal("16 MB were taken, and nobody reads")
		default:
		}
		// A full queue has room for a control frame.
		if !client.TrySend(make([]byte, 125)) {
			t.Error("TrySend has no room")
		}
		if client.TrySend(make([]byte, 16<<10)) {
			t.Error("TrySend has room for 16 KiB")
		}
		receiveAll(t, server, 1000*len(piece)+125)
		<-blocked
		if sent != 1000*len(piece) {
			t.Errorf("sent %d bytes", sent)
		}
	})
}

func TestWriteDeadline(t *testing.T) {
	inPair(t, &Server{}, DialOptions{WriteTimeout: time.Hour, KeepAlive: 10 * time.Second}, func(t *testing.T, fx *fixture, cc *ClientConn, client, server transport.Stream) {
		piece := make([]byte, 16<<10)
		client.SetWriteDeadline(time.Now().Add(time.Minute))
		start := time.Now()
		var err error
		total := 0
		for err == nil {
			var n int
			n, err = client.Send(piece, nil)
			total += n
		}
		if err != os.ErrDeadlineExceeded || time.Since(start) != time.Minute {
			t.Fatalf("%v after %v", err, time.Since(start))
		}
		// The stream is as before.
		client.SetWriteDeadline(time.Time{})
		go client.Send([]byte("end"), nil)
		got := receiveAll(t, server, total+3)
		if string(got[total:]) != "end" {
			t.Errorf("the last bytes are %q", got[total:])
		}
		// A deadline that is set while Send waits ends it too.
		client.SetWriteDeadline(time.Time{})
		go func() {
			time.Sleep(time.Minute)
			client.SetWriteDeadline(time.Now())
		}()
		start = time.Now()
		for err = nil; err == nil; {
			_, err = client.Send(piece, nil)
		}
		if err != os.ErrDeadlineExceeded || time.Since(start) != time.Minute {
			t.Fatalf("%v after %v", err, time.Since(start))
		}
	})
}

// A unit that is larger than the queue is cut by a deadline, and says so.
func TestWriteDeadlineCutsUnit(t *testing.T) {
	inPair(t, &Server{}, DialOptions{WriteTimeout: time.Hour, KeepAlive: 10 * time.Second}, func(t *testing.T, fx *fixture, cc *ClientConn, client, server transport.Stream) {
		client.SetWriteDeadline(time.Now().Add(time.Minute))
		n, err := client.Send(make([]byte, 32<<20), nil)
		if n == 0 || n == 32<<20 || err != os.ErrDeadlineExceeded {
			t.Errorf("Send = %d, %v", n, err)
		}
	})
}

// A peer that accepts nothing for WriteTimeout loses the stream, not the connection.
func TestWriteTimeout(t *testing.T) {
	inPair(t, &Server{}, DialOptions{WriteTimeout: 20 * time.Second, KeepAlive: 10 * time.Second}, func(t *testing.T, fx *fixture, cc *ClientConn, client, server transport.Stream) {
		start := time.Now()
		var err error
		for err == nil {
			_, err = client.Send(make([]byte, 16<<10), nil)
		}
		took := time.Since(start)
		if !errors.Is(err, transport.ErrStalled) || !strings.Contains(err.Error(), "accepted nothing for 20s") || took < 10*time.Second || took > 21*time.Second {
			t.Errorf("%v after %v", err, took)
		}
		<-client.Done()
		if cc.Err() != nil {
			t.Errorf("the connection has ended: %v", cc.Err())
		}
	})
}

// When a connection ends, a stream is given up as soon as its sending side says so. A reader that hears of that first hears why.
func TestReaderHearsWhyItEnded(t *testing.T) {
	inFakeTime(t, &Server{}, echoCallbacks(t), func(t *testing.T, fx *fixture) {
		s := fx.open(fx.connect(DialOptions{}), "/").(*stream)
		s.out.Lock()
		s.failed = &ConnError{Timeout: true, Detail: "the reason"}
		s.out.Unlock()
		s.q.CancelRead(quic.StreamErrorCode(http3.ErrCodeNoError))
		if _, err := s.Receive(); err != s.failed {
			t.Errorf("Receive: %v", err)
		}
		s.hangUp()
	})
}

func TestReadDeadline(t *testing.T) {
	inPair(t, &Server{}, DialOptions{}, func(t *testing.T, fx *fixture, cc *ClientConn, client, server transport.Stream) {
		start := time.Now()
		client.SetReadDeadline(start.Add(time.Second))
		if p, err := client.Receive(); err != os.ErrDeadlineExceeded || time.Since(start) != time.Second {
			t.Errorf("Receive = %q, %v after %v", p, err, time.Since(start))
		}
		client.SetReadDeadline(time.Time{})
		send(t, server, "late")
		if p, err := client.Receive(); string(p) != "late" || err != nil {
			t.Errorf("Receive = %q, %v", p, err)
		}
		go func() {
			time.Sleep(time.Second)
			client.SetReadDeadline(time.Now())
		}()
		if _, err := client.Receive(); err != os.ErrDeadlineExceeded {
			t.Errorf("Receive: %v", err)
		}
	})
}

// One side ends, the other goes on.
func TestHalfClose(t *testing.T) {
	inPair(t, &Server{}, DialOptions{}, func(t *testing.T, fx *fixture, cc *ClientConn, client, server transport.Stream) {
		send(t, client, "bye")
		client.Close(time.Minute)
		if _, err := client.Receive(); err != net.ErrClosed {
			t.Errorf("Receive after Close: %v", err)
		}
		if _, err := client.Send([]byte("x"), nil); err != net.ErrClosed {
			t.Errorf("Send after Close: %v", err)
		}
		receiveAll(t, server, 3)
		if _, err := server.Receive(); err != io.EOF {
			t.Errorf("Receive: %v, want EOF", err)
		}
		time.Sleep(10 * time.Second)
		send(t, server, "one more thing") // is discarded
		select {
		case <-client.Done():
			t.Error("done before the peer has ended its side")
		default:
		}
		start := time.Now()
		server.Close(time.Minute)
		<-server.Done()
		if time.Since(start) != 0 {
			t.Errorf("the server's end was done after %v", time.Since(start))
		}
		<-client.Done()
		if d := time.Since(start); d != rtt/2 {
			t.Errorf("the client's end was done after %v", d)
		}
		if st := cc.State(); st.Streams != 0 || cc.Err() != nil {
			t.Errorf("%d streams, %v", st.Streams, cc.Err())
		}
	})
}

// What is queued leaves before FIN, however much that is.
func TestCloseFlushes(t *testing.T) {
	inPair(t, &Server{}, DialOptions{}, func(t *testing.T, fx *fixture, cc *ClientConn, client, server transport.Stream) {
		for range 60 {
			send(t, client, strings.Repeat("x", 1<<10))
		}
		client.Close(time.Minute)
		receiveAll(t, server, 60<<10)
		if _, err := server.Receive(); err != io.EOF {
			t.Errorf("Receive: %v, want EOF", err)
		}
	})
}

func TestCloseLinger(t *testing.T) {
	inPair(t, &Server{}, DialOptions{}, func(t *testing.T, fx *fixture, cc *ClientConn, client, server transport.Stream) {
		start := time.Now()
		client.Close(5 * time.Second)
		<-client.Done()
		if time.Since(start) != 5*time.Second {
			t.Errorf("done after %v", time.Since(start))
		}
		if _, err := server.Receive(); err != io.EOF {
			t.Errorf("Receive: %v", err)
		}
		time.Sleep(rtt)
		wantStreamError(t, sendErr(server), false, 0x10c)
	})
}

func sendErr(s transport.Stream) error {
	_, err := s.Send([]byte("x"), nil)
	return err
}

func wantStreamError(t *testing.T, err error, local bool, code uint64) {
	t.Helper()
	var se *StreamError
	if !errors.As(err, &se) || se.Local != local || se.Code != code {
		t.Errorf("error %v, want a stream error %#x, local %v", err, code, local)
	}
}

func TestCloseInterrupts(t *testing.T) {
	inPair(t, &Server{}, DialOptions{}, func(t *testing.T, fx *fixture, cc *ClientConn, client, server transport.Stream) {
		errs := make(chan error, 2)
		go func() {
			_, err := client.Receive()
			errs <- err
		}()
		server.Handle(func(p []byte, err error) {
			if err != nil {
				errs <- err
			}
		})
		synctest.Wait()
		start := time.Now()
		client.Close(time.Minute)
		if err := <-errs; err != net.ErrClosed || time.Since(start) != 0 {
			t.Errorf("Receive: %v after %v", err, time.Since(start))
		}
		if err := <-errs; err != io.EOF {
			t.Errorf("recv: %v", err)
		}
		server.Close(time.Minute)
		<-server.Done()
		<-client.Done()
	})
	inPair(t, &Server{}, DialOptions{}, func(t *testing.T, fx *fixture, cc *ClientConn, client, server transport.Stream) {
		errs := make(chan error, 2)
		client.Handle(func(p []byte, err error) { errs <- err })
		synctest.Wait()
		client.Close(time.Minute)
		if err := <-errs; err != net.ErrClosed {
			t.Errorf("recv: %v", err)
		}
		synctest.Wait()
		if len(errs) > 0 {
			t.Error("recv was called after its last call")
		}
	})
}

// Abort resets both directions with H3_REQUEST_CANCELLED, and the peer is told so whatever it does.
func TestAbort(t *testing.T) {
	inPair(t, &Server{}, DialOptions{}, func(t *testing.T, fx *fixture, cc *ClientConn, client, server transport.Stream) {
		client.Abort()
		select {
		case <-client.Done():
		default:
			t.Error("not done at once")
		}
		if _, err := client.Receive(); err != net.ErrClosed {
			t.Errorf("Receive: %v", err)
		}
		_, err := server.Receive()
		wantStreamError(t, err, false, 0x10c)
		wantStreamError(t, sendErr(server), false, 0x10c)
		<-server.Done()
		if n := cc.State().Streams; n != 0 {
			t.Errorf("%d streams", n)
		}
	})
	inPair(t, &Server{}, DialOptions{}, func(t *testing.T, fx *fixture, cc *ClientConn, client, server transport.Stream) {
		errs := make(chan error, 1)
		client.Handle(func(p []byte, err error) { errs <- err })
		server.Abort()
		wantStreamError(t, <-errs, false, 0x10c)
		<-client.Done()
		client.Close(time.Second)
	})
}

// What arrives while a recv is stuck waits, and other streams go on.
func TestStuckCallback(t *testing.T) {
	inFakeTime(t, &Server{}, echoCallbacks(t), func(t *testing.T, fx *fixture) {
		cc := fx.connect(DialOptions{})
		stuck, other := fx.open(cc, "/"), fx.open(cc, "/")
		release := make(chan struct{})
		got := make(chan string, 100)
		stuck.Handle(func(p []byte, err error) {
			got <- string(p)
			<-release
		})
		send(t, stuck, "a")
		if p := <-got; p != "a" {
			t.Fatalf("got %q", p)
		}
		send(t, stuck, "b")
		send(t, other, "c")
		receiveAll(t, other, 1)
		close(release)
		if p := <-got; p != "b" {
			t.Errorf("got %q", p)
		}
	})
}

// A recv that stays in its batch holds back for a millisecond only what it and others have sent.
func TestLongBatch(t *testing.T) {
	inPair(t, &Server{}, DialOptions{}, func(t *testing.T, fx *fixture, cc *ClientConn, client, server transport.Stream) {
		server.Handle(func(p []byte, err error) {
			if err == nil {
				server.Send([]byte("early"), nil)
				time.Sleep(time.Second)
			}
		})
		start := time.Now()
		send(t, client, "x")
		receiveAll(t, client, 5)
		if d := time.Since(start); d > rtt+2*time.Millisecond {
			t.Errorf("arrived after %v", d)
		}
	})
}

func TestStreamInfo(t *testing.T) {
	inPair(t, &Server{}, DialOptions{}, func(t *testing.T, fx *fixture, cc *ClientConn, client, server transport.Stream) {
		c, s := client.Info(), server.Info()
		if c.Proto != "HTTP/3.0" || !c.Secure || c.ConnID != cc.State().ConnID || c.RemoteAddr.String() != serverAddr || c.StreamID != 0 {
			t.Errorf("client: %+v", c)
		}
		if s.Proto != "HTTP/3.0" || !s.Secure || s.ConnID == 0 || s.ConnID == c.ConnID || s.RemoteAddr.String() != c.LocalAddr.String() {
			t.Errorf("server: %+v", s)
		}
		if second := fx.open(cc, "/"); second.Info().StreamID != 4 || second.Info().ConnID != c.ConnID {
			t.Errorf("second stream: %+v", second.Info())
		}
	})
}

// A callback that takes long holds nothing back for long: neither what it has sent, nor what others send.
func TestCallbackThatBlocks(t *testing.T) {
	inPair(t, &Server{}, DialOptions{}, func(t *testing.T, fx *fixture, cc *ClientConn, client, server transport.Stream) {
		sent, done := make(chan struct{}), make(chan struct{})
		server.Handle(func(p []byte, err error) {
			if err == nil {
				server.Send([]byte("callback"), nil)
				close(sent)
				<-done
			}
		})
		send(t, client, "x")
		<-sent
		start := time.Now()
		if got := receiveAll(t, client, 8); string(got) != "callback" {
			t.Errorf("%q", got)
		}
		send(t, server, "other")
		if got := receiveAll(t, client, 5); string(got) != "other" {
			t.Errorf("%q", got)
		}
		if d := time.Since(start); d > rtt+2*maxBatch { // two ways
			t.Errorf("it took %v while a callback blocks", d)
		}
		close(done)
	})
}

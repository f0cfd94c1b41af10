package h2net

import (
	"bytes"
	"io"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/weftws/weft/internal/h2"
	"github.com/weftws/weft/internal/simnet"
)

// pattern is n bytes that say where they belong.
func pattern(n int) []byte {
	p := make([]byte, n)
	for i := range p {
		p[i] = byte(i ^ i>>8 ^ i>>16)
	}
	return p
}

// The server's callback of one stream blocks in Send, because its client reads nothing. Another stream of the connection
// goes on; when the first client reads at last it gets everything in order.
func TestCallbackBlocksInSend(t *testing.T) {
	cfg := h2.Config{InitialWindowSize: 65535, MaxSendQueue: 4096}
	inFakeTime(t, wantConfig(cfg), echoCallbacks(t), func(fx *fixture) {
		cc := fx.connect(ClientOptions{Config: cfg})
		stuck, other := fx.open(cc, "/stuck"), fx.open(cc, "/other")
		sent := pattern(300_000)
		go stuck.Send(sent, nil)
		time.Sleep(time.Second)

		start := time.Now()
		other.Send([]byte("hello"), nil)
		receiveAll(t, other, 5)
		if d := time.Since(start); d != rtt {
			t.Errorf("the other stream's echo took %v, want %v", d, rtt)
		}
		if got := receiveAll(t, stuck, len(sent)); !bytes.Equal(got, sent) {
			t.Error("the stuck stream's echo differs")
		}
		stuck.Close(time.Second)
		other.Close(time.Second)
	})
}

// A callback that waits for something else is noticed by the watchdog.
func TestCallbackBlocks(t *testing.T) {
	var gate chan struct{}
	var mu sync.Mutex
	got := map[string][]byte{}
	calls := map[string]int{}
	inFakeTime(t, wantConfig(h2.Config{InitialWindowSize: 65535}), http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s, path := accept(t, r), r.URL.Path
		s.Handle(func(p []byte, err error) {
			mu.Lock()
			calls[path]++
			if calls[path] != 1 {
				t.Errorf("%d calls at once for %s", calls[path], path)
			}
			got[path] = append(got[path], p...)
			mu.Unlock()
			if path != "/other" {
				<-gate
			}
			mu.Lock()
			calls[path]--
			mu.Unlock()
			if err == nil {
				s.Send(p, nil)
			} else {
				s.Close(time.Second)
			}
		})
	}), func(fx *fixture) {
		gate = make(chan struct{})
		cc := fx.connect(ClientOptions{})
		stuck, other, third := fx.open(cc, "/stuck"), fx.open(cc, "/other"), fx.open(cc, "/stuck too")
		// All in one batch: the other's message is between two that block.
		cc.f.Lock()
		cc.f.BeginLocked()
		cc.f.Unlock()
		stuck.Send([]byte("one,"), nil)
		other.Send([]byte("hello"), nil)
		third.Send([]byte("3"), nil)
		start := time.Now()
		cc.f.End()
		receiveAll(t, other, 5)
		if d := time.Since(start); d < rtt || d > rtt+4*watchTick {
			t.Errorf("the other stream's echo took %v, want %v to %v", d, rtt, rtt+4*watchTick)
		}
		for range 20 {
			stuck.Send([]byte("more,"), nil)
			other.Send([]byte("!"), nil)
			receiveAll(t, other, 1)
		}
		// The stuck stream's window bounds what is queued for it.
		stuck.SetWriteDeadline(time.Now().Add(time.Second))
		n, err := stuck.Send(make([]byte, 1<<20), nil)
		if err == nil || n > 65535+64<<10+1000 {
			t.Errorf("the stuck stream took %d bytes, %v", n, err)
		}
		close(gate)
		want := "one," + string(bytes.Repeat([]byte("more,"), 20))
		if got := string(receiveAll(t, stuck, len(want))[:len(want)]); got != want {
			t.Errorf("the stuck stream's echo is %q", got)
		}
		stuck.Abort()
		receiveAll(t, third, 1)
		third.Close(time.Second)
		other.Close(time.Second)
		time.Sleep(5 * time.Second)
		if cc.State().Streams != 0 {
			t.Errorf("%d streams are left", cc.State().Streams)
		}
	})
}

// Both ends write and neither write ends before the other end reads.
func TestWriteBlocksReading(t *testing.T) {
	cfg := h2.Config{InitialWindowSize: 4 << 20, ConnWindowSize: 4 << 20, MaxSendQueue: 4 << 20, MaxBufferedBytes: 16 << 20}
	inFakeTime(t, wantConfig(cfg), echoCallbacks(t), func(fx *fixture) {
		fx.net.SetLink(serverAddr, simnet.Link{SendBuffer: 20_000})
		cc := fx.connect(ClientOptions{Config: cfg})
		s := fx.open(cc, "/")
		sent := pattern(2 << 20)
		var got []byte
		done := make(chan struct{})
		s.Handle(func(p []byte, err error) {
			if again := len(sent) - len(got); again > 0 {
				s.Send(p[:min(len(p), again)], nil) // so that this end's reading goroutine writes too
			}
			if got = append(got, p...); len(got) == 2*len(sent) {
				close(done)
			}
		})
		go s.Send(sent, nil)
		<-done
		if !bytes.Equal(got, append(sent, sent...)) {
			t.Error("the echo differs")
		}
		s.Close(time.Second)
	})
}

// A callback that is stuck when the connection ends holds up nothing else, and gets its last call.
func TestCallbackBlocksAtTheEnd(t *testing.T) {
	var gate chan struct{}
	var mu sync.Mutex
	var ends int
	inFakeTime(t, &Server{}, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s, path := accept(t, r), r.URL.Path
		s.Handle(func(p []byte, err error) {
			if path == "/stuck" && err != nil {
				<-gate
			}
			if err != nil {
				mu.Lock()
				ends++
				mu.Unlock()
			}
		})
	}), func(fx *fixture) {
		gate = make(chan struct{})
		cc := fx.connect(ClientOptions{})
		for _, path := range []string{"/stuck", "/a", "/stuck", "/b", "/stuck"} {
			fx.open(cc, path)
		}
		cc.Close()
		<-cc.Done()
		time.Sleep(time.Second)
		mu.Lock()
		if ends != 2 {
			t.Errorf("%d of 2 streams that are not stuck were told", ends)
		}
		mu.Unlock()
		close(gate)
		synctest.Wait()
		if ends != 5 {
			t.Errorf("%d of 5 streams were told", ends)
		}
	})
}

// Close and Abort inside the callback: the last call follows when it has returned.
func TestCloseInCallback(t *testing.T) {
	var mu sync.Mutex
	var log []string
	inFakeTime(t, &Server{}, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s := accept(t, r)
		s.Handle(func(p []byte, err error) {
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				log = append(log, err.Error())
				return
			}
			log = append(log, "begin")
			if r.URL.Path == "/close" {
				s.Close(time.Second)
			} else {
				s.Abort()
			}
			log = append(log, "end")
		})
	}), func(fx *fixture) {
		cc := fx.connect(ClientOptions{})
		s := fx.open(cc, "/close")
		s.Send([]byte("x"), nil)
		if _, err := s.Receive(); err != io.EOF {
			t.Errorf("Receive = %v", err)
		}
		s.Close(time.Second)
		s = fx.open(cc, "/abort")
		s.Send([]byte("x"), nil)
		if _, err := s.Receive(); err == nil || err == io.EOF {
			t.Errorf("Receive = %v", err)
		}
		want := "begin end use of closed network connection begin end use of closed network connection"
		mu.Lock()
		defer mu.Unlock()
		if got := join(log); got != want {
			t.Errorf("calls: %s", got)
		}
	})
}

func join(s []string) string {
	var b bytes.Buffer
	for i, x := range s {
		if i > 0 {
			b.WriteByte(' ')
		}
		b.WriteString(x)
	}
	return b.String()
}

package weft_test

import (
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// The 101 may be written when the handler has returned.
func TestBridgeLateAnswer(t *testing.T) {
	overBridge(t, func(w http.ResponseWriter, r *http.Request) {
		nc, _ := hijack(t, w)
		answer := switching101(r)
		go func() {
			defer nc.Close()
			time.Sleep(patience / 2)
			write(t, nc, answer)
			io.Copy(nc, nc)
		}()
	}, func(c *rawH2, e *env) {
		st := c.open(websocketFields(e.carrier)...)
		if got := st.status(); got != "200" {
			t.Errorf("the answer is %s", got)
		}
		write(t, st, "hello")
		wantBytes(t, st, "hello")
		st.CloseWrite()
		wantEnd(t, st)
	})
}

// A client that gives up before the answer ends what waits for it.
func TestBridgeClientGivesUp(t *testing.T) {
	var errs chan error // of the bubble
	overBridge(t, func(w http.ResponseWriter, r *http.Request) {
		nc, _ := hijack(t, w)
		_, err := nc.Read(make([]byte, 1))
		errs <- err
		_, err = io.WriteString(nc, switching101(r))
		errs <- err
	}, func(c *rawH2, e *env) {
		errs = make(chan error, 2)
		for range 2 {
			st := c.open(websocketFields(e.carrier)...)
			time.Sleep(time.Second)
			st.Reset()
			if read, wrote := <-errs, <-errs; read == nil || wrote == nil {
				t.Errorf("Read and Write: %v, %v; want errors", read, wrote)
			}
		}
	})
}

// A panic after Hijack resets the stream if it is not open, and leaves it to the net.Conn's owner if it is.
func TestBridgePanic(t *testing.T) {
	var conns chan net.Conn // of the bubble
	overBridge(t, func(w http.ResponseWriter, r *http.Request) {
		nc, _ := hijack(t, w)
		if r.URL.Path == "/open" {
			write(t, nc, switching101(r))
		}
		conns <- nc
		panic(http.ErrAbortHandler)
	}, func(c *rawH2, e *env) {
		conns = make(chan net.Conn, 1)
		st := c.open(websocketFields(e.carrier)...)
		if got := st.status(); got != "reset INTERNAL_ERROR" {
			t.Errorf("the answer is %s", got)
		}
		if _, err := io.WriteString(<-conns, "HTTP/1.1 403 Forbidden\r\n\r\n"); err == nil {
			t.Error("Write after the panic gave no error")
		}
		st = c.open(changed(websocketFields(e.carrier), []string{":path: /open"})...)
		if got := st.status(); got != "200" {
			t.Errorf("the answer is %s", got)
		}
		nc := <-conns
		write(t, nc, "still here")
		wantBytes(t, st, "still here")
		nc.Close()
		st.CloseWrite()
		wantEnd(t, st)
	})
}

// Deadlines before and after the answer, passed, cleared and moved.
func TestBridgeDeadlines(t *testing.T) {
	var over chan struct{} // of the bubble
	overBridge(t, func(w http.ResponseWriter, r *http.Request) {
		defer close(over)
		nc, _ := hijack(t, w)
		defer nc.Close()
		wantTimeout := func(what string, after time.Duration, f func() error) {
			t.Helper()
			start := time.Now()
			if err := f(); !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("%s: %v", what, err)
			}
			if d := time.Since(start); d != after {
				t.Errorf("%s took %v, want %v", what, d, after)
			}
		}
		read := func() error { _, err := nc.Read(make([]byte, 10)); return err }
		nc.SetDeadline(time.Now().Add(rtt))
		wantTimeout("Read before the answer", rtt, read)
		wantTimeout("Write of the answer", 0, func() error { _, err := nc.Write([]byte("HTTP/1.1 ")); return err })
		nc.SetDeadline(time.Time{})
		nc.SetReadDeadline(time.Now().Add(time.Hour))
		time.AfterFunc(2*rtt, func() { nc.SetReadDeadline(time.Now()) })
		wantTimeout("Read whose deadline moved nearer", 2*rtt, read)
		nc.SetReadDeadline(time.Now().Add(3 * rtt)) // and holds on
		write(t, nc, switching101(r))
		wantTimeout("Read after the answer", 3*rtt, read)
		nc.SetReadDeadline(time.Time{})
		write(t, nc, "go")
		if err := read(); err != nil {
			t.Errorf("Read after the deadline was cleared: %v", err)
		}
		nc.SetWriteDeadline(time.Now().Add(4 * time.Second))
		wantTimeout("Write to a client that reads nothing", 4*time.Second, func() (err error) {
			for err == nil {
				_, err = nc.Write(make([]byte, 1<<20))
			}
			return err
		})
	}, func(c *rawH2, e *env) {
		over = make(chan struct{})
		st := c.open(websocketFields(e.carrier)...)
		if got := st.status(); got != "200" {
			t.Errorf("the answer is %s", got)
		}
		wantBytes(t, st, "go")
		write(t, st, "gone")
		<-over
		st.Reset()
	})
}

// Our side ends, and the client's goes on.
func TestBridgeHalfClose(t *testing.T) {
	var got chan string // of the bubble
	overBridge(t, func(w http.ResponseWriter, r *http.Request) {
		nc, _ := hijack(t, w)
		defer nc.Close()
		write(t, nc, switching101(r)+"bye")
		if err := nc.(interface{ CloseWrite() error }).CloseWrite(); err != nil {
			t.Errorf("CloseWrite: %v", err)
		}
		if _, err := nc.Write([]byte("x")); !errors.Is(err, net.ErrClosed) {
			t.Errorf("Write after CloseWrite: %v", err)
		}
		var b strings.Builder
		n, err := io.Copy(&b, nc) // by WriteTo
		if n != int64(b.Len()) || err != nil {
			t.Errorf("Copy: %d, %v", n, err)
		}
		got <- b.String()
	}, func(c *rawH2, e *env) {
		st := c.open(websocketFields(e.carrier)...)
		if got := st.status(); got != "200" {
			t.Errorf("the answer is %s", got)
		}
		got = make(chan string, 1)
		wantBytes(t, st, "bye")
		wantEnd(t, st)
		time.Sleep(10 * time.Second)
		long := strings.Repeat("after the end ", 30_000)
		write(t, st, long)
		st.CloseWrite()
		if got := <-got; got != long {
			t.Errorf("the server received %d bytes, want %d", len(got), len(long))
		}
	})
}

// A tunnel that nobody reads costs no goroutine.
func TestBridgeIdle(t *testing.T) {
	overBridge(t, func(w http.ResponseWriter, r *http.Request) {
		nc, _ := hijack(t, w)
		write(t, nc, switching101(r))
		time.AfterFunc(30*rtt, func() { nc.Close() })
	}, func(c *rawH2, e *env) {
		var streams []*rawStream
		var before int
		for i := range 20 {
			st := c.open(websocketFields(e.carrier)...)
			if got := st.status(); got != "200" {
				t.Errorf("the answer is %s", got)
			}
			streams = append(streams, st)
			synctest.Wait()
			if i == 0 {
				before = runtime.NumGoroutine()
			}
		}
		// Those of the process, among which one of another test may be ending or a timer's beginning; 19 tunnels would be 19.
		if n := runtime.NumGoroutine(); n > before+5 {
			t.Errorf("%d goroutines with one tunnel, %d with 20", before, n)
		}
		time.Sleep(30 * rtt)
		for _, st := range streams {
			wantEnd(t, st)
			st.CloseWrite()
		}
	})
}

package weft_test

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/weftws/weft"
)

// netDial returns what a library gets for the server of e.
func (e *env) netDial(ctx context.Context) net.Conn {
	e.t.Helper()
	dial := e.dialer.NetDialContext
	if e.carrier.scheme == "wss" {
		dial = e.dialer.NetDialTLSContext
	}
	nc, err := dial(ctx, "tcp", "example.com:443")
	if err != nil {
		e.t.Fatal(err)
	}
	return nc
}

// Addresses are there before there is a connection, and are the connection's afterwards.
func TestNetDialAddresses(t *testing.T) {
	overEach(t, echo, func(t *testing.T, e *env) {
		nc := e.netDial(e.ctx)
		if got := nc.LocalAddr().String() + " " + nc.RemoteAddr().String() + " " + nc.RemoteAddr().Network(); got != ":0 example.com:443 tcp" {
			t.Errorf("addresses before: %s", got)
		}
		tr := nc.(interface{ Trace() weft.Trace }).Trace()
		if tr.Version != "" || e.net.Stats().Dials != 0 {
			t.Errorf("before anything was asked for: %+v", tr)
		}
		_, c, err := askOn(nc, upgradeRequest(e.ctx, e.url))
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if got := nc.LocalAddr().String() + " " + nc.RemoteAddr().String(); !strings.HasPrefix(got, "10.0.0.1:") || !strings.HasSuffix(got, " "+serverAddr) {
			t.Errorf("addresses after: %s", got)
		}
		tr = c.Trace()
		if (tr.Version == "HTTP/2.0") != (tr.StreamID != 0) || tr.ConnID == 0 || tr.RemoteAddr != serverAddr || len(tr.Attempts) != 1 {
			t.Errorf("trace: %+v", tr)
		}
		numeric, err := e.dialer.NetDialContext(e.ctx, "tcp", "[::1]:80")
		if a, ok := numeric.RemoteAddr().(*net.TCPAddr); !ok || err != nil || a.String() != "[::1]:80" {
			t.Errorf("%v, %v", a, err)
		}
		numeric.Close()
	})
}

func TestNetDialErrors(t *testing.T) {
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	for _, tt := range []struct {
		ctx           context.Context
		network, addr string
		want          string
	}{
		{t.Context(), "udp", "example.com:443", "unknown network udp"},
		{t.Context(), "tcp", "example.com", "missing port"},
		{t.Context(), "tcp", ":443", "no host"},
		{t.Context(), "tcp", "exa mple.com:443", "invalid character"},
		{cancelled, "tcp", "example.com:443", "context canceled"},
	} {
		nc, err := new(weft.Dialer).NetDialTLSContext(tt.ctx, tt.network, tt.addr)
		var de *weft.DialError
		if nc != nil || !errors.As(err, &de) || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s %s: %v, %v; want %q", tt.network, tt.addr, nc, err, tt.want)
		}
	}
}

// What is no opening handshake is answered here, without asking the server.
func TestNetDialRefuses(t *testing.T) {
	over(t, carriers[2], http.HandlerFunc(echo), func(t *testing.T, e *env) {
		const upgrade = "Host: example.com\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
		for _, tt := range []struct {
			request string
			status  int
			want    string
		}{
			{"CONNECT example.com:443 HTTP/1.1\r\nHost: example.com\r\n\r\n", 501, "weft.Dialer.Proxy"},
			{"GET / HTTP/1.1\r\nHost: example.com\r\n\r\n", 501, "without Upgrade"},
			{"GET http://example.com/ HTTP/1.1\r\n" + upgrade + "\r\n", 501, "GET"},
			{"GET / HTTP/1.1\r\n" + upgrade + "\r\n", 400, "Sec-WebSocket-Key"},
			{"GET / HTTP/1.1\r\n" + upgrade + "Content-Length: 5\r\nSec-WebSocket-Key: " + sampleKey + "\r\n\r\n", 400, "content"},
			{"GET / HTTP/1.1\r\n" + upgrade + "Transfer-Encoding: chunked\r\nSec-WebSocket-Key: " + sampleKey + "\r\n\r\n", 400, "content"},
			{"GET / HTTP/1.1\r\n" + upgrade + "No colon\r\n\r\n", 400, "malformed"},
			{"hello\r\n\r\n", 400, "malformed"},
			{"GET / HTTP/1.1\r\nX: " + strings.Repeat("x", 70_000), 431, "65536 bytes"},
		} {
			nc := e.netDial(e.ctx)
			if n, err := io.WriteString(nc, tt.request); n != len(tt.request) || err != nil {
				t.Errorf("%.40q: Write %d, %v", tt.request, n, err)
			}
			res, err := http.ReadResponse(bufio.NewReader(nc), nil)
			if err != nil {
				t.Errorf("%.40q: %v", tt.request, err)
				continue
			}
			body, err := io.ReadAll(res.Body)
			if res.StatusCode != tt.status || err != nil || !strings.Contains(string(body), tt.want) || !strings.HasPrefix(string(body), "weft: ") {
				t.Errorf("%.40q: %d %q, %v", tt.request, res.StatusCode, body, err)
			}
			if _, err := io.WriteString(nc, "x"); err == nil {
				t.Errorf("%.40q: Write after the refusal succeeded", tt.request)
			}
			nc.Close()
		}
		if n := e.net.Stats().Dials; n != 0 {
			t.Errorf("%d connections were made", n)
		}
	})
}

// A library that puts TLS of its own on top hears it at once.
func TestNetDialUnderTLS(t *testing.T) {
	over(t, carriers[2], http.HandlerFunc(echo), func(t *testing.T, e *env) {
		nc, err := e.dialer.NetDialContext(e.ctx, "tcp", "example.com:443")
		if err != nil {
			t.Fatal(err)
		}
		io.WriteString(nc, "\x16\x03\x01")
		if _, err := nc.Read(make([]byte, 1)); err == nil || !strings.Contains(err.Error(), "NetDialTLSContext") {
			t.Error(err)
		}
		nc.Close()
	})
}

// The request may come in any pieces, and what comes behind it waits for the answer.
func TestNetDialPieces(t *testing.T) {
	overEach(t, echo, func(t *testing.T, e *env) {
		var request strings.Builder
		upgradeRequest(e.ctx, e.url).Write(&request)
		nc := e.netDial(e.ctx)
		defer nc.Close()
		for _, b := range []byte(request.String()[:request.Len()-1]) {
			if n, err := nc.Write([]byte{b}); n != 1 || err != nil {
				t.Fatal(n, err)
			}
		}
		if n, err := nc.Write(nil); n != 0 || err != nil {
			t.Errorf("empty Write: %d, %v", n, err)
		}
		start := time.Now()
		n, err := nc.Write(text("early").append([]byte("\n"), true))
		if n != 12 || err != nil || time.Since(start) < 2*rtt {
			t.Errorf("Write of the last byte and a frame: %d, %v, after %v", n, err, time.Since(start))
		}
		br := bufio.NewReaderSize(nc, 16)
		if res, err := http.ReadResponse(br, nil); err != nil || res.StatusCode != 101 {
			t.Fatalf("%v, %v", res, err)
		}
		p := &rawPeer{T: t, carrier: e.carrier, client: true, conn: &carriedConn{nc, br}}
		p.want(text("early"))
		p.wantEcho("hello")
	})
}

// Close stops the dial at any time.
func TestNetDialClosed(t *testing.T) {
	overEach(t, echo, func(t *testing.T, e *env) {
		for i := range 12 {
			nc := e.netDial(e.ctx)
			upgradeRequest(e.ctx, e.url).Write(nc)
			read := begin(func() error {
				_, err := io.Copy(io.Discard, nc)
				return err
			})
			write := begin(func() error {
				_, err := io.WriteString(nc, "\x81")
				return err
			})
			time.Sleep(time.Duration(i)*rtt/2 - time.Duration(i%2)*time.Nanosecond)
			if err := nc.Close(); err != nil {
				t.Errorf("Close after %d half round trips: %v", i, err)
			}
			if err := <-read; !errors.Is(err, net.ErrClosed) {
				t.Errorf("Read, closed after %d half round trips: %v", i, err)
			}
			if err := <-write; err != nil && !errors.Is(err, net.ErrClosed) {
				t.Errorf("Write, closed after %d half round trips: %v", i, err)
			}
			if err := nc.SetDeadline(time.Now()); !errors.Is(err, net.ErrClosed) {
				t.Errorf("SetDeadline after Close: %v", err)
			}
			if err := nc.Close(); !errors.Is(err, net.ErrClosed) {
				t.Errorf("Close again: %v", err)
			}
		}
		wantNothingOpen(t, e)
	})
}

// Deadlines hold while the ladder is climbed, and after: one that is set before is still there.
func TestNetDialDeadlines(t *testing.T) {
	overEach(t, echo, func(t *testing.T, e *env) {
		nc := e.netDial(e.ctx)
		defer nc.Close()
		start := time.Now()
		wantTimeout := func(what string, at time.Duration, err error) {
			t.Helper()
			if took := time.Since(start); !errors.Is(err, os.ErrDeadlineExceeded) || took != at {
				t.Errorf("%s: after %v, want %v: %v", what, took, at, err)
			}
		}
		b := make([]byte, 4096)
		nc.SetReadDeadline(start.Add(rtt / 4))
		_, err := nc.Read(b)
		wantTimeout("Read before the request", rtt/4, err)
		nc.SetWriteDeadline(start)
		_, err = nc.Write([]byte("GET"))
		wantTimeout("Write of the request", rtt/4, err)
		nc.SetWriteDeadline(time.Time{})
		if err := upgradeRequest(e.ctx, e.url).Write(nc); err != nil {
			t.Fatal(err)
		}
		nc.SetReadDeadline(start.Add(rtt))
		_, err = nc.Read(b)
		wantTimeout("Read of the answer", rtt, err)
		nc.SetWriteDeadline(start.Add(rtt + rtt/4))
		_, err = nc.Write([]byte("x"))
		wantTimeout("Write before the answer", rtt+rtt/4, err)

		nc.SetDeadline(start.Add(time.Minute)) // and now it lasts
		br := bufio.NewReader(nc)
		if res, err := http.ReadResponse(br, nil); err != nil || res.StatusCode != 101 {
			t.Fatalf("%v, %v", res, err)
		}
		p := &rawPeer{T: t, carrier: e.carrier, client: true, conn: &carriedConn{nc, br}}
		p.send(text("hello"))
		if _, err := io.ReadFull(br, b[:7]); err != nil || string(b[2:7]) != "hello" {
			t.Fatalf("%q, %v", b[:7], err)
		}
		for err = nil; err == nil; {
			_, err = br.Read(b) // the server's Pings
		}
		wantTimeout("Read with the deadline from before", time.Minute, err)
		_, err = nc.Write([]byte("x"))
		wantTimeout("Write with the deadline from before", time.Minute, err)
		nc.SetDeadline(time.Time{})
		p.send(pong(""))
	})
}

// A client that goes away while the refusal is still coming leaves nothing behind.
func TestNetDialRefusalAbandoned(t *testing.T) {
	overEach(t, func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusForbidden)
		io.WriteString(w, "because")
		w.(http.Flusher).Flush()
		<-r.Context().Done()
	}, func(t *testing.T, e *env) {
		nc := e.netDial(e.ctx)
		upgradeRequest(e.ctx, e.url).Write(nc)
		b := make([]byte, 1)
		if _, err := nc.Read(b); err != nil || b[0] != 'H' {
			t.Fatalf("%q, %v", b, err)
		}
		nc.SetReadDeadline(time.Now().Add(time.Second))
		if _, err := io.Copy(io.Discard, nc); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("Read of a body that does not come: %v", err)
		}
		if nc.LocalAddr().String() != ":0" || nc.(interface{ CloseWrite() error }).CloseWrite() == nil {
			t.Error("a refusal is not a connection")
		}
		nc.Close()
		wantNothingOpen(t, e)
	})
}

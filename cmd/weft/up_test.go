package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/weftws/weft"
)

// serve starts the playground on a free port without TLS and returns its address. The log may be nil.
func serve(t *testing.T, conns *connLog) (*weft.Server, string) {
	t.Helper()
	if conns == nil {
		conns = newConnLog(io.Discard)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv := &weft.Server{Handler: newSite(conns, false)}
	served := make(chan error, 1)
	go func() { served <- srv.Serve(l) }()
	t.Cleanup(func() {
		srv.Close()
		if err := <-served; !errors.Is(err, http.ErrServerClosed) {
			t.Errorf("Serve: %v", err)
		}
	})
	return srv, l.Addr().String()
}

// dialMute opens a WebSocket over HTTP/1.1 and reads nothing of it.
func dialMute(t *testing.T, addr, path string) net.Conn {
	t.Helper()
	nc, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close() })
	fmt.Fprintf(nc, "GET %s HTTP/1.1\r\nHost: %s\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"+
		"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n", path, addr)
	line, err := bufio.NewReaderSize(nc, 16).ReadString('\n')
	if err != nil || !strings.Contains(line, " 101 ") {
		t.Fatalf("answer %q, %v; want 101", line, err)
	}
	return nc
}

func TestSlowChatMemberHoldsUpNobody(t *testing.T) {
	_, addr := serve(t, nil)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	c, _, err := new(weft.Dialer).Dial(ctx, "ws://"+addr+"/chat?name=fast", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer c.CloseNow()
	heard := func() string {
		t.Helper()
		_, p, err := c.Read(ctx)
		if err != nil {
			t.Fatal(err)
		}
		return string(p)
	}
	// The 101 comes before the room knows of its member.
	for heard() != "* fast joined" {
	}
	slow := dialMute(t, addr, "/chat?name=slow")
	slow.(*net.TCPConn).SetReadBuffer(4 << 10)
	for heard() != "* slow joined" {
	}
	// The slow one's queue and the network's buffers take a few megabytes; then it has to leave.
	text := []byte(strings.Repeat("x", chatLimit))
	for n := 0; ; n++ {
		if n == 10_000 {
			t.Fatal("the slow member is still there after 40 MB")
		}
		if err := c.Write(ctx, weft.MessageText, text); err != nil {
			t.Fatal(err)
		}
		line := heard()
		if line == "* slow is too slow and had to leave" {
			return
		}
		if want := "fast: " + string(text); line != want {
			t.Fatalf("heard %.40q, want %.40q", line, want)
		}
	}
}

func TestSecondInterruptDoesNotWait(t *testing.T) {
	conns := newConnLog(io.Discard)
	srv, addr := serve(t, conns)
	dialMute(t, addr, "/echo")
	signals := make(chan os.Signal, 1)
	result := make(chan error, 1)
	go func() { result <- shutdown(srv, conns, signals) }()
	signals <- os.Interrupt
	if err := <-result; !errors.Is(err, errInterrupted) {
		t.Errorf("shutdown: %v, want errInterrupted", err)
	}
}

func TestHelloIsFirst(t *testing.T) {
	_, addr := serve(t, nil)
	for _, path := range []string{"/echo?hello=1", "/echo?api=blocking&hello=1", "/chat?hello=1", "/stream?rate=10000&hello=1"} {
		for _, h2 := range []bool{false, true} {
			d := &weft.Dialer{PriorKnowledge: h2}
			c, _, err := d.Dial(t.Context(), "ws://"+addr+path, nil)
			if err != nil {
				t.Fatal(err)
			}
			_, p, err := c.Read(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if want := fmt.Sprintf(`{"version":"%s","conn":`, c.Version()); !strings.HasPrefix(string(p), want) {
				t.Errorf("%s: first message %s, want %s...", path, p, want)
			}
			c.CloseNow()
			d.Close()
		}
	}
}

func TestWrongParameters(t *testing.T) {
	_, addr := serve(t, nil)
	for path, want := range map[string]string{
		"/stream?rate=0":             `rate is "0"; it must be a number from 1 to 10000`,
		"/stream?size=1048577":       `size is "1048577"; it must be a number from 1 to 1048576`,
		"/stream?rate=x&size=y":      "must be a number",
		"/echo?api=callback":         `api is "callback"; it may be callbacks (the default) or blocking`,
		"/chat?name=a%00":            "name may have up to 32 printable characters",
		"/chat?name=" + longName(33): "name may have up to 32 printable characters",
	} {
		resp, err := http.Get("http://" + addr + path)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		if resp.StatusCode != http.StatusBadRequest || !strings.Contains(string(body), want) {
			t.Errorf("%s: %d %q, want 400 %q", path, resp.StatusCode, body, want)
		}
	}
}

func longName(n int) string { return strings.Repeat("a", n) }

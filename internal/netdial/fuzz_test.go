package netdial

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"strings"
	"testing"

	"github.com/weftws/weft/internal/fuzzing"
)

// Whatever a proxy answers, in whatever pieces: a tunnel in which nothing is lost that came behind the answer, or the same error;
// and a header that does not end is not read for ever.
func FuzzProxy(f *testing.F) {
	for _, answer := range []string{
		"HTTP/1.1 200 Connection established\r\n\r\nSSH-2.0",
		"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\nhello",
		"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 3\r\n\r\nno!",
		"HTTP/1.0 502 Bad Gateway\n\n", "HTTP/1.1 101 Switching Protocols\r\n\r\n", strings.Repeat("HTTP/1.1 103 x\r\n\r\n", 100),
	} {
		f.Add([]byte(answer), uint8(0), false)
		f.Add([]byte(answer), uint8(5), false)
	}
	for _, answer := range []string{
		"\x05\x00\x05\x00\x00\x01\x7f\x00\x00\x01\x00\x50SSH-2.0", "\x05\x02\x01\x00\x05\x00\x00\x03\x01a\x00\x50x", "\x05\xff", "\x05\x00\x05\x05\x00\x01",
	} {
		f.Add([]byte(answer), uint8(0), true)
		f.Add([]byte(answer), uint8(2), true)
	}
	f.Fuzz(func(t *testing.T, answer []byte, step uint8, socks bool) {
		whole, pieces := &fuzzing.Conn{In: answer}, &fuzzing.Conn{In: answer, Step: int(step) + 1}
		want := tunnelThrough(t, whole, socks)
		if got := tunnelThrough(t, pieces, socks); got != want {
			t.Errorf("%q in pieces of %d: %s\nat once: %s", answer, step+1, got, want)
		}
		if read := len(answer) - len(whole.In); strings.HasPrefix(want, "error") && read > maxProxyHeader {
			t.Errorf("%d bytes were read", read)
		}
	})
}

// tunnelThrough is what comes out of asking the proxy on nc for a tunnel.
func tunnelThrough(t *testing.T, nc *fuzzing.Conn, socks bool) string {
	a := &attempt{target: Target{Addr: "origin.test:443", Proxy: &url.URL{Scheme: "http", Host: "proxy.test", User: url.UserPassword("user", "password")}}}
	open := a.connect
	if socks {
		open = a.socks
	}
	answer := nc.In
	tunnel, err := open(context.Background(), nc)
	if err != nil {
		if status, ok := errors.AsType[statusError](err); ok && (status < 300 && status != 101 || status > 999) {
			t.Errorf("%q: %v", answer, err)
		}
		return "error: " + err.Error()
	}
	rest, err := io.ReadAll(tunnel)
	if err != nil || !strings.HasSuffix(string(answer), string(rest)) {
		t.Errorf("%q: what comes out is %q, %v", answer, rest, err)
	}
	return fmt.Sprintf("tunnel after %d round trips: %q", a.roundTrips, rest)
}

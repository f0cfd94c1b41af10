package handshake

import (
	"net/http"
	"strings"
	"testing"
)

// What is taken can be printed and is taken again, and nothing panics.
func FuzzParseSubprotocols(f *testing.F) {
	for _, s := range []string{"chat", "chat, superchat", " a ,, b", "a, a", "a b", "\x00"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, line string) {
		got, err := ParseSubprotocols([]string{line})
		if err != nil {
			return
		}
		again, err := ParseSubprotocols([]string{strings.Join(got, ", ")})
		if err != nil || strings.Join(again, ",") != strings.Join(got, ",") {
			t.Errorf("%q gives %q, which gives %q, %v", line, got, again, err)
		}
	})
}

// Whatever a client sends, the answer is an agreement or an error with a status, and an origin that is let in names the host.
func FuzzRequest(f *testing.F) {
	f.Add("example.com", "https://example.com", "websocket", "Upgrade", "13", "dGhlIHNhbXBsZSBub25jZQ==", "chat", "permessage-deflate")
	f.Add("[::1]:80", "null", "h2c, websocket", "keep-alive, upgrade", "8", "", "", "x; y=\"z\"")
	f.Fuzz(func(t *testing.T, host, origin, upgrade, connection, version, key, subprotocols, extensions string) {
		h := http.Header{
			"Origin": {origin}, "Upgrade": {upgrade}, "Connection": {connection}, "Sec-Websocket-Version": {version},
			"Sec-Websocket-Key": {key}, "Sec-Websocket-Protocol": {subprotocols}, "Sec-Websocket-Extensions": {extensions},
		}
		r := Request{Method: "GET", ProtoMajor: 1, ProtoMinor: 1, Host: host, Header: h}
		if err := CheckRequest(r); err != nil && (err.Status < 400 || err.Section == "" || err.Detail == "") {
			t.Errorf("CheckRequest: %+v", err)
		}
		if err := CheckOrigin(r, true, nil); err == nil && origin != "" && !strings.Contains(strings.ToLower(origin), strings.ToLower(strings.TrimSuffix(host, ":443"))) {
			t.Errorf("origin %q is let in at %q", origin, host)
		}
		if a, err := Agree(h, Support{Subprotocols: []string{"chat"}}); err != nil && err.Status < 400 || a.Subprotocol != "" && a.Subprotocol != "chat" {
			t.Errorf("Agree: %+v, %v", a, err)
		}
	})
}

package handshake

import (
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/weftws/weft/internal/deflate"
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

// Whatever a server answers, it agrees to what was offered or is refused, and the refusal says why.
func FuzzResponse(f *testing.F) {
	const key = "dGhlIHNhbXBsZSBub25jZQ=="
	f.Add(101, "websocket", "Upgrade", AcceptKey(key), "chat", "permessage-deflate; server_max_window_bits=10", true, true)
	f.Add(200, "", "", "", "chat, superchat", "permessage-deflate; client_no_context_takeover, permessage-deflate", false, true)
	f.Add(101, "h2c, websocket", "keep-alive, upgrade", " s3pPLMBiTxaQ9kYGzzhZRbK+xOo= ", "chat\x00", "mux; a=\"1\\0\"", true, false)
	f.Add(426, "", "", "", "", "", true, false)
	f.Fuzz(func(t *testing.T, status int, upgrade, connection, accept, subprotocol, extensions string, http1, compress bool) {
		h := http.Header{
			"Upgrade": {upgrade}, "Connection": {connection}, "Sec-Websocket-Accept": {accept}, "Sec-Websocket-Version": {subprotocol},
			"Sec-Websocket-Protocol": {subprotocol}, "Sec-Websocket-Extensions": {extensions},
		}
		o := Offer{Subprotocols: []string{"chat", "superchat"}}
		if compress {
			o.Deflate = &deflate.Params{ServerMaxWindowBits: 15, ClientMaxWindowBits: 15}
		}
		k := ""
		if http1 {
			k = key
		}
		for _, lines := range []http.Header{h, without(h, "Sec-Websocket-Protocol"), without(h, "Sec-Websocket-Protocol", "Sec-Websocket-Extensions")} {
			a, err := CheckResponse(status, lines, o, k)
			switch {
			case err != nil && (err.Section == "" || err.Detail == "" || len(err.Error()) > 1000):
				t.Errorf("%+v", err)
			case err != nil:
			case http1 && (status != 101 || strings.Trim(accept, " \t") != AcceptKey(key) || !strings.EqualFold(strings.Trim(upgrade, " \t,"), "websocket")):
				t.Errorf("%d %q is taken for a switch", status, lines)
			case !http1 && status/100 != 2:
				t.Errorf("%d is taken for a tunnel", status)
			case a.Subprotocol != "" && !slices.Contains(o.Subprotocols, a.Subprotocol) || a.Deflate != nil && o.Deflate == nil:
				t.Errorf("%q: agreed on %+v, which was not offered", lines, a)
			case a.Deflate != nil && a.Deflate.Validate() != nil:
				t.Errorf("%q: agreed on %+v", lines, a.Deflate)
			}
		}
	})
}

func without(h http.Header, names ...string) http.Header {
	h = h.Clone()
	for _, name := range names {
		delete(h, name)
	}
	return h
}

// What our client offers our server takes, and both agree on the same.
func FuzzAgreement(f *testing.F) {
	f.Add("chat superchat", "superchat", uint8(0), uint8(15), uint8(15), uint8(0), uint8(15), uint8(15), true)
	f.Add("chat", "", uint8(3), uint8(9), uint8(0), uint8(1), uint8(12), uint8(8), false)
	f.Add("", "a", uint8(8), uint8(0), uint8(0), uint8(2), uint8(8), uint8(8), true)
	f.Fuzz(func(t *testing.T, offered, supported string, flags, server, client, ours, serverBound, clientBound uint8, http1 bool) {
		bits := func(b uint8, zero bool) int {
			if zero && b%9 == 0 {
				return 0
			}
			return 8 + int(b)%8
		}
		o := Offer{Subprotocols: strings.Fields(offered)}
		if flags&8 == 0 {
			o.Deflate = &deflate.Params{ServerNoContextTakeover: flags&1 != 0, ClientNoContextTakeover: flags&2 != 0,
				ServerMaxWindowBits: bits(server, true), ClientMaxWindowBits: bits(client, true)}
		}
		s := Support{Subprotocols: strings.Fields(supported)}
		if ours&8 == 0 {
			s.Deflate = &deflate.Params{ServerNoContextTakeover: ours&1 != 0, ClientNoContextTakeover: ours&2 != 0,
				ServerMaxWindowBits: bits(serverBound, true), ClientMaxWindowBits: bits(clientBound, true)}
		}
		key := ""
		if http1 {
			key = NewKey([16]byte{flags, server, client})
		}
		request := http.Header{}
		if SetRequest(request, o, key) != nil {
			return
		}
		r := Request{Method: "GET", ProtoMajor: 1, ProtoMinor: 1, Host: "a", Header: request}
		if !http1 {
			r.ProtoMajor, r.Method = 2, "CONNECT"
		}
		if err := CheckRequest(r); err != nil {
			t.Fatalf("%q: %v", request, err)
		}
		a, err := Agree(request, s)
		if err != nil {
			t.Fatalf("%q: %v", request, err)
		}
		response := http.Header{}
		SetResponse(response, a, key, http1)
		status := 200
		if http1 {
			status = 101
		}
		b, err := CheckResponse(status, response, o, key)
		if err != nil || !reflect.DeepEqual(a, b) {
			t.Fatalf("%q, answered %q: the server goes by %+v, the client by %+v, %v", request, response, a, b, err)
		}
	})
}

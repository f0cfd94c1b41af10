package handshake

import (
	"errors"
	"net/http"
	"reflect"
	"strings"
	"testing"

	"github.com/weftws/weft/internal/deflate"
)

// The key of RFC 6455, Section 1.3, and the answer to it.
const (
	sampleKey    = "dGhlIHNhbXBsZSBub25jZQ=="
	sampleAccept = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
)

// "NOTE: As an example, if the randomly selected value was the sequence of bytes 0x01 0x02 [...] 0x10, the value of the
// header field would be "AQIDBAUGBwgJCgsMDQ4PEC=="" RFC 6455, Section 4.1 (the RFC's "EC==" has stray bits; an encoder
// writes "EA==").
func TestRFC6455Section4_1_Key(t *testing.T) {
	var random [16]byte
	for i := range random {
		random[i] = byte(i + 1)
	}
	if got := NewKey(random); got != "AQIDBAUGBwgJCgsMDQ4PEA==" {
		t.Errorf("NewKey: %q", got)
	}
}

// "giving the value [...] "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="" RFC 6455, Section 4.2.2.
func TestRFC6455Section4_2_2_AcceptKey(t *testing.T) {
	if got := AcceptKey(sampleKey); got != sampleAccept {
		t.Errorf("AcceptKey: %q, want %q", got, sampleAccept)
	}
}

func TestRFC6455Section4_1_Request(t *testing.T) {
	h := header("Cookie: a=b")
	offer := Offer{Subprotocols: []string{"chat.v2", "chat"}, Deflate: &deflate.Params{ServerMaxWindowBits: 10}}
	if err := SetRequest(h, offer, sampleKey); err != nil {
		t.Fatal(err)
	}
	// 5. "The request MUST contain an |Upgrade| header field whose value MUST include the "websocket" keyword."
	wantField(t, h, "Upgrade", "websocket")
	// 6. "The request MUST contain a |Connection| header field whose value MUST include the "Upgrade" token."
	wantField(t, h, "Connection", "Upgrade")
	// 7. "The request MUST include a header field with the name |Sec-WebSocket-Key|."
	wantField(t, h, "Sec-WebSocket-Key", sampleKey)
	// 9. "The request MUST include a header field with the name |Sec-WebSocket-Version|. The value of this header field MUST be 13."
	wantField(t, h, "Sec-WebSocket-Version", "13")
	// 10. "one or more comma-separated subprotocol the client wishes to speak, ordered by preference"
	wantField(t, h, "Sec-WebSocket-Protocol", "chat.v2, chat")
	// 11. "The request MAY include a header field with the name |Sec-WebSocket-Extensions|."
	wantField(t, h, "Sec-WebSocket-Extensions", "permessage-deflate; server_max_window_bits=10; client_max_window_bits")
	// 12. "The request MAY include any other header fields."
	wantField(t, h, "Cookie", "a=b")

	h = http.Header{}
	if err := SetRequest(h, Offer{}, sampleKey); err != nil {
		t.Fatal(err)
	}
	wantField(t, h, "Sec-WebSocket-Protocol")
	wantField(t, h, "Sec-WebSocket-Extensions")
}

// "[RFC6455] requires the use of Connection and Upgrade header fields that are not part of HTTP/2. They MUST NOT be included
// in the CONNECT request defined here." RFC 8441, Section 5.
func TestRFC8441Section5_Request(t *testing.T) {
	h := http.Header{}
	if err := SetRequest(h, Offer{Subprotocols: []string{"chat"}, Deflate: &deflate.Params{}}, ""); err != nil {
		t.Fatal(err)
	}
	want := header("Sec-WebSocket-Version: 13", "Sec-WebSocket-Protocol: chat", "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits")
	if !reflect.DeepEqual(h, want) {
		t.Errorf("got %v, want %v", h, want)
	}
}

func TestRFC6455Section4_1_RequestRefused(t *testing.T) {
	for _, tt := range []struct {
		name   string
		header http.Header
		offer  Offer
		want   string
	}{
		{"key set by hand", header("Sec-WebSocket-Key: x"), Offer{}, "reserved-field"},
		{"not canonical", http.Header{"sec-websocket-extensions": {"x"}}, Offer{}, "reserved-field"},
		{"version", header("Sec-WebSocket-Version: 8"), Offer{}, "reserved-field"},
		{"protocol", header("Sec-WebSocket-Protocol: x"), Offer{}, "reserved-field"},
		{"accept", header("Sec-WebSocket-Accept: x"), Offer{}, "reserved-field"},
		{"upgrade", header("Upgrade: h2c"), Offer{}, "reserved-field"},
		{"connection", header("Connection: close"), Offer{}, "reserved-field"},
		// 10. "MUST be non-empty strings with characters in the range U+0021 to U+007E not including separator characters"
		{"empty subprotocol", header(), Offer{Subprotocols: []string{"a", ""}}, "malformed-subprotocols"},
		{"subprotocol with a space", header(), Offer{Subprotocols: []string{"a b"}}, "malformed-subprotocols"},
		{"subprotocol with a comma", header(), Offer{Subprotocols: []string{"a,b"}}, "malformed-subprotocols"},
		{"subprotocol with a slash", header(), Offer{Subprotocols: []string{"a/b"}}, "malformed-subprotocols"},
		{"subprotocol beyond ASCII", header(), Offer{Subprotocols: []string{"caf\u00e9"}}, "malformed-subprotocols"},
		{"subprotocol with a line break", header(), Offer{Subprotocols: []string{"a\r\nX: y"}}, "malformed-subprotocols"},
		// "and MUST all be unique strings"
		{"subprotocol twice", header(), Offer{Subprotocols: []string{"a", "b", "a"}}, "duplicate-subprotocol"},
		{"window bits", header(), Offer{Deflate: &deflate.Params{ClientMaxWindowBits: 7}}, "window-bits-out-of-range"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			before := tt.header.Clone()
			var err *Error
			if !errors.As(SetRequest(tt.header, tt.offer, sampleKey), &err) {
				t.Fatal("no *Error")
			}
			if err.Name != tt.want || err.Status != 0 || err.Section == "" || err.Detail == "" {
				t.Errorf("error %#v, want %s", err, tt.want)
			}
			if !reflect.DeepEqual(tt.header, before) {
				t.Errorf("the header was changed to %v", tt.header)
			}
		})
	}
}

// The response to sampleKey that is right.
var goodResponse = header("Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Accept: "+sampleAccept)

func TestRFC6455Section4_1_Response(t *testing.T) {
	for _, tt := range []struct {
		sentence string
		status   int
		header   http.Header
		want     string
	}{
		{"a right one", 101, goodResponse, ""},
		{`1. "If the status code received from the server is not 101, the client handles the response per HTTP procedures."`, 200, goodResponse, "unexpected-status"},
		{"1. redirect", 302, header("Location: /"), "unexpected-status"},
		{"1. authentication", 401, header(), "unexpected-status"},
		{"1. another 1xx", 100, goodResponse, "unexpected-status"},
		{`2. "If the response lacks an |Upgrade| header field"`, 101, replaced(goodResponse, "-Upgrade"), "wrong-upgrade"},
		{`2. "or the |Upgrade| header field contains a value that is not an ASCII case-insensitive match for the value "websocket""`, 101, replaced(goodResponse, "Upgrade: h2c"), "wrong-upgrade"},
		{"2. any case", 101, replaced(goodResponse, "Upgrade: WebSocket"), ""},
		{"2. whitespace and empty elements", 101, replaced(goodResponse, "Upgrade: , websocket ,"), ""},
		{"2. more than websocket", 101, replaced(goodResponse, "Upgrade: websocket, h2c"), "wrong-upgrade"},
		{"2. twice", 101, replaced(goodResponse, "Upgrade: websocket", "Upgrade: websocket"), "wrong-upgrade"},
		{"2. part of a token", 101, replaced(goodResponse, "Upgrade: websockets"), "wrong-upgrade"},
		{"2. ASCII only: Kelvin sign", 101, replaced(goodResponse, "Upgrade: websoc\u212aet"), "wrong-upgrade"},
		{`3. "If the response lacks a |Connection| header field"`, 101, replaced(goodResponse, "-Connection"), "wrong-connection"},
		{`3. "or the |Connection| header field doesn't contain a token that is an ASCII case-insensitive match for the value "Upgrade""`, 101, replaced(goodResponse, "Connection: keep-alive"), "wrong-connection"},
		{"3. any case", 101, replaced(goodResponse, "Connection: uPGRADE"), ""},
		{"3. in a list", 101, replaced(goodResponse, "Connection: keep-alive,\tupgrade"), ""},
		{"3. in a second line", 101, replaced(goodResponse, "Connection: keep-alive", "Connection: Upgrade"), ""},
		{"3. part of a token", 101, replaced(goodResponse, "Connection: no-upgrade"), "wrong-connection"},
		{`4. "If the response lacks a |Sec-WebSocket-Accept| header field"`, 101, replaced(goodResponse, "-Sec-WebSocket-Accept"), "wrong-accept"},
		{`4. "contains a value other than the base64-encoded SHA-1"`, 101, replaced(goodResponse, "Sec-WebSocket-Accept: "+AcceptKey("AAAAAAAAAAAAAAAAAAAAAA==")), "wrong-accept"},
		{`4. "ignoring any leading and trailing whitespace"`, 101, replaced(goodResponse, "Sec-WebSocket-Accept: \t "+sampleAccept+" "), ""},
		{"4. case matters in base64", 101, replaced(goodResponse, "Sec-WebSocket-Accept: "+strings.ToLower(sampleAccept)), "wrong-accept"},
		{"4. twice", 101, replaced(goodResponse, "Sec-WebSocket-Accept: "+sampleAccept, "Sec-WebSocket-Accept: "+sampleAccept), "wrong-accept"},
		{"4. the key itself", 101, replaced(goodResponse, "Sec-WebSocket-Accept: "+sampleKey), "wrong-accept"},
		{"4. empty", 101, replaced(goodResponse, "Sec-WebSocket-Accept: "), "wrong-accept"},
	} {
		t.Run(tt.sentence, func(t *testing.T) {
			_, err := CheckResponse(tt.status, tt.header, Offer{}, sampleKey)
			wantError(t, err, 0, tt.want)
		})
	}
}

// 5 and 6 of RFC 6455, Section 4.1, which hold over HTTP/2 as well.
func TestRFC6455Section4_1_ResponseChoices(t *testing.T) {
	full := deflate.Params{ServerMaxWindowBits: 15, ClientMaxWindowBits: 15}
	limited := full
	limited.ClientMaxWindowBits = 10
	chat := Offer{Subprotocols: []string{"chat", "superchat"}}
	compress := Offer{Deflate: &deflate.Params{}}
	for _, tt := range []struct {
		sentence string
		offer    Offer
		fields   []string
		want     Agreement
		err      string
	}{
		{"nothing chosen", chat, nil, Agreement{}, ""},
		{`6. "the use of a subprotocol that was not present in the client's handshake"`, chat, []string{"Sec-WebSocket-Protocol: soap"}, Agreement{}, "subprotocol-not-offered"},
		{"6. none was offered", Offer{}, []string{"Sec-WebSocket-Protocol: chat"}, Agreement{}, "subprotocol-not-offered"},
		{"6. chosen", chat, []string{"Sec-WebSocket-Protocol: superchat"}, Agreement{Subprotocol: "superchat"}, ""},
		{"6. case matters", chat, []string{"Sec-WebSocket-Protocol: Chat"}, Agreement{}, "subprotocol-not-offered"},
		{"6. several in a line", chat, []string{"Sec-WebSocket-Protocol: chat, superchat"}, Agreement{}, "malformed-subprotocol"},
		{"6. several lines", chat, []string{"Sec-WebSocket-Protocol: chat", "Sec-WebSocket-Protocol: superchat"}, Agreement{}, "malformed-subprotocol"},
		{`4.2.2: "The empty string is not the same as the null value for these purposes and is not a legal value for this field."`, chat, []string{"Sec-WebSocket-Protocol: "}, Agreement{}, "malformed-subprotocol"},
		{`5. "the use of an extension that was not present in the client's handshake"`, compress, []string{"Sec-WebSocket-Extensions: x-webkit-deflate-frame"}, Agreement{}, "extension-not-offered"},
		{"5. none was offered", chat, []string{"Sec-WebSocket-Extensions: permessage-deflate"}, Agreement{}, "extension-not-offered"},
		{"5. chosen", compress, []string{"Sec-WebSocket-Extensions: permessage-deflate"}, Agreement{Deflate: &full, Extensions: "permessage-deflate"}, ""},
		{"5. chosen, with a quoted parameter", compress, []string{`Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits="10"`},
			Agreement{Deflate: &limited, Extensions: `permessage-deflate; client_max_window_bits="10"`}, ""},
		{"5. another besides", compress, []string{"Sec-WebSocket-Extensions: permessage-deflate, mux"}, Agreement{}, "extension-not-offered"},
		{"5. another besides, in a line of its own", compress, []string{"Sec-WebSocket-Extensions: permessage-deflate", "Sec-WebSocket-Extensions: mux"}, Agreement{}, "extension-not-offered"},
		{"5. twice", compress, []string{"Sec-WebSocket-Extensions: permessage-deflate, permessage-deflate"}, Agreement{}, "duplicate-extension"},
		{"9.1: malformed", compress, []string{"Sec-WebSocket-Extensions: permessage-deflate;"}, Agreement{}, "malformed-extensions"},
		{"9.1: empty", compress, []string{"Sec-WebSocket-Extensions: "}, Agreement{}, "malformed-extensions"},
		{"RFC 7692, Section 7: unknown parameter", compress, []string{"Sec-WebSocket-Extensions: permessage-deflate; foo"}, Agreement{}, "unknown-parameter"},
		{"RFC 7692, Section 7.1.2.1: larger than offered", Offer{Deflate: &deflate.Params{ServerMaxWindowBits: 9}},
			[]string{"Sec-WebSocket-Extensions: permessage-deflate; server_max_window_bits=10"}, Agreement{}, "window-bits-above-offer"},
		{"RFC 7692, Section 7.1.1.1: not confirmed", Offer{Deflate: &deflate.Params{ServerNoContextTakeover: true}},
			[]string{"Sec-WebSocket-Extensions: permessage-deflate"}, Agreement{}, "parameter-not-confirmed"},
	} {
		t.Run(tt.sentence, func(t *testing.T) {
			h1 := replaced(goodResponse, tt.fields...)
			got, err := CheckResponse(101, h1, tt.offer, sampleKey)
			wantError(t, err, 0, tt.err)
			if !reflect.DeepEqual(got, tt.want) {
				t.Errorf("got %+v, want %+v", got, tt.want)
			}
			got, err = CheckResponse(200, header(tt.fields...), tt.offer, "")
			wantError(t, err, 0, tt.err)
			if !reflect.DeepEqual(got, tt.want) {
				t.Errorf("over HTTP/2: got %+v, want %+v", got, tt.want)
			}
		})
	}
}

// "Implementations using this extended CONNECT to bootstrap WebSockets do not do the processing of the Sec-WebSocket-Key and
// Sec-WebSocket-Accept header fields of [RFC6455]." RFC 8441, Section 5.
func TestRFC8441Section5_Response(t *testing.T) {
	for _, tt := range []struct {
		name   string
		status int
		header http.Header
		want   string
	}{
		{"200", 200, header(), ""},
		{"204", 204, header(), ""},
		{"299", 299, header(), ""},
		{"Sec-WebSocket-Accept is not looked at", 200, header("Sec-WebSocket-Accept: nonsense"), ""},
		{"101 does not exist there", 101, goodResponse, "unexpected-status"},
		{"199", 199, header(), "unexpected-status"},
		{"300", 300, header(), "unexpected-status"},
		{"501", 501, header(), "unexpected-status"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := CheckResponse(tt.status, tt.header, Offer{}, "")
			wantError(t, err, 0, tt.want)
		})
	}
}

// "If the server doesn't support the requested version, it MUST respond with a |Sec-WebSocket-Version| header field (or multiple
// |Sec-WebSocket-Version| header fields) containing all versions it is willing to use." RFC 6455, Section 4.4. The client tells them.
func TestRFC6455Section4_4_ClientTellsVersions(t *testing.T) {
	_, err := CheckResponse(400, header("Sec-WebSocket-Version: 8", "Sec-WebSocket-Version: 7"), Offer{}, sampleKey)
	wantError(t, err, 0, "unexpected-status", `server answered 400, not 101; it sent Sec-WebSocket-Version "8, 7"`)
}

func TestErrorsCutValues(t *testing.T) {
	_, err := CheckResponse(101, replaced(goodResponse, "Upgrade: "+strings.Repeat("x\"", 5000)), Offer{}, sampleKey)
	wantError(t, err, 0, "wrong-upgrade", `server answered 101 with Upgrade "x\"x\"`)
}

package handshake

import (
	"net/http"
	"reflect"
	"strings"
	"testing"

	"github.com/weftws/weft/internal/deflate"
)

// A request that is right.
func goodRequest() Request {
	return Request{Method: "GET", ProtoMajor: 1, ProtoMinor: 1, Host: "example.com", Header: header(
		"Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Key: "+sampleKey, "Sec-WebSocket-Version: 13")}
}

// "If the server, while reading the handshake, finds that the client did not send a handshake that matches the description
// below [...], the server MUST stop processing the client's handshake and return an HTTP response with an appropriate error
// code (such as 400 Bad Request)." RFC 6455, Section 4.2.1.
func TestRFC6455Section4_2_1_Request(t *testing.T) {
	for _, tt := range []struct {
		sentence string
		change   func(*Request)
		fields   []string
		status   int
		want     string
	}{
		{"a right one", nil, nil, 0, ""},
		{`1. "An HTTP/1.1 or higher GET request": POST`, func(r *Request) { r.Method = "POST" }, nil, 405, "wrong-method"},
		{"1. CONNECT", func(r *Request) { r.Method = "CONNECT" }, nil, 405, "wrong-method"},
		{"1. methods are case-sensitive", func(r *Request) { r.Method = "get" }, nil, 405, "wrong-method"},
		{"1. HTTP/1.0", func(r *Request) { r.ProtoMinor = 0 }, nil, 400, "wrong-http-version"},
		{"1. HTTP/0.9", func(r *Request) { r.ProtoMajor, r.ProtoMinor = 0, 9 }, nil, 400, "wrong-http-version"},
		{`2. "A |Host| header field containing the server's authority."`, func(r *Request) { r.Host = "" }, nil, 400, "missing-host"},
		{`3. "An |Upgrade| header field containing the value "websocket""`, nil, []string{"-Upgrade"}, 426, "not-an-upgrade"},
		{"3. another protocol", nil, []string{"Upgrade: h2c"}, 426, "not-an-upgrade"},
		{`3. "treated as an ASCII case-insensitive value"`, nil, []string{"Upgrade: WEBSOCKET"}, 0, ""},
		{"3. in a list", nil, []string{"Upgrade: h2c, websocket"}, 0, ""},
		{"3. part of a token", nil, []string{"Upgrade: websocket2"}, 426, "not-an-upgrade"},
		{`4. "A |Connection| header field that includes the token "Upgrade""`, nil, []string{"-Connection"}, 426, "not-an-upgrade"},
		{"4. without it", nil, []string{"Connection: keep-alive"}, 426, "not-an-upgrade"},
		{"4. as Firefox sends it", nil, []string{"Connection: keep-alive, Upgrade"}, 0, ""},
		{"4. any case, second line, empty elements", nil, []string{"Connection: keep-alive", "Connection: ,, upgrade"}, 0, ""},
		{`5. "A |Sec-WebSocket-Key| header field"`, nil, []string{"-Sec-WebSocket-Key"}, 400, "missing-key"},
		{`5. "with a base64-encoded value that, when decoded, is 16 bytes in length": 15`, nil, []string{"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAA"}, 400, "malformed-key"},
		{"5. 17 bytes", nil, []string{"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAAA="}, 400, "malformed-key"},
		{"5. no base64", nil, []string{"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25j*Q=="}, 400, "malformed-key"},
		{"5. no padding", nil, []string{"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA"}, 400, "malformed-key"},
		{"5. base64 for URLs", nil, []string{"Sec-WebSocket-Key: ______________________=="}, 400, "malformed-key"},
		{"5. empty", nil, []string{"Sec-WebSocket-Key: "}, 400, "malformed-key"},
		{"5. the example of Section 4.1, with stray bits", nil, []string{"Sec-WebSocket-Key: AQIDBAUGBwgJCgsMDQ4PEC=="}, 0, ""},
		{"5. whitespace around", nil, []string{"Sec-WebSocket-Key:  " + sampleKey + " "}, 0, ""},
		{`11.3.1: "The |Sec-WebSocket-Key| header field MUST NOT appear more than once in an HTTP request."`, nil,
			[]string{"Sec-WebSocket-Key: " + sampleKey, "Sec-WebSocket-Key: " + sampleKey}, 400, "duplicate-key"},
		{`6. "A |Sec-WebSocket-Version| header field, with a value of 13."`, nil, []string{"-Sec-WebSocket-Version"}, 426, "wrong-version"},
		{"6. an older one", nil, []string{"Sec-WebSocket-Version: 8"}, 426, "wrong-version"},
		{"6. several", nil, []string{"Sec-WebSocket-Version: 13, 8"}, 426, "wrong-version"},
		{"6. twice", nil, []string{"Sec-WebSocket-Version: 13", "Sec-WebSocket-Version: 13"}, 426, "wrong-version"},
		{`4.3: "with no leading zeros"`, nil, []string{"Sec-WebSocket-Version: 013"}, 426, "wrong-version"},
		{`10. "Unknown header fields are ignored"`, nil, []string{"X-Unknown: \x00"}, 0, ""},
	} {
		t.Run(tt.sentence, func(t *testing.T) {
			r := goodRequest()
			r.Header = replaced(r.Header, tt.fields...)
			if tt.change != nil {
				tt.change(&r)
			}
			wantError(t, CheckRequest(r), tt.status, tt.want)
		})
	}
}

// What the answers carry besides the status.
func TestRFC6455Section4_2_2_ErrorHeaders(t *testing.T) {
	r := goodRequest()
	r.Method = "PUT"
	// "The origin server MUST generate an Allow header field in a 405 response." RFC 9110, Section 15.5.6.
	if got, want := CheckRequest(r).Header, header("Allow: GET"); !reflect.DeepEqual(got, want) {
		t.Errorf("405 carries %v, want %v", got, want)
	}
	upgrade := header("Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13")
	r = goodRequest()
	// "If this version does not match a version understood by the server, the server MUST abort the WebSocket handshake [...] and
	// instead send an appropriate HTTP error code (such as 426 Upgrade Required) and a |Sec-WebSocket-Version| header field
	// indicating the version(s) the server is capable of understanding." RFC 6455, Section 4.2.2.
	r.Header.Set("Sec-WebSocket-Version", "8")
	err := CheckRequest(r)
	wantError(t, err, 426, "wrong-version", `client sent Sec-WebSocket-Version "8", this server speaks 13`)
	if !reflect.DeepEqual(err.Header, upgrade) {
		t.Errorf("426 carries %v, want %v", err.Header, upgrade)
	}
	// "The server MUST send an Upgrade header field in a 426 response." RFC 9110, Section 15.5.22.
	r = goodRequest()
	r.Header.Del("Upgrade")
	err = CheckRequest(r)
	wantError(t, err, 426, "not-an-upgrade", "client sent no Upgrade")
	if !reflect.DeepEqual(err.Header, upgrade) {
		t.Errorf("426 carries %v, want %v", err.Header, upgrade)
	}
}

func TestRFC8441Section5_CheckRequest(t *testing.T) {
	for _, tt := range []struct {
		name   string
		method string
		fields []string
		status int
		want   string
	}{
		{"as the handler sees it", "GET", []string{"Sec-WebSocket-Version: 13"}, 0, ""},
		{"as it was sent", "CONNECT", []string{"Sec-WebSocket-Version: 13"}, 0, ""},
		{"without a version", "GET", nil, 0, ""},
		{"another version", "GET", []string{"Sec-WebSocket-Version: 12"}, 400, "wrong-version"},
		{"another method", "POST", nil, 405, "wrong-method"},
		{"a key is not looked at", "GET", []string{"Sec-WebSocket-Key: nonsense"}, 0, ""},
	} {
		for _, major := range []int{2, 3} {
			t.Run(tt.name, func(t *testing.T) {
				err := CheckRequest(Request{Method: tt.method, ProtoMajor: major, Host: "example.com", Header: header(tt.fields...)})
				wantError(t, err, tt.status, tt.want)
				if err != nil && (err.Header.Get("Upgrade") != "" || err.Header.Get("Connection") != "") {
					t.Errorf("HTTP/%d answers carry %v", major, err.Header)
				}
				if tt.want == "wrong-version" {
					wantField(t, err.Header, "Sec-WebSocket-Version", "13")
				}
			})
		}
	}
}

// /subprotocol/ of RFC 6455, Section 4.2.2.
func TestRFC6455Section4_2_2_Subprotocol(t *testing.T) {
	for _, tt := range []struct {
		sentence string
		lines    []string
		support  []string
		want     string
		err      string
	}{
		{`"selecting one of the values from the |Sec-WebSocket-Protocol| field that the server is willing to use"`, []string{"a, b"}, []string{"b"}, "b", ""},
		{"the server's preference counts", []string{"a, b"}, []string{"b", "a"}, "b", ""},
		{`"If the client's handshake did not contain such a header field [...], the only acceptable value is null."`, nil, []string{"a"}, "", ""},
		{`"or if the server does not agree to any of the client's requested subprotocols"`, []string{"a"}, []string{"c"}, "", ""},
		{"a server without subprotocols", []string{"a"}, nil, "", ""},
		{"several lines, empty elements", []string{"a", ", b,"}, []string{"b"}, "b", ""},
		{"case matters", []string{"Chat"}, []string{"chat"}, "", ""},
		{`4.1: "MUST be non-empty strings [...] not including separator characters"`, []string{"a b"}, []string{"a"}, "", "malformed-subprotocols"},
		{`4.1: "MUST all be unique strings"`, []string{"a", "a"}, []string{"a"}, "", "duplicate-subprotocol"},
		{`4.3: "Sec-WebSocket-Protocol-Client = 1#token"`, []string{" , "}, []string{"a"}, "", "malformed-subprotocols"},
		{"too many", []string{"x" + manyTokens(maxSubprotocols)}, []string{"a"}, "", "too-many-subprotocols"},
	} {
		t.Run(tt.sentence, func(t *testing.T) {
			got, err := Agree(http.Header{"Sec-Websocket-Protocol": tt.lines}, Support{Subprotocols: tt.support})
			wantError(t, err, 400, tt.err)
			if got.Subprotocol != tt.want {
				t.Errorf("got %q, want %q", got.Subprotocol, tt.want)
			}
		})
	}
}

// manyTokens is ",y,yy,yyy ..." with n tokens.
func manyTokens(n int) string {
	var b strings.Builder
	for i := range n {
		b.WriteString("," + strings.Repeat("y", i+1))
	}
	return b.String()
}

// /extensions/ of RFC 6455, Section 4.2.2, and RFC 7692, Sections 5 and 7.
func TestRFC7692Section5_Agree(t *testing.T) {
	any := &deflate.Params{}
	for _, tt := range []struct {
		sentence string
		lines    []string
		support  *deflate.Params
		want     string // the response's Sec-WebSocket-Extensions
		err      string
	}{
		{"none offered", nil, any, "", ""},
		{"offered and accepted", []string{"permessage-deflate"}, any, "permessage-deflate", ""},
		{"offered to a server that does not want it", []string{"permessage-deflate"}, nil, "", ""},
		{`6455, 4.2.2: "Extensions not listed by the client MUST NOT be listed."`, []string{"mux"}, any, "", ""},
		{"as Chrome offers it", []string{"permessage-deflate; client_max_window_bits"}, any, "permessage-deflate", ""},
		{`Section 5: "The order of elements is important as it specifies the client's preference. An element preceding another element has higher preference."`,
			[]string{"permessage-deflate; server_max_window_bits=9, permessage-deflate"}, any, "permessage-deflate; server_max_window_bits=9", ""},
		{`Section 5: "This set of elements MAY include multiple PMCEs with the same extension name to offer the possibility to use the same algorithm with different configuration parameters."`,
			[]string{"permessage-deflate; unknown, permessage-deflate; client_max_window_bits=9"}, any, "permessage-deflate; client_max_window_bits=9", ""},
		{"in lines of their own", []string{"mux; permessage-deflate", "permessage-deflate; server_max_window_bits=7", "permessage-deflate; server_no_context_takeover"}, any, "permessage-deflate; server_no_context_takeover", ""},
		{`Section 7: "A server MUST decline": "an extension parameter not defined for use in an offer"`, []string{"permessage-deflate; foo=bar"}, any, "", ""},
		{`Section 7: "an extension parameter with an invalid value"`, []string{"permessage-deflate; client_max_window_bits=99"}, any, "", ""},
		{`Section 7: "multiple extension parameters with the same name"`, []string{"permessage-deflate; client_no_context_takeover; client_no_context_takeover"}, any, "", ""},
		{`Section 7.1.1.2: "A server MAY include the "client_no_context_takeover" extension parameter" unoffered`, []string{"permessage-deflate"}, &deflate.Params{ClientMaxWindowBits: 10}, "permessage-deflate; client_no_context_takeover", ""},
		{"quoted values", []string{`permessage-deflate; server_max_window_bits="1\0"`}, any, "permessage-deflate; server_max_window_bits=10", ""},
		{"names are case-sensitive", []string{"Permessage-Deflate"}, any, "", ""},
		{"malformed, even if nobody wants it", []string{"permessage-deflate;;"}, nil, "", "malformed-extensions"},
		{"malformed in a later element", []string{"permessage-deflate, ="}, any, "", "malformed-extensions"},
	} {
		t.Run(tt.sentence, func(t *testing.T) {
			got, err := Agree(http.Header{"Sec-Websocket-Extensions": tt.lines}, Support{Deflate: tt.support})
			wantError(t, err, 400, tt.err)
			if got.Extensions != tt.want || (got.Deflate != nil) != (tt.want != "") {
				t.Errorf("got %q, %+v; want %q", got.Extensions, got.Deflate, tt.want)
			}
		})
	}
	_, err := Agree(http.Header{}, Support{Deflate: &deflate.Params{ServerMaxWindowBits: 3}})
	wantError(t, err, 500, "window-bits-out-of-range")
}

// Step 5 of RFC 6455, Section 4.2.2.
func TestRFC6455Section4_2_2_Response(t *testing.T) {
	agreement := Agreement{Subprotocol: "chat", Deflate: &deflate.Params{ServerMaxWindowBits: 10, ClientMaxWindowBits: 15}}
	for _, tt := range []struct {
		name      string
		before    http.Header
		agreement Agreement
		key       string
		upgrade   bool
		want      http.Header
	}{
		{"HTTP/1.1", header("X-Other: stays"), agreement, sampleKey, true, header("X-Other: stays",
			"Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Accept: "+sampleAccept,
			"Sec-WebSocket-Protocol: chat", "Sec-WebSocket-Extensions: permessage-deflate; server_max_window_bits=10")},
		{"HTTP/2", header(), agreement, "", false, header(
			"Sec-WebSocket-Protocol: chat", "Sec-WebSocket-Extensions: permessage-deflate; server_max_window_bits=10")},
		{"HTTP/2, the client sent a key", header(), Agreement{}, sampleKey, false, header("Sec-WebSocket-Accept: " + sampleAccept)},
		{`"it MUST NOT send back a |Sec-WebSocket-Protocol| header field": nor one the handler has set`,
			header("Sec-WebSocket-Protocol: mine", "Sec-WebSocket-Extensions: mine", "Sec-WebSocket-Accept: mine"), Agreement{}, "", false, header()},
		{"the response as agreed", header(), Agreement{Deflate: &deflate.Params{}, Extensions: "permessage-deflate; server_max_window_bits=15"}, "", false,
			header("Sec-WebSocket-Extensions: permessage-deflate; server_max_window_bits=15")},
	} {
		t.Run(tt.name, func(t *testing.T) {
			SetResponse(tt.before, tt.agreement, tt.key, tt.upgrade)
			if !reflect.DeepEqual(tt.before, tt.want) {
				t.Errorf("got %v, want %v", tt.before, tt.want)
			}
		})
	}
}

// Both sides of a handshake agree, over HTTP/1.1 and HTTP/2.
func TestHandshakeRoundTrip(t *testing.T) {
	params := func(noTakeover bool, server, client int) *deflate.Params {
		return &deflate.Params{ServerNoContextTakeover: noTakeover, ClientNoContextTakeover: noTakeover, ServerMaxWindowBits: server, ClientMaxWindowBits: client}
	}
	for _, key := range []string{sampleKey, ""} {
		for _, offer := range []Offer{
			{}, {Subprotocols: []string{"x", "y"}}, {Deflate: params(false, 0, 0)}, {Deflate: params(true, 9, 10)}, {Deflate: params(false, 15, 8), Subprotocols: []string{"y"}},
		} {
			for _, support := range []Support{{}, {Subprotocols: []string{"y"}, Deflate: params(false, 0, 0)}, {Deflate: params(true, 8, 12)}} {
				request := Request{Method: "GET", ProtoMajor: 1, ProtoMinor: 1, Host: "example.com", Header: http.Header{}}
				status := 101
				if key == "" {
					request.ProtoMajor, request.ProtoMinor, status = 2, 0, 200
				}
				if err := SetRequest(request.Header, offer, key); err != nil {
					t.Fatal(err)
				}
				if err := CheckRequest(request); err != nil {
					t.Fatal(err)
				}
				server, err := Agree(request.Header, support)
				if err != nil {
					t.Fatal(err)
				}
				response := http.Header{}
				SetResponse(response, server, key, status == 101)
				client, err := CheckResponse(status, response, offer, key)
				if err != nil {
					t.Fatalf("offer %+v, support %+v: %v", offer, support, err)
				}
				if !reflect.DeepEqual(client, server) {
					t.Errorf("offer %+v, support %+v: the client goes by %+v, the server by %+v", offer, support, client, server)
				}
			}
		}
	}
}

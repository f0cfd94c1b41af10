package h2

import (
	"fmt"
	"strings"
	"testing"
)

const rest = "\n  :scheme: https\n  :authority: example.com\n  :path: /"

func TestRequestFields(t *testing.T) {
	tests := []struct {
		name   string
		fields string
		want   string // the name of the violation, or the event
	}{
		{"get", "  :method: GET" + rest, "Headers 1 GET https example.com / end"},
		{"no authority", "  :method: GET\n  :scheme: https\n  :path: /x?y", "Headers 1 GET https /x?y end"},
		{"host", "  :method: GET" + rest + "\n  host: EXAMPLE.com:443", `Headers 1 GET https example.com / host="EXAMPLE.com:443" end`},
		{"options", "  :method: OPTIONS\n  :scheme: http\n  :path: *", "Headers 1 OPTIONS http * end"},
		{"other scheme", "  :method: GET\n  :scheme: coap+tcp\n  :path: \"\"", "Headers 1 GET coap+tcp end"},
		{"trailers wanted", "  :method: GET" + rest + "\n  te: trailers", `Headers 1 GET https example.com / te="trailers" end`},
		{"connect", "  :method: CONNECT\n  :authority: a:1", "Headers 1 CONNECT a:1 end"},
		{"extended connect", "  :method: CONNECT\n  :protocol: websocket" + rest, "Headers 1 CONNECT websocket https example.com / end"},
		{"crumbs", "  :method: GET" + rest + "\n  cookie: a=b\n  x: y\n  cookie: c=d\n  cookie: e=f",
			`Headers 1 GET https example.com / cookie="a=b; c=d; e=f" x="y" end`},
		{"one crumb", "  :method: GET" + rest + "\n  cookie: a=b", `Headers 1 GET https example.com / cookie="a=b" end`},
		{"no content", "  :method: GET" + rest + "\n  content-length: 0", `Headers 1 GET https example.com / content-length="0" end`},
		{"same length twice", "  :method: GET" + rest + "\n  content-length: 0\n  content-length: 0",
			`Headers 1 GET https example.com / content-length="0" content-length="0" end`},
		{"obs-text", "  :method: GET" + rest + "\n  x: \"caf\\xe9\"", `Headers 1 GET https example.com / x="caf\xe9" end`},

		{"no method", "  :scheme: https\n  :path: /", "pseudo-header-missing"},
		{"no scheme", "  :method: GET\n  :path: /", "pseudo-header-missing"},
		{"no path", "  :method: GET\n  :scheme: https", "pseudo-header-missing"},
		{"empty path", "  :method: GET\n  :scheme: https\n  :path: \"\"", "pseudo-header-invalid"},
		{"relative path", "  :method: GET\n  :scheme: https\n  :path: x", "pseudo-header-invalid"},
		{"asterisk", "  :method: GET\n  :scheme: https\n  :path: *", "pseudo-header-invalid"},
		{"method", "  :method: G T\n  :scheme: https\n  :path: /", "pseudo-header-invalid"},
		{"scheme", "  :method: GET\n  :scheme: 1https\n  :path: /", "pseudo-header-invalid"},
		{"empty scheme", "  :method: GET\n  :scheme: \"\"\n  :path: /", "pseudo-header-invalid"},
		{"userinfo", "  :method: GET\n  :scheme: https\n  :authority: me@example.com\n  :path: /", "pseudo-header-invalid"},
		{"status", "  :method: GET" + rest + "\n  :status: 200", "pseudo-header-unknown"},
		{"unknown pseudo", "  :method: GET" + rest + "\n  :weft: 1", "pseudo-header-unknown"},
		{"repeated", "  :method: GET\n  :method: GET" + rest, "pseudo-header-repeated"},
		{"after", "  :method: GET\n  a: b" + rest, "pseudo-header-after-field"},
		{"host differs", "  :method: GET" + rest + "\n  host: example.org", "host-mismatch"},
		{"two hosts", "  :method: GET\n  :scheme: https\n  :path: /\n  host: a\n  host: b", "host-mismatch"},
		{"connect with path", "  :method: CONNECT\n  :authority: a:1\n  :path: /", "connect-form"},
		{"connect to nobody", "  :method: CONNECT", "connect-form"},
		{"protocol without connect", "  :method: GET\n  :protocol: websocket" + rest, "connect-form"},
		{"extended without path", "  :method: CONNECT\n  :protocol: websocket\n  :scheme: https\n  :authority: a", "pseudo-header-missing"},
		{"extended without authority", "  :method: CONNECT\n  :protocol: websocket\n  :scheme: https\n  :path: /", "pseudo-header-missing"},
		{"empty protocol", "  :method: CONNECT\n  :protocol: \"\"" + rest, "pseudo-header-invalid"},
		{"upper case", "  :method: GET" + rest + "\n  \"X\": y", "field-name-invalid"},
		{"space in name", "  :method: GET" + rest + "\n  \"a b\": y", "field-name-invalid"},
		{"newline", "  :method: GET" + rest + "\n  a: \"b\\r\\nc\"", "field-value-invalid"},
		{"nul", "  :method: GET" + rest + "\n  a: \"b\\x00\"", "field-value-invalid"},
		{"leading space", "  :method: GET" + rest + "\n  a: \" b\"", "field-value-invalid"},
		{"trailing tab", "  :method: GET" + rest + "\n  a: \"b\\t\"", "field-value-invalid"},
		{"connection", "  :method: GET" + rest + "\n  connection: close", "connection-specific-field"},
		{"transfer-encoding", "  :method: GET" + rest + "\n  transfer-encoding: chunked", "connection-specific-field"},
		{"te", "  :method: GET" + rest + "\n  te: gzip", "connection-specific-field"},
		{"length", "  :method: GET" + rest + "\n  content-length: +1", "content-length-invalid"},
		{"empty length", "  :method: GET" + rest + "\n  content-length: \"\"", "content-length-invalid"},
		{"huge length", "  :method: GET" + rest + "\n  content-length: 9223372036854775808", "content-length-invalid"},
		{"two lengths", "  :method: GET" + rest + "\n  content-length: 1\n  content-length: 2", "content-length-invalid"},
		{"length of nothing", "  :method: GET" + rest + "\n  content-length: 1", "content-length-mismatch"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			v := converse(t, Config{Side: Server, ConnectProtocol: true})
			v.recv("HEADERS stream=1 END_HEADERS END_STREAM\n" + tt.fields)
			wantEventOrBreach(v, tt.want)
			// Whatever it was, the compression state is in step.
			v.recv("HEADERS stream=3 END_HEADERS" + getRequest)
			v.wantEvents("Headers 3 GET https example.com /")
		})
	}
}

// wantEventOrBreach takes one event: want, or the reset of a stream for the violation want.
func wantEventOrBreach(v *conversation, want string) {
	v.Helper()
	ev := v.NextEvent()
	if ev == nil {
		v.Fatalf("there is no event, want %s", want)
	}
	if strings.Contains(want, " ") {
		if got := eventLine(ev); got != want {
			v.Fatalf("the event is\n%s\nwant\n%s", got, want)
		}
		return
	}
	if ev.Kind != EventReset || ev.Violation == nil || ev.Violation.Name != want || ev.Stream.ID != 1 {
		v.Fatalf("the event is\n%s\nwant Reset 1 %s", eventLine(ev), want)
	}
	v.wantOutput("RST_STREAM stream=1 " + ev.Code.String())
	if v.lookup(1) != nil {
		v.Fatal("the stream is still there")
	}
}

func TestProtocolNotEnabled(t *testing.T) {
	v := converse(t, Config{Side: Server})
	v.recv("HEADERS stream=1 END_HEADERS" + connectRequest)
	wantEventOrBreach(v, "connect-protocol-not-enabled")
}

func TestResponseFields(t *testing.T) {
	tests := []struct {
		name   string
		flags  string
		fields string
		want   string
	}{
		{"ok", "", "  :status: 200\n  set-cookie: a\n  set-cookie: b", `Headers 1 200 set-cookie="a" set-cookie="b"`},
		{"interim", "", "  :status: 103\n  link: x", `Headers 1 103 link="x"`},
		{"not modified", " END_STREAM", "  :status: 304\n  content-length: 5", `Headers 1 304 content-length="5" end`},
		{"no status", "", "  a: b", "pseudo-header-missing"},
		{"two digits", "", "  :status: 20", "status-invalid"},
		{"sign", "", "  :status: +20", "status-invalid"},
		{"zero", "", "  :status: 020", "status-invalid"},
		{"method", "", "  :method: GET\n  :status: 200", "pseudo-header-unknown"},
		{"switching", "", "  :status: 101", "switching-protocols"},
		{"interim end", " END_STREAM", "  :status: 100", "interim-with-end-stream"},
		{"length", " END_STREAM", "  :status: 200\n  content-length: 5", "content-length-mismatch"},
		{"upgrade", "", "  :status: 200\n  upgrade: websocket", "connection-specific-field"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			v := converse(t, Config{Side: Client})
			v.Open(v.now, Pseudo{Method: "GET", Scheme: "https", Path: "/"}, nil, true)
			v.output()
			v.recv("HEADERS stream=1 END_HEADERS" + tt.flags + "\n" + tt.fields)
			wantEventOrBreach(v, tt.want)
		})
	}
}

func TestContentLength(t *testing.T) {
	const post = "HEADERS stream=1 END_HEADERS\n  :method: POST" + rest + "\n  content-length: 5\n"
	tests := []struct {
		name   string
		frames string
		want   string
	}{
		{"exact", post + "DATA stream=1 \"hel\"\nDATA stream=1 \"lo\" END_STREAM", ""},
		{"padded", post + "DATA stream=1 \"hello\" pad=9 END_STREAM", ""},
		{"trailers", post + "DATA stream=1 \"hello\"\nHEADERS stream=1 END_HEADERS END_STREAM\n  a: b", ""},
		{"short", post + "DATA stream=1 \"hell\" END_STREAM", "peer ended the content 1 bytes before its content-length"},
		{"long", post + "DATA stream=1 \"hello!\"", "peer sent 1 bytes more than its content-length"},
		{"long later", post + "DATA stream=1 \"hello\"\nDATA stream=1 \"!\"", "peer sent 1 bytes more than its content-length"},
		{"short trailers", post + "DATA stream=1 \"hel\"\nHEADERS stream=1 END_HEADERS END_STREAM\n  a: b",
			"peer ended the content 2 bytes before its content-length"},
		{"tunnel", "HEADERS stream=1 END_HEADERS\n  content-length: 5\nDATA stream=1 \"hello!\"", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			v := converse(t, Config{Side: Server, ConnectProtocol: true})
			v.recv(strings.Replace(tt.frames, "END_HEADERS\n  content", "END_HEADERS"+connectRequest+"  content", 1))
			detail := ""
			for ev := v.NextEvent(); ev != nil; ev = v.NextEvent() {
				detail, _, _ = strings.Cut(ev.Detail, " (")
			}
			if detail != tt.want {
				t.Errorf("got %q, want %q", detail, tt.want)
			}
		})
	}
}

// A response to HEAD has no content, whatever its content-length says.
func TestHead(t *testing.T) {
	v := converse(t, Config{Side: Client})
	v.Open(v.now, Pseudo{Method: "HEAD", Scheme: "https", Path: "/"}, nil, true)
	v.Open(v.now, Pseudo{Method: "HEAD", Scheme: "https", Path: "/"}, nil, true)
	v.recv("HEADERS stream=1 END_HEADERS END_STREAM\n  :status: 200\n  content-length: 5")
	v.wantEvents(`Headers 1 200 content-length="5" end`)
	v.recv("HEADERS stream=3 END_HEADERS\n  :status: 200\n  content-length: 5\nDATA stream=3 \"hello\" END_STREAM")
	v.wantEvents(`Headers 3 200 content-length="5"`,
		"Reset 3 content-length-mismatch local: peer sent 5 bytes more than its content-length (PROTOCOL_ERROR, stream 3)")
}

func TestTrailers(t *testing.T) {
	v := converse(t, Config{Side: Server, ConnectProtocol: true})
	v.request(1)
	v.recv("HEADERS stream=1 END_HEADERS END_STREAM\n  x-sum: 1")
	v.wantEvents(`Trailers 1 x-sum="1" end`)
	v.request(3)
	v.recv("HEADERS stream=3 END_HEADERS\n  x-sum: 1")
	v.wantEvents("Reset 3 trailers-without-end-stream local: peer sent trailers without END_STREAM (PROTOCOL_ERROR, stream 3)")
	v.request(5)
	v.recv("HEADERS stream=5 END_HEADERS END_STREAM\n  :path: /")
	v.wantEvents(`Reset 5 pseudo-header-in-trailers local: peer sent ":path" in trailers (PROTOCOL_ERROR, stream 5)`)
	v.recv("HEADERS stream=7 END_HEADERS" + connectRequest)
	v.wantEvents("Headers 7 CONNECT websocket https example.com /chat")
	v.SendHeaders(v.stream(7), Pseudo{Status: 200}, nil, false)
	v.recv("HEADERS stream=7 END_HEADERS END_STREAM\n  x-sum: 1")
	v.wantEvents("Reset 7 headers-on-tunnel local: peer sent HEADERS on a connected stream (PROTOCOL_ERROR, stream 7)")
}

func TestHeaderLimits(t *testing.T) {
	get := "HEADERS stream=1 END_HEADERS" + strings.TrimRight(getRequest, "\n")
	tests := []struct {
		name   string
		cfg    Config
		frames string
		want   string
	}{
		{"size", Config{MaxHeaderListSize: 1000}, get + "\n  x: \"a\"*900", "header-list-too-large"},
		{"size fits", Config{MaxHeaderListSize: 1000}, get + "\n  x: \"a\"*700", ""},
		{"lines", Config{MaxHeaderFields: 100}, get + "\n  97 * a: b", "header-list-too-large"},
		{"lines fit", Config{MaxHeaderFields: 100}, get + "\n  96 * a: b", ""},
		{"crumbs", Config{MaxHeaderFields: 100}, get + "\n  97 * cookie: b", "header-list-too-large"},
		{"block", Config{MaxHeaderListSize: 1000}, get + "\n  x: \"~\"*5000", "header-block-too-large"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tt.cfg.Side = Server
			v := converse(t, tt.cfg)
			v.recv(tt.frames)
			ev, got := v.NextEvent(), ""
			if ev.Violation != nil {
				got = ev.Violation.Name
			}
			if got != tt.want {
				t.Fatalf("got %q, want %q", got, tt.want)
			}
			if v.Conn.Failed() {
				return
			}
			// The fields that were dropped are in the compression table all the same.
			v.recv("HEADERS stream=3 END_HEADERS" + getRequest)
			v.wantEvents("Headers 3 GET https example.com /")
		})
	}
}

func TestContinuations(t *testing.T) {
	v := converse(t, Config{Side: Server, MaxContinuations: 3})
	frames := "HEADERS stream=1" + getRequest
	for i := range 3 {
		frames += fmt.Sprintf("CONTINUATION stream=1\n  x-%d: y\n", i)
	}
	v.recv(frames)
	v.wantEvents()
	v.recv("CONTINUATION stream=1 END_HEADERS\n  x: y\n")
	v.wantEvents("ConnFailed too-many-continuations local: peer sent more than 3 CONTINUATION frames in the field block of stream 1 (ENHANCE_YOUR_CALM)")
}

package weft_test

import (
	"encoding/json"
	"errors"
	"reflect"
	"testing"
	"time"

	"github.com/weftws/weft"
	"github.com/weftws/weft/internal/simnet"
)

// openTrace is that of a dial whose assumption was wrong and whose spare was used.
var openTrace = weft.Trace{
	URL: "wss://example.com/chat", Version: "HTTP/1.1", Rung: weft.Upgrade, ConnID: 2,
	LocalAddr: "10.0.0.1:49153", RemoteAddr: "10.0.0.2:443", Subprotocol: "chat", Compression: "client_max_window_bits=12", RoundTrips: 4,
	Attempts: []weft.Attempt{
		{ID: 1, Rung: weft.Assume, Addr: "example.com:443", ALPN: "h2", Verdict: "version", Reason: "no ENABLE_CONNECT_PROTOCOL", Steps: []weft.Step{
			{Name: "tcp", Duration: 100*time.Millisecond + 1, Detail: "10.0.0.2:443"},
			{Name: "tls", Start: 100*time.Millisecond + 1, Duration: 99999999, Detail: "TLS 1.3, ALPN h2"},
			{Name: "settings", Start: 200 * time.Millisecond, Duration: 100 * time.Millisecond},
		}},
		{ID: 2, Rung: weft.Upgrade, Addr: "example.com:443", ALPN: "http/1.1", Verdict: "open", Steps: []weft.Step{
			{Name: "response", Start: 300 * time.Millisecond, Duration: 12345678 * time.Microsecond, Detail: "101 Switching Protocols"},
		}},
		{ID: 3, Rung: weft.Frame},
	},
}

func TestTraceText(t *testing.T) {
	live := weft.Trace{
		URL: "wss://example.com/chat", Version: "HTTP/2.0", Rung: weft.Settings, Reused: true, ConnID: 1, StreamID: 3,
		RemoteAddr: "10.0.0.2:443", RoundTrips: 1,
	}
	server := weft.Trace{Version: "HTTP/2.0", ConnID: 7, StreamID: 1, LocalAddr: "10.0.0.2:443", RemoteAddr: "10.0.0.1:49153", Subprotocol: "chat"}
	failed := weft.DialError{URL: "wss://example.com/chat", Err: errors.New("weft: refused"), Attempts: []weft.Attempt{
		{ID: 1, Rung: weft.Upgrade, Addr: "example.com:443", Verdict: "transport", Reason: "connection refused"},
	}}
	for _, tt := range []struct {
		name string
		got  interface{ String() string }
		want string
	}{
		{"open", openTrace, `open: wss://example.com/chat over HTTP/1.1 by rung upgrade, conn 2, to 10.0.0.2:443, 4 round trips, subprotocol chat, compression client_max_window_bits=12
#1 assume, example.com:443, ALPN h2: version: no ENABLE_CONNECT_PROTOCOL
     0.00 ms  +   100.00 ms  tcp       10.0.0.2:443
   100.00 ms  +   100.00 ms  tls       TLS 1.3, ALPN h2
   200.00 ms  +   100.00 ms  settings
#2 upgrade, example.com:443, ALPN http/1.1: open
   300.00 ms  + 12345.68 ms  response  101 Switching Protocols
#3 frame`},
		{"live", live, "open: wss://example.com/chat over HTTP/2.0 by rung settings, conn 1 stream 3 (reused), to 10.0.0.2:443, 1 round trip"},
		{"server", server, "open: HTTP/2.0, conn 7 stream 1, from 10.0.0.1:49153, subprotocol chat"},
		{"failed", failed.Trace(), "not open: wss://example.com/chat\n#1 upgrade, example.com:443: transport: connection refused"},
		{"event", weft.TraceEvent{Attempt: 1, Time: 1234567, Name: "tls", Detail: "TLS 1.3"}, "     1.23 ms  #1  tls       TLS 1.3"},
		{"order", weft.TraceEvent{Time: 300 * time.Millisecond, Name: "order", Detail: "send-upgrade attempt=2"}, "   300.00 ms      order     send-upgrade attempt=2"},
	} {
		if got := tt.got.String(); got != tt.want {
			t.Errorf("%s:\n%s\nwant\n%s", tt.name, got, tt.want)
		}
	}
}

// The names and units are what programs rely on; what is read back is what was written, to the nanosecond.
func TestTraceJSON(t *testing.T) {
	const attempts = `[{"id":1,"rung":"assume","addr":"example.com:443","alpn":"h2","steps":[` +
		`{"name":"tcp","start_ms":0,"duration_ms":100.000001,"detail":"10.0.0.2:443"},` +
		`{"name":"tls","start_ms":100.000001,"duration_ms":99.999999,"detail":"TLS 1.3, ALPN h2"},` +
		`{"name":"settings","start_ms":200,"duration_ms":100}],"verdict":"version","reason":"no ENABLE_CONNECT_PROTOCOL"},` +
		`{"id":2,"rung":"upgrade","addr":"example.com:443","alpn":"http/1.1","steps":[` +
		`{"name":"response","start_ms":300,"duration_ms":12345.678,"detail":"101 Switching Protocols"}],"verdict":"open","reason":""},` +
		`{"id":3,"rung":"frame","addr":"","alpn":"","steps":null,"verdict":"","reason":""}]`
	for _, tt := range []struct {
		name string
		v    any
		want string
	}{
		{"trace", &openTrace, `{"url":"wss://example.com/chat","version":"HTTP/1.1","rung":"upgrade","reused":false,"conn_id":2,"stream_id":0,` +
			`"local_addr":"10.0.0.1:49153","remote_addr":"10.0.0.2:443","subprotocol":"chat","compression":"client_max_window_bits=12",` +
			`"round_trips":4,"attempts":` + attempts + `}`},
		{"server", &weft.Trace{Version: "HTTP/2.0", ConnID: 7, StreamID: 1}, `{"url":"","version":"HTTP/2.0","rung":"","reused":false,"conn_id":7,` +
			`"stream_id":1,"local_addr":"","remote_addr":"","subprotocol":"","compression":"","round_trips":0,"attempts":null}`},
		{"error", &weft.DialError{URL: "wss://example.com/chat", Err: errors.New("refused"), Attempts: openTrace.Attempts},
			`{"url":"wss://example.com/chat","error":"refused","attempts":` + attempts + `}`},
		{"event", &weft.TraceEvent{Attempt: 1, Time: 1234567, Name: "tls", Detail: "TLS 1.3"}, `{"ms":1.234567,"attempt":1,"name":"tls","detail":"TLS 1.3"}`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b, err := json.Marshal(tt.v)
			if err != nil || string(b) != tt.want {
				t.Errorf("%s, %v; want\n%s", b, err, tt.want)
			}
			back := reflect.New(reflect.TypeOf(tt.v).Elem()).Interface()
			if err := json.Unmarshal(b, back); err != nil || !reflect.DeepEqual(back, tt.v) {
				t.Errorf("read back:\n%+v, %v; want\n%+v", back, err, tt.v)
			}
		})
	}
	for _, v := range []any{new(weft.Step), new(weft.TraceEvent), new(weft.DialError)} {
		if err := json.Unmarshal([]byte(`{"name":1,"url":1}`), v); err == nil {
			t.Errorf("%T took a number for a name", v)
		}
	}
	if b, err := json.Marshal(new(weft.DialError)); err != nil || string(b) != `{"url":"","error":"","attempts":null}` {
		t.Errorf("%s, %v: an error without a cause", b, err)
	}
}

// What a real dial leaves survives JSON, and so does what a failed one leaves.
func TestTraceOfADial(t *testing.T) {
	simnet.Run(t, rtt, func(t *testing.T, n *simnet.Network) {
		e := ladderEnv(t, n, true)
		c := e.dial("/chat", nil)
		defer c.CloseNow()
		want := c.Trace()
		var got weft.Trace
		if b, err := json.Marshal(want); err != nil || json.Unmarshal(b, &got) != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s, %v: read back %+v, want %+v", b, err, got, want)
		}
		if len(got.Attempts) != 2 || len(got.Attempts[0].Steps) == 0 || got.Attempts[0].Steps[0].Duration != rtt {
			t.Errorf("attempts are %+v, want two, of which the first begins with a round trip of TCP", got.Attempts)
		}

		_, _, err := e.dialer.Dial(e.ctx, "wss://example.com:444/chat", nil)
		de, ok := errors.AsType[*weft.DialError](err)
		if !ok {
			t.Fatalf("%v, want a DialError", err)
		}
		var failed weft.DialError
		if b, err := json.Marshal(err); err != nil || json.Unmarshal(b, &failed) != nil || !reflect.DeepEqual(failed.Attempts, de.Attempts) {
			t.Errorf("%s, %v: read back %+v, want %+v", b, err, failed.Attempts, de.Attempts)
		}
		if failed.URL != de.URL || failed.Error() != de.Error() {
			t.Errorf("read back %q, want %q", failed.Error(), de.Error())
		}
	})
}

package weft_test

import (
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"

	"github.com/weftws/weft"
	"github.com/weftws/weft/internal/simnet"
)

// overHTTP2Servers runs f with a server for each carrier of HTTP/2.
func overHTTP2Servers(t *testing.T, h http.HandlerFunc, f func(t *testing.T, e *env)) {
	t.Helper()
	overServers(t, h, false, true, f)
}

// roundTrip sends an ordinary request and returns the answer's status.
func (c *rawH2) roundTrip(e *env, method string) string {
	c.t.Helper()
	st := c.stream(c.nextID)
	c.nextID += 2
	st.respond(true, ":method: "+method, ":scheme: "+map[string]string{"ws": "http", "wss": "https"}[e.carrier.scheme], ":path: /plain", ":authority: example.com")
	return st.status()
}

// "The new parameter name is SETTINGS_ENABLE_CONNECT_PROTOCOL. The value of the parameter MUST be 0 or 1." It is in the first SETTINGS,
// and those are the first thing a server says.
func TestRFC8441Section3_ServerSettings(t *testing.T) {
	for _, off := range []bool{false, true} {
		for _, c := range onTCP[2:] {
			t.Run(fmt.Sprintf("%s/off=%t", c.name, off), func(t *testing.T) {
				simnet.Run(t, rtt, func(t *testing.T, n *simnet.Network) {
					e := newEnv(t, n, c, http.HandlerFunc(echo), func(s *weft.Server) { s.Options.DisableConnectProtocol = off })
					h2 := connectH2(t, e)
					defer h2.nc.Close()
					if v, ok := h2.setting(http2.SettingEnableConnectProtocol); ok == off || !off && v != 1 {
						t.Errorf("ENABLE_CONNECT_PROTOCOL = %d, %t", v, ok)
					}
				})
			})
		}
	}
}

// "Receipt of this parameter by a server does not have any impact." "The value of the parameter MUST be 0 or 1."
func TestRFC8441Section3_FromAClient(t *testing.T) {
	overHTTP2Servers(t, echo, func(t *testing.T, e *env) {
		c := connectH2(t, e)
		defer c.nc.Close()
		for _, v := range []uint32{1, 0, 1, 0} {
			c.fr.WriteSettings(http2.Setting{ID: http2.SettingEnableConnectProtocol, Val: v})
		}
		st := c.open(websocketFields(e.carrier)...)
		if got := st.status(); got != "200" {
			t.Errorf("the answer is %s", got)
		}
		st.Write(text("x").append(nil, true))
		b := make([]byte, 3)
		st.SetReadDeadline(time.Now().Add(patience))
		if _, err := io.ReadFull(st, b); err != nil || string(b) != "\x81\x01x" {
			t.Errorf("%x, %v", b, err)
		}
		c.fr.WriteSettings(http2.Setting{ID: http2.SettingEnableConnectProtocol, Val: 2})
		c.await("GOAWAY", func() bool { return c.goAway != "" })
		if c.goAway != "PROTOCOL_ERROR" {
			t.Errorf("GOAWAY %s", c.goAway)
		}
	})
}

// "If a client were to use the provisions of the extended CONNECT method defined in this document without first receiving a
// SETTINGS_ENABLE_CONNECT_PROTOCOL parameter, a non-supporting peer would detect a malformed request and generate a stream error."
func TestRFC8441Section3_ServerWithoutTheSetting(t *testing.T) {
	for _, c := range onTCP[2:] {
		t.Run(c.name, func(t *testing.T) {
			simnet.Run(t, rtt, func(t *testing.T, n *simnet.Network) {
				e := newEnv(t, n, c, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					if r.URL.Path != "/plain" {
						t.Errorf("the handler got %s %s", r.Method, r.URL)
					}
				}), func(s *weft.Server) { s.Options.DisableConnectProtocol = true })
				h2 := connectH2(t, e)
				defer h2.nc.Close()
				st := h2.open(websocketFields(c)...)
				st.Write([]byte("too early"))
				if got := st.status(); got != "reset PROTOCOL_ERROR" {
					t.Errorf("the answer is %s", got)
				}
				if got := h2.roundTrip(e, "GET"); got != "200" {
					t.Errorf("afterwards GET is answered with %s", got)
				}
			})
		})
	}
}

// "On requests that contain the :protocol pseudo-header field, the :scheme and :path pseudo-header fields of the target URI MUST also be
// included." "[RFC6455] requires the use of Connection and Upgrade header fields that are not part of HTTP/2. They MUST NOT be included
// in the CONNECT request defined here." Malformed requests are stream errors; the connection goes on.
func TestRFC8441Section4_Requests(t *testing.T) {
	overHTTP2Servers(t, echo, func(t *testing.T, e *env) {
		c := connectH2(t, e)
		defer c.nc.Close()
		for _, tt := range []struct {
			name    string
			changes []string
			want    string
		}{
			{"a right one", nil, "200"},
			{"without version", []string{"-sec-websocket-version"}, "200"},
			{"no :scheme", []string{"-:scheme"}, "reset PROTOCOL_ERROR"},
			{"no :path", []string{"-:path"}, "reset PROTOCOL_ERROR"},
			{"an empty :path", []string{":path:"}, "reset PROTOCOL_ERROR"},
			// "The Host information is conveyed as part of the :authority pseudo-header field, which is required on every HTTP/2
			// transaction."
			{"no :authority", []string{"-:authority"}, "reset PROTOCOL_ERROR"},
			{"no :authority, but Host", []string{"-:authority", "host: example.com"}, "reset PROTOCOL_ERROR"},
			{"Host agrees", []string{"host: example.com"}, "200"},
			{"Host disagrees", []string{"host: example.org"}, "reset PROTOCOL_ERROR"},
			// A :protocol "is single valued" and belongs to CONNECT.
			{"GET with :protocol", []string{":method: GET"}, "reset PROTOCOL_ERROR"},
			{":protocol twice", []string{"+:protocol: websocket"}, "reset PROTOCOL_ERROR"},
			{"an empty :protocol", []string{":protocol:"}, "reset PROTOCOL_ERROR"},
			// "If a server [...] does not support the protocol, it SHOULD respond with a 501." RFC 9220, Section 3.
			{"another :protocol", []string{":protocol: webtransport"}, "501"},
			{":protocol in another case", []string{":protocol: WebSocket"}, "501"},
			{"Upgrade", []string{"upgrade: websocket"}, "reset PROTOCOL_ERROR"},
			{"Connection", []string{"connection: upgrade"}, "reset PROTOCOL_ERROR"},
			// "HTTP/2 requires they be encoded as lowercase."
			{"upper case", []string{"Sec-WebSocket-Protocol: chat"}, "reset PROTOCOL_ERROR"},
		} {
			// websocketFields begins with the pseudo-header fields; one more has to go before the others, too.
			fields := changed(websocketFields(e.carrier), tt.changes)
			slices.SortStableFunc(fields, func(a, b string) int { return pseudoFirst(a) - pseudoFirst(b) })
			st := c.open(fields...)
			if got := st.status(); got != tt.want {
				t.Errorf("%s: %s, want %s", tt.name, got, tt.want)
			}
			st.Reset()
		}
		if got := c.roundTrip(e, "GET"); got == "" || strings.HasPrefix(got, "reset") {
			t.Errorf("afterwards GET is answered with %s", got)
		}
	})
}

func pseudoFirst(field string) int {
	if field[0] == ':' {
		return 0
	}
	return 1
}

// A GET over HTTP/2 is no opening handshake. The refusal has nothing that HTTP/2 forbids.
func TestRFC8441Section5_PlainGET(t *testing.T) {
	overHTTP2Servers(t, echo, func(t *testing.T, e *env) {
		c := connectH2(t, e)
		defer c.nc.Close()
		fields := changed(websocketFields(e.carrier), []string{":method: GET", "-:protocol"})
		h := c.open(fields...).head()
		if value(h, ":status") != "426" || value(h, "upgrade") != "" || value(h, "connection") != "" {
			t.Errorf("the answer is %v", h)
		}
	})
}

// "In particular, the server MUST NOT create a tunnel to the host indicated by the :authority as it would with a CONNECT method
// request that was not modified by this extension": the handler gets it as the server's own name. A CONNECT without :protocol is the
// handler's as well, and no WebSocket.
func TestRFC8441Section4_Authority(t *testing.T) {
	var seen []string
	overHTTP2Servers(t, func(w http.ResponseWriter, r *http.Request) {
		seen = append(seen, fmt.Sprintf("%s %s %s %s", r.Method, r.Host, r.RequestURI, r.Proto))
		c, err := weft.Accept(w, r, nil)
		if err == nil {
			c.CloseNow()
		}
	}, func(t *testing.T, e *env) {
		seen = nil
		c := connectH2(t, e)
		defer c.nc.Close()
		if got := c.open(changed(websocketFields(e.carrier), []string{":authority: other.example:8443", ":path: /chat?x=1"})...).status(); got != "200" {
			t.Errorf("Extended CONNECT: %s", got)
		}
		st := c.open(":method: CONNECT", ":authority: other.example:8443")
		if got := st.status(); got != "405" && got != "426" {
			t.Errorf("CONNECT: %s", got)
		}
		want := []string{"GET other.example:8443 /chat?x=1 HTTP/1.1", "CONNECT other.example:8443 other.example:8443 HTTP/2.0"}
		if !slices.Equal(seen, want) {
			t.Errorf("the handler got %q, want %q", seen, want)
		}
		if n := e.net.Stats().Dials; n != 1 {
			t.Errorf("%d connections were made", n)
		}
	})
}

// "Implementations using this extended CONNECT to bootstrap WebSockets do not do the processing of the Sec-WebSocket-Key and
// Sec-WebSocket-Accept header fields." A client that sends a key all the same gets the answer to it, as some insist on that.
//
// The 200 has nothing that belongs to a connection, and no 101 goes before it.
func TestRFC8441Section5_Response(t *testing.T) {
	opts := &weft.AcceptOptions{Subprotocols: []string{"chat"}, CompressionMode: weft.CompressionNoContextTakeover}
	overHTTP2Servers(t, echoWith(opts), func(t *testing.T, e *env) {
		for _, tt := range []struct {
			fields []string
			want   string
		}{
			{nil, ":status: 200"},
			// The example of Section 5.1.
			{[]string{"sec-websocket-protocol: chat, superchat", "sec-websocket-extensions: permessage-deflate"},
				":status: 200;sec-websocket-extensions: permessage-deflate; server_no_context_takeover; client_no_context_takeover;sec-websocket-protocol: chat"},
			{[]string{"sec-websocket-key: " + sampleKey}, ":status: 200;sec-websocket-accept: " + sampleAccept},
		} {
			c := connectH2(t, e)
			st := c.open(websocketFields(e.carrier, tt.fields...)...)
			var got []string
			for _, f := range st.head() {
				if f.Name != "date" {
					got = append(got, f.Name+": "+f.Value)
				}
			}
			slices.Sort(got)
			if s := strings.Join(got, ";"); s != tt.want {
				t.Errorf("the answer to %q is %q, want %q", tt.fields, s, tt.want)
			}
			c.nc.Close()
		}
	})
}

// "The Origin [RFC6454], Sec-WebSocket-Version, Sec-WebSocket-Protocol, and Sec-WebSocket-Extensions header fields are used in the
// CONNECT request and response-header fields as defined in [RFC6455]." "Other HTTP request and response-header fields, such as those
// for manipulating cookies, may be included in the HEADERS with the CONNECT method as usual."
func TestRFC8441Section5_Fields(t *testing.T) {
	header := make(chan http.Header, 1)
	overHTTP2Servers(t, func(w http.ResponseWriter, r *http.Request) {
		header <- r.Header.Clone()
		w.Header().Set("Set-Cookie", "c=d")
		echo(w, r)
	}, func(t *testing.T, e *env) {
		header = make(chan http.Header, 1)
		c := connectH2(t, e)
		defer c.nc.Close()
		st := c.open(websocketFields(e.carrier, "origin: https://example.com", "cookie: a=b", "cookie: c=d", "authorization: Bearer x")...)
		if h := st.head(); value(h, ":status") != "200" || value(h, "set-cookie") != "c=d" {
			t.Errorf("the answer is %v", h)
		}
		h := <-header
		for name, want := range map[string]string{
			"Origin": "https://example.com", "Cookie": "a=b; c=d", "Authorization": "Bearer x", "Sec-Websocket-Version": "13",
		} {
			if got := strings.Join(h[name], "|"); got != want {
				t.Errorf("the handler's %s is %q, want %q", name, got, want)
			}
		}
	})
}

// "The other streams on the connection may carry more extended CONNECT tunnels, traditional HTTP/2 data, or a mixture of both." RFC
// 8441, Section 1. One ends without the others.
func TestRFC8441Section1_Mixture(t *testing.T) {
	overHTTP2Servers(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/plain" {
			io.WriteString(w, "plain")
			return
		}
		echo(w, r)
	}, func(t *testing.T, e *env) {
		c := connectH2(t, e)
		defer c.nc.Close()
		var streams []*rawStream
		for range 5 {
			streams = append(streams, c.open(websocketFields(e.carrier)...))
		}
		for i, st := range streams {
			if got := st.status(); got != "200" {
				t.Fatalf("stream %d: %s", st.id, got)
			}
			st.SetReadDeadline(time.Now().Add(time.Minute))
			st.Write(text(fmt.Sprint(i)).append(nil, true))
		}
		streams[0].Reset()
		if got := c.roundTrip(e, "GET"); got != "200" {
			t.Errorf("GET: %s", got)
		}
		for i, st := range streams[1:] {
			st.Write(text("again").append(nil, true))
			want := fmt.Sprintf("\x81\x01%d\x81\x05again", i+1)
			got := make([]byte, len(want))
			if _, err := io.ReadFull(st, got); err != nil || string(got) != want {
				t.Errorf("stream %d: %q, %v, want %q", st.id, got, err, want)
			}
		}
	})
}

// A stream is bytes: frames of WebSocket and DATA frames have nothing to do with each other. Padding and empty DATA are nothing.
func TestRFC8441Section5_DataFrames(t *testing.T) {
	overHTTP2Servers(t, echo, func(t *testing.T, e *env) {
		c := connectH2(t, e)
		defer c.nc.Close()
		st := c.open(websocketFields(e.carrier)...)
		st.status()
		b := text("one").append(nil, true)
		b = text("two").append(b, true)
		b = bin(strings.Repeat("3", 1000)).append(b, true)
		c.fr.WriteData(st.id, false, nil)
		c.fr.WriteDataPadded(st.id, false, b[:4], make([]byte, 100))
		c.fr.WriteDataPadded(st.id, false, nil, make([]byte, 255))
		c.fr.WriteData(st.id, false, b[4:13])
		time.Sleep(rtt)
		c.fr.WriteDataPadded(st.id, false, b[13:], make([]byte, 1))
		st.SetReadDeadline(time.Now().Add(patience))
		want := "\x81\x03one\x81\x03two\x82\x7e\x03\xe8" + strings.Repeat("3", 1000)
		got := make([]byte, len(want))
		if _, err := io.ReadFull(st, got); err != nil || string(got) != want {
			t.Errorf("%q, %v", got, err)
		}
	})
}

// "Orderly TCP-level closures are represented as END_STREAM flags." "RST exceptions are represented with the RST_STREAM frame
// with the CANCEL error code." What either does to a WebSocket stands in TestRFC6455Section7_1_1_WhoEndsTheConnection and
// TestRFC6455Section7_1_5_AbnormalClosure; here, that the connection under it goes on.
func TestRFC8441Section5_EndOfAStream(t *testing.T) {
	overHTTP2Servers(t, echo, func(t *testing.T, e *env) {
		c := connectH2(t, e)
		defer c.nc.Close()
		for name, end := range map[string]func(*rawStream){
			"Close handshake": func(st *rawStream) {
				st.Write(shut(1000, "").append(nil, true))
				c.await("END_STREAM", func() bool { return st.end })
				st.CloseWrite()
			},
			"END_STREAM": func(st *rawStream) {
				st.CloseWrite()
				c.await("RST_STREAM", func() bool { return st.reset != "" })
				if st.reset != "CANCEL" {
					t.Errorf("END_STREAM without a Close frame: reset %s", st.reset)
				}
			},
			"RST_STREAM": (*rawStream).Reset,
			// "Frame types other than DATA or stream management frames [...] MUST NOT be sent on a connected stream and MUST be
			// treated as a stream error." RFC 9113, Section 8.5.
			"HEADERS": func(st *rawStream) {
				st.respond(true, "a: b")
				c.await("RST_STREAM", func() bool { return st.reset != "" })
				if st.reset != "PROTOCOL_ERROR" {
					t.Errorf("HEADERS in a tunnel: reset %s", st.reset)
				}
			},
		} {
			st := c.open(websocketFields(e.carrier)...)
			if got := st.status(); got != "200" {
				t.Fatalf("%s: %s", name, got)
			}
			end(st)
			time.Sleep(5 * time.Second)
			if got := c.roundTrip(e, "GET"); got == "" || strings.HasPrefix(got, "reset") || c.goAway != "" {
				t.Errorf("%s: afterwards GET is answered with %s, GOAWAY %q", name, got, c.goAway)
			}
		}
	})
}

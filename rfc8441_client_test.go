package weft_test

import (
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"

	"github.com/weftws/weft"
)

// acceptH2 accepts a connection for HTTP/2 and sends SETTINGS.
func (l *rawListener) acceptH2(settings ...http2.Setting) *rawH2 {
	nc, _ := l.connection()
	return serveH2(l.t, nc, settings...)
}

// wantNoRequest checks that the client opens no stream for d.
func (c *rawH2) wantNoRequest(d time.Duration) {
	c.t.Helper()
	c.nc.SetReadDeadline(time.Now().Add(d))
	for {
		if c.pump() != nil {
			break // d has passed, or the client has left
		}
	}
	if len(c.opened) > 0 {
		c.t.Errorf("the client sent a request: %v", c.opened[0].heads)
	}
}

// "Upon receipt of SETTINGS_ENABLE_CONNECT_PROTOCOL with a value of 1, a client MAY use the Extended CONNECT as defined in this
// document when creating new streams": not before, and not without it. A client does not send the parameter.
func TestRFC8441Section3_ClientWaits(t *testing.T) {
	overRawServers(t, false, true, func(t *testing.T, l *rawListener) {
		done := l.dial("", nil)
		nc, _ := l.connection()
		defer nc.Close()
		time.Sleep(5 * time.Second)
		start := time.Now()
		c := serveH2(t, nc, connectProtocol)
		st := c.accept()
		if d := time.Since(start); d != rtt {
			t.Errorf("the request came %v after the SETTINGS", d) // at once: it had been under way before
		}
		if v, ok := c.setting(http2.SettingEnableConnectProtocol); ok || c.settings == nil {
			t.Errorf("the client's SETTINGS are %v (ENABLE_CONNECT_PROTOCOL %d)", c.settings, v)
		}
		st.respond(false, ":status: 200")
		d := <-done
		if d.err != nil {
			t.Fatal(d.err)
		}
		d.conn.CloseNow()
	})
}

// The initial value is 0 (Section 9.1), and a server may say it.
func TestRFC8441Section3_ServerWithoutIt(t *testing.T) {
	overRawServers(t, false, true, func(t *testing.T, l *rawListener) {
		for name, settings := range map[string][]http2.Setting{"absent": nil, "0": {{ID: http2.SettingEnableConnectProtocol, Val: 0}}} {
			done := l.dial("", nil)
			c := l.acceptH2(settings...)
			c.wantNoRequest(5 * time.Second)
			d := <-done
			var he *weft.HandshakeError
			if !errors.As(d.err, &he) || he.Name != "version" || !strings.Contains(d.err.Error(), "RFC 8441, Section 3") {
				t.Errorf("%s: Dial: %v", name, d.err)
			}
			l.dialer.Close()
			c.nc.Close()
		}
	})
}

// "The value of the parameter MUST be 0 or 1." "A sender MUST NOT send a SETTINGS_ENABLE_CONNECT_PROTOCOL parameter with the
// value of 0 after previously sending a value of 1." Whoever does loses the connection.
func TestRFC8441Section3_ServerViolations(t *testing.T) {
	set := func(v uint32) http2.Setting { return http2.Setting{ID: http2.SettingEnableConnectProtocol, Val: v} }
	wantGoAway := func(t *testing.T, name string, c *rawH2) {
		t.Helper()
		c.await("GOAWAY", func() bool { return c.goAway != "" })
		if c.goAway != "PROTOCOL_ERROR" {
			t.Errorf("%s: GOAWAY %s", name, c.goAway)
		}
		c.nc.Close()
	}
	overRawServers(t, false, true, func(t *testing.T, l *rawListener) {
		for name, settings := range map[string][]http2.Setting{"2": {set(2)}, "the largest": {set(1<<32 - 1)}, "1 and 0": {set(1), set(0)}} {
			done := l.dial("", nil)
			c := l.acceptH2(settings...)
			if d := <-done; d.err == nil {
				t.Errorf("%s: Dial succeeded", name)
			}
			wantGoAway(t, name, c)
		}

		done := l.dial("", nil)
		c := l.acceptH2(set(1))
		c.accept().respond(false, ":status: 200")
		d := <-done
		if d.err != nil {
			t.Fatal(d.err)
		}
		c.fr.WriteSettings() // says nothing of it
		c.fr.WriteSettings(set(1))
		c.fr.WriteSettings(set(0))
		if _, _, err := d.conn.Read(t.Context()); err == nil || !strings.Contains(err.Error(), "1006") || !strings.Contains(err.Error(), "from 1 to 0") {
			t.Errorf("Read: %v", err)
		}
		wantGoAway(t, "0 after 1", c)
	})
}

// "The :protocol pseudo-header field MUST be included in the CONNECT request, and it MUST have a value of websocket." "The scheme of the
// target URI MUST be "https" for "wss"-schemed WebSockets and "http" for "ws"-schemed WebSockets. The remainder of the target URI is the
// same as the WebSocket URI." Connection and Upgrade "MUST NOT be included". "The Host information is conveyed as part of the
// :authority pseudo-header field." There is no Sec-WebSocket-Key.
func TestRFC8441Section5_Request(t *testing.T) {
	overRawServers(t, false, true, func(t *testing.T, l *rawListener) {
		scheme, authority := "http", "example.com:443"
		if l.carrier.scheme == "wss" {
			scheme, authority = "https", "example.com"
		}
		var c *rawH2
		for _, tt := range []struct {
			path, uri, authority string
			opts                 weft.DialOptions
			fields               []string
		}{
			{"", "/", authority, weft.DialOptions{}, nil},
			{"/chat?room=1", "/chat?room=1", authority, weft.DialOptions{}, nil},
			{"/", "/", "virtual.example", weft.DialOptions{Host: "virtual.example"}, nil},
			{"/", "/", authority, weft.DialOptions{
				Subprotocols: []string{"v2.chat", "chat"}, CompressionMode: weft.CompressionContextTakeover,
				HTTPHeader: http.Header{"Origin": {"https://a.example"}, "Cookie": {"a=b"}},
			}, []string{
				"cookie: a=b", "origin: https://a.example", "sec-websocket-extensions: permessage-deflate; client_max_window_bits=12",
				"sec-websocket-protocol: v2.chat, chat",
			}},
		} {
			done := l.dial(tt.path, &tt.opts)
			if c == nil {
				c = l.acceptH2(connectProtocol)
				defer c.nc.Close()
			}
			st := c.accept()
			var pseudo string
			var fields []string
			for _, f := range st.head() {
				if f.Name[0] == ':' && fields == nil {
					pseudo += f.Name + "=" + f.Value + " "
				} else {
					fields = append(fields, f.Name+": "+f.Value)
				}
			}
			want := ":method=CONNECT :protocol=websocket :scheme=" + scheme + " :authority=" + tt.authority + " :path=" + tt.uri + " "
			if pseudo != want {
				t.Errorf("%q: pseudo-header fields are %s, want %s", tt.path, pseudo, want)
			}
			slices.Sort(fields)
			if want := append(tt.fields, "sec-websocket-version: 13"); !slices.Equal(fields, want) {
				t.Errorf("%q: fields are %q, want %q", tt.path, fields, want)
			}
			if st.end {
				t.Error("the request has END_STREAM")
			}
			// "The client MUST wait for a response from the server before sending any further data." RFC 6455, Section 4.1.
			c.wantNoRequest(time.Second)
			if len(st.frames) > 0 {
				t.Errorf("%q: DATA before the response: %q", tt.path, st.frames)
			}
			st.respond(false, ":status: 200")
			d := <-done
			if d.err != nil {
				t.Fatal(d.err)
			}
			d.conn.CloseNow()
		}
	})
}

// What opens a WebSocket, and what does not. Sec-WebSocket-Accept is not looked at: "that functionality has been superseded by the
// :protocol pseudo-header field."
func TestRFC8441Section5_Responses(t *testing.T) {
	overRawServers(t, false, true, func(t *testing.T, l *rawListener) {
		var c *rawH2
		for _, tt := range []struct {
			name   string
			heads  []string // fields are separated by ";"
			end    bool
			opens  bool
			status int    // of the error
			reset  string // by the client
		}{
			{"200", []string{":status: 200"}, false, true, 0, ""},
			{"201", []string{":status: 201"}, false, true, 0, ""},
			{"interim responses", []string{":status: 100", ":status: 103;link: </a>", ":status: 200"}, false, true, 0, ""},
			{"an Accept of whatever key", []string{":status: 200;sec-websocket-accept: x"}, false, true, 0, ""},
			{"content-length", []string{":status: 200;content-length: 0"}, false, true, 0, ""},
			{"200 with END_STREAM", []string{":status: 200"}, true, false, 200, ""},
			// "HTTP/2 does not support the 101 (Switching Protocols) informational status code." RFC 9113, Section 8.6.
			{"101", []string{":status: 101"}, false, false, 0, "PROTOCOL_ERROR"},
			{"200 with Upgrade", []string{":status: 200;upgrade: websocket"}, false, false, 0, "PROTOCOL_ERROR"},
			{"200 with Connection", []string{":status: 200;connection: upgrade"}, false, false, 0, "PROTOCOL_ERROR"},
			{"no status", []string{"a: b"}, false, false, 0, "PROTOCOL_ERROR"},
			{"403", []string{":status: 403"}, true, false, 403, ""},
		} {
			done := l.dial("", nil)
			if c == nil {
				c = l.acceptH2(connectProtocol)
				defer c.nc.Close()
			}
			st := c.accept()
			for i, h := range tt.heads {
				st.respond(tt.end && i == len(tt.heads)-1, strings.Split(h, ";")...)
			}
			d := <-done
			if tt.opens != (d.err == nil) {
				t.Errorf("%s: Dial: %v", tt.name, d.err)
			}
			if d.err == nil {
				st.Write(text("hi").append(nil, false))
				if _, p, err := d.conn.Read(t.Context()); err != nil || string(p) != "hi" {
					t.Errorf("%s: %q, %v", tt.name, p, err)
				}
				d.conn.CloseNow()
				continue
			}
			var he *weft.HandshakeError
			if tt.status != 0 && (!errors.As(d.err, &he) || he.StatusCode != tt.status || d.conn != nil) {
				t.Errorf("%s: Dial: %#v", tt.name, d.err)
			}
			if tt.reset != "" {
				c.await("RST_STREAM", func() bool { return st.reset != "" })
			}
			if tt.reset != "" && st.reset != tt.reset {
				t.Errorf("%s: reset %s", tt.name, st.reset)
			}
			if len(st.data) > 0 {
				t.Errorf("%s: DATA %q", tt.name, st.frames)
			}
			if d.res != nil {
				d.res.Body.Close()
			}
		}
		if c.goAway != "" {
			t.Errorf("GOAWAY %s", c.goAway)
		}
	})
}

// No answer at all.
func TestRFC8441Section5_NoResponse(t *testing.T) {
	for name, end := range map[string]func(*rawStream){
		"RST_STREAM(CANCEL)":         (*rawStream).Reset,
		"RST_STREAM(PROTOCOL_ERROR)": func(st *rawStream) { st.c.fr.WriteRSTStream(st.id, http2.ErrCodeProtocol) },
		"GOAWAY": func(st *rawStream) {
			st.c.fr.WriteGoAway(0, http2.ErrCodeInternal, nil)
			st.c.nc.Close()
		},
		"FIN":                 func(st *rawStream) { st.c.nc.Close() },
		"DATA before HEADERS": func(st *rawStream) { st.Write([]byte("\x81\x00")) },
	} {
		t.Run(name, func(t *testing.T) {
			overRawServers(t, false, true, func(t *testing.T, l *rawListener) {
				done := l.dial("", nil)
				c := l.acceptH2(connectProtocol)
				defer c.nc.Close()
				end(c.accept())
				go func() { // where the stream was not processed the Dial may try once more
					for {
						nc, err := l.l.Accept()
						if err != nil {
							return
						}
						nc.Close()
					}
				}()
				d := <-done
				var de *weft.DialError
				if !errors.As(d.err, &de) || d.conn != nil || d.res != nil {
					t.Errorf("Dial: %v", d.err)
				}
				l.l.Close()
			})
		})
	}
}

// "The result is a tunnel on a single HTTP/2 stream": the next WebSocket to the same origin is the next stream, and each is closed by
// itself. RFC 8441, Section 1.
func TestRFC8441Section1_ClientStreams(t *testing.T) {
	overRawServers(t, false, true, func(t *testing.T, l *rawListener) {
		var c *rawH2
		var streams []*rawStream
		var conns []*weft.Conn
		for range 3 {
			done := l.dial("", nil)
			if c == nil {
				c = l.acceptH2(connectProtocol)
				defer c.nc.Close()
			}
			st := c.accept()
			st.respond(false, ":status: 200")
			d := <-done
			if d.err != nil {
				t.Fatal(d.err)
			}
			streams, conns = append(streams, st), append(conns, d.conn)
		}
		conns[0].CloseNow()
		c.await("RST_STREAM", func() bool { return streams[0].reset != "" })
		streams[1].Write(shut(1000, "").append(nil, false))
		if _, _, err := conns[1].Read(t.Context()); weft.CloseStatus(err) != 1000 {
			t.Errorf("Read: %v", err)
		}
		c.await("END_STREAM", func() bool { return streams[1].end })
		streams[1].CloseWrite()
		streams[2].Write(text("alone").append(nil, false))
		if _, p, err := conns[2].Read(t.Context()); err != nil || string(p) != "alone" {
			t.Errorf("%q, %v", p, err)
		}
		conns[2].CloseNow()
		if c.goAway != "" {
			t.Errorf("GOAWAY %s", c.goAway)
		}
	})
}

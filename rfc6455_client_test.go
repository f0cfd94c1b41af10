package weft_test

import (
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/weftws/weft"
	"github.com/weftws/weft/internal/simnet"
)

// A dialed is what a Dial returned.
type dialed struct {
	conn *weft.Conn
	res  *http.Response
	err  error
}

// dial dials l beside the test; path is the rest of the URL.
func (l *rawListener) dial(path string, opts *weft.DialOptions) <-chan dialed {
	return begin(func() dialed {
		c, res, err := l.dialer.Dial(l.t.Context(), l.url+path, opts)
		return dialed{c, res, err}
	})
}

// overRawServers runs f with a server by hand for each carrier; http1 and http2 choose which.
func overRawServers(t *testing.T, http1, http2 bool, f func(t *testing.T, l *rawListener)) {
	t.Helper()
	for _, c := range onTCP {
		if isH2 := strings.HasPrefix(c.name, "h2"); isH2 && http2 || !isH2 && http1 {
			t.Run(c.name, func(t *testing.T) {
				simnet.Run(t, rtt, func(t *testing.T, n *simnet.Network) { f(t, listenRaw(t, n, c)) })
			})
		}
	}
}

// acceptH1 accepts a connection for HTTP/1.1.
func (l *rawListener) acceptH1() *rawH1 { return newRawH1(l.connection()) }

// "The method of the request MUST be GET, and the HTTP version MUST be at least 1.1." "The "Request-URI" part of the request MUST
// match the /resource name/ defined in Section 3." "The request MUST contain a |Host| header field whose value contains /host/
// plus optionally ":" followed by /port/ (when not using the default port)." And 5 to 12.
func TestRFC6455Section4_1_Request(t *testing.T) {
	overRawServers(t, true, false, func(t *testing.T, l *rawListener) {
		for _, tt := range []struct {
			path, uri string
			opts      weft.DialOptions
			fields    []string // beside those that every request has
		}{
			{path: "", uri: "/"},
			{path: "/chat?room=1&x=%20y", uri: "/chat?room=1&x=%20y"},
			{path: "?q", uri: "/?q"},
			{path: "/gr\u00fcn", uri: "/gr%C3%BCn"},
			{
				path: "/", uri: "/",
				opts: weft.DialOptions{
					Subprotocols: []string{"v2.chat", "chat"}, CompressionMode: weft.CompressionNoContextTakeover,
					HTTPHeader: http.Header{"Origin": {"https://a.example"}, "Cookie": {"a=b"}, "Authorization": {"Bearer x"}, "X-Two": {"1", "2"}},
				},
				fields: []string{
					"Sec-Websocket-Protocol: v2.chat, chat",
					"Sec-Websocket-Extensions: permessage-deflate; server_no_context_takeover; client_no_context_takeover; client_max_window_bits",
					"Origin: https://a.example", "Cookie: a=b", "Authorization: Bearer x", "X-Two: 1", "X-Two: 2",
				},
			},
		} {
			done := l.dial(tt.path, &tt.opts)
			c := l.acceptH1()
			line, h, err := c.head()
			if err != nil || line != "GET "+tt.uri+" HTTP/1.1" {
				t.Fatalf("request line %q, %v, want GET %s", line, err, tt.uri)
			}
			host := "example.com:443"
			if l.carrier.scheme == "wss" {
				host = "example.com" // 443 is the default
			}
			key := h.Get("Sec-Websocket-Key")
			if nonce, err := base64.StdEncoding.DecodeString(key); err != nil || len(nonce) != 16 {
				t.Errorf("Sec-WebSocket-Key %q is no 16 bytes", key)
			}
			want := append([]string{
				"Host: " + host, "Upgrade: websocket", "Connection: Upgrade", "Sec-Websocket-Version: 13", "Sec-Websocket-Key: " + key,
			}, tt.fields...)
			var got []string
			for name, values := range h {
				for _, v := range values {
					got = append(got, name+": "+v)
				}
			}
			slices.Sort(got)
			slices.Sort(want)
			if !slices.Equal(got, want) {
				t.Errorf("fields are\n\t%q, want\n\t%q", got, want)
			}
			// "Once the client's opening handshake has been sent, the client MUST wait for a response from the server before
			// sending any further data."
			c.SetReadDeadline(time.Now().Add(5 * time.Second))
			if n, err := c.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("%d bytes more, %v", n, err)
			}
			c.Close()
			if d := <-done; d.err == nil {
				t.Error("Dial succeeded without a response")
			}
		}
	})
}

// "The nonce MUST be selected randomly for each connection."
func TestRFC6455Section4_1_Nonces(t *testing.T) {
	overRawServers(t, true, false, func(t *testing.T, l *rawListener) {
		keys := make(map[string]bool)
		const n = 20
		for range n {
			done := l.dial("", nil)
			c := l.acceptH1()
			_, h, _ := c.head()
			keys[h.Get("Sec-Websocket-Key")] = true
			c.Close()
			<-done
		}
		if len(keys) != n {
			t.Errorf("%d handshakes have the keys %q", n, slices.Collect(maps.Keys(keys)))
		}
	})
}

// "If /secure/ is true, the client MUST perform a TLS handshake over the connection after opening the connection and before sending
// the handshake data. If this fails (e.g., the server's certificate could not be verified), then the client MUST _Fail the
// WebSocket Connection_ and abort the connection." "Clients MUST use the Server Name Indication extension in the TLS handshake."
func TestRFC6455Section4_1_TLS(t *testing.T) {
	for _, c := range onTCP {
		if c.scheme != "wss" {
			continue
		}
		t.Run(c.name, func(t *testing.T) {
			simnet.Run(t, rtt, func(t *testing.T, n *simnet.Network) {
				l := listenRaw(t, n, c)
				l.cert, _ = simnet.Certificate("example.com") // right but for whom nobody knows
				done := l.dial("", nil)
				tcp, err := l.l.Accept()
				if err != nil {
					t.Fatal(err)
				}
				defer tcp.Close()
				var name string
				tc := tls.Server(tcp, &tls.Config{
					NextProtos: []string{"h2", "http/1.1"},
					GetCertificate: func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
						name = hello.ServerName
						return &l.cert, nil
					},
				})
				_, err = tc.Read(make([]byte, 1))
				if err == nil || !strings.Contains(err.Error(), "remote error: tls: bad certificate") {
					t.Errorf("the server reads %v, want an alert", err)
				}
				if name != "example.com" {
					t.Errorf("SNI is %q", name)
				}
				d := <-done
				var unknown *tls.CertificateVerificationError
				if !errors.As(d.err, &unknown) {
					t.Errorf("Dial: %v", d.err)
				}
				tcp.SetReadDeadline(time.Now().Add(time.Second))
				if _, err := io.Copy(io.Discard, tcp); err != nil {
					t.Errorf("the connection goes on: %v", err)
				}
			})
		})
	}
}

// "The client MUST validate the server's response as follows."
func TestRFC6455Section4_1_Responses(t *testing.T) {
	const good = "upgrade: websocket|connection: Upgrade|sec-websocket-accept: ACCEPT"
	overRawServers(t, true, false, func(t *testing.T, l *rawListener) {
		for _, tt := range []struct {
			name, line string // "": 101
			change     string
			rule       string // "": the WebSocket opens
		}{
			{"a right one", "", "", ""},
			{"names and values in another case", "", "UPGRADE: WebSocket|CONNECTION: upgrade|SEC-WEBSOCKET-ACCEPT: ACCEPT", ""},
			{"another reason phrase", "HTTP/1.1 101 Whatever", "", ""},
			{"no reason phrase", "HTTP/1.1 101 ", "", ""},
			{"2. no Upgrade", "", "-upgrade", "wrong-upgrade"},
			{"2. another Upgrade", "", "upgrade: h2c", "wrong-upgrade"},
			{"2. more than one Upgrade", "", "upgrade: websocket, h2c", "wrong-upgrade"},
			{"3. no Connection", "", "-connection", "wrong-connection"},
			{"3. another Connection", "", "connection: close", "wrong-connection"},
			{"3. Connection with more", "", "connection: keep-alive, Upgrade", ""},
			{"4. no Accept", "", "-sec-websocket-accept", "wrong-accept"},
			{"4. the accept of another key", "", "sec-websocket-accept: " + sampleAccept, "wrong-accept"},
			{"4. the accept in another case", "", "sec-websocket-accept: accept", "wrong-accept"},
			{"4. an empty Accept", "", "sec-websocket-accept:", "wrong-accept"},
			{"4. Accept twice", "", "+sec-websocket-accept: ACCEPT", "wrong-accept"},
			{"4. whitespace around", "", "sec-websocket-accept:  \t ACCEPT \t", ""},
			{"cookies", "", "+set-cookie: a=b", ""},
		} {
			done := l.dial("", nil)
			c := l.acceptH1()
			_, h, err := c.head()
			if err != nil {
				t.Fatal(err)
			}
			fields := strings.Split(good, "|")
			if strings.Contains(tt.change, "|") {
				fields = strings.Split(tt.change, "|")
			} else if tt.change != "" {
				fields = changed(fields, []string{tt.change})
			}
			accept := acceptFor(h.Get("Sec-Websocket-Key"))
			line := tt.line
			if line == "" {
				line = "HTTP/1.1 101 Switching Protocols"
			}
			response := line + "\r\n" + strings.Join(append(fields, "", ""), "\r\n")
			response = strings.ReplaceAll(response, "ACCEPT\r", accept+"\r")
			response = strings.ReplaceAll(response, "ACCEPT ", accept+" ")
			response = strings.ReplaceAll(response, "accept\r", strings.ToLower(accept)+"\r")
			io.WriteString(c, response)
			wantDialed(t, tt.name, <-done, 101, tt.rule)
			wantHungUp(t, tt.name, c)
		}
	})
}

// wantDialed checks that a Dial succeeded, or failed because the answer broke rule.
func wantDialed(t *testing.T, name string, d dialed, status int, rule string) {
	t.Helper()
	if rule == "" {
		if d.err != nil {
			t.Errorf("%s: %v", name, d.err)
			return
		}
		d.conn.CloseNow()
		return
	}
	if d.err == nil {
		d.conn.CloseNow()
		t.Errorf("%s: Dial succeeded", name)
		return
	}
	var he *weft.HandshakeError
	if !errors.As(d.err, &he) || he.Name != rule || he.StatusCode != status {
		t.Errorf("%s: Dial: %v (%+v), want %s, status %d", name, d.err, he, rule, status)
	}
	if d.res == nil || d.res.StatusCode != status {
		t.Errorf("%s: response %v", name, d.res)
		return
	}
	d.res.Body.Close()
}

// wantHungUp checks that the client has ended the connection, and ends it too.
func wantHungUp(t *testing.T, name string, c *rawH1) {
	t.Helper()
	c.SetReadDeadline(time.Now().Add(patience))
	if n, err := c.Read(make([]byte, 1)); n > 0 || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("%s: the connection goes on: %d bytes, %v", name, n, err)
	}
	c.Close()
}

// "If the response includes a |Sec-WebSocket-Extensions| header field and this header field indicates the use of an extension that
// was not present in the client's handshake [...], the client MUST _Fail the WebSocket Connection_." "If the response includes a
// |Sec-WebSocket-Protocol| header field and this header field indicates the use of a subprotocol that was not present in the
// client's handshake [...], the client MUST _Fail the WebSocket Connection_."
func TestRFC6455Section4_1_Choices(t *testing.T) {
	overRawServers(t, true, true, func(t *testing.T, l *rawListener) {
		status := 101
		if strings.HasPrefix(l.carrier.name, "h2") {
			status = 200
		}
		chat := weft.DialOptions{Subprotocols: []string{"v2.chat", "chat"}}
		deflate := weft.DialOptions{CompressionMode: weft.CompressionContextTakeover}
		for _, tt := range []struct {
			name        string
			opts        weft.DialOptions
			field       string
			rule        string
			subprotocol string
		}{
			{"none offered, none chosen", weft.DialOptions{}, "", "", ""},
			{"the second", chat, "sec-websocket-protocol: chat", "", "chat"},
			{"none of those offered", chat, "", "", ""},
			{"another subprotocol", chat, "sec-websocket-protocol: mqtt", "subprotocol-not-offered", ""},
			{"in another case", chat, "sec-websocket-protocol: Chat", "subprotocol-not-offered", ""},
			{"a subprotocol unasked", weft.DialOptions{}, "sec-websocket-protocol: chat", "subprotocol-not-offered", ""},
			{"two subprotocols", chat, "sec-websocket-protocol: chat, v2.chat", "malformed-subprotocol", ""},
			{"an empty subprotocol", chat, "sec-websocket-protocol:", "malformed-subprotocol", ""},
			{"the extension", deflate, "sec-websocket-extensions: permessage-deflate", "", ""},
			{"an extension unasked", weft.DialOptions{}, "sec-websocket-extensions: permessage-deflate", "extension-not-offered", ""},
			{"another extension", deflate, "sec-websocket-extensions: permessage-deflate, mux", "extension-not-offered", ""},
			{"extensions that do not parse", deflate, "sec-websocket-extensions: permessage-deflate; =", "malformed-extensions", ""},
		} {
			done := l.dial("", &tt.opts)
			var fields []string
			if tt.field != "" {
				fields = []string{tt.field}
			}
			conn := l.acceptRaw(fields...)
			d := <-done
			if d.err == nil && d.conn.Subprotocol() != tt.subprotocol {
				t.Errorf("%s: subprotocol %q", tt.name, d.conn.Subprotocol())
			}
			wantDialed(t, tt.name, d, status, tt.rule)
			if st, ok := conn.(*rawStream); ok {
				st.c.await("RST_STREAM", func() bool { return st.reset != "" })
				if st.reset != "CANCEL" || len(st.frames) > 0 {
					t.Errorf("%s: reset %q, DATA %q", tt.name, st.reset, st.frames)
				}
				l.dialer.Close()
			} else {
				wantHungUp(t, tt.name, conn.(*rawH1))
			}
			conn.Close()
		}
	})
}

// "If the status code received from the server is not 101, the client handles the response per HTTP procedures. In particular, the
// client might perform authentication if it receives a 401 status code; the server might redirect the client using a 3xx status
// code (but clients are not required to follow them)": the caller gets the response.
func TestRFC6455Section4_1_OtherStatuses(t *testing.T) {
	overRawServers(t, true, true, func(t *testing.T, l *rawListener) {
		for status, field := range map[int]string{
			200: "x: y", 302: "location: /other", 307: "location: wss://example.org/", 400: "sec-websocket-version: 13, 8, 7",
			401: "www-authenticate: Basic", 403: "x: y", 404: "x: y", 426: "sec-websocket-version: 8", 429: "retry-after: 1", 503: "x: y",
		} {
			name := fmt.Sprint(status)
			done := l.dial("", nil)
			nc, tcp := l.connection()
			var st *rawStream
			if strings.HasPrefix(l.carrier.name, "h2") {
				if status == 200 {
					status = 204 // 200 would open a tunnel; this one has ended
				}
				st = serveH2(t, nc, connectProtocol).accept()
				end := status == 204
				st.respond(end, fmt.Sprint(":status: ", status), field)
				if !end {
					st.Write([]byte("why"))
					st.CloseWrite()
				}
			} else {
				c := newRawH1(nc, tcp)
				if _, _, err := c.head(); err != nil {
					t.Fatal(err)
				}
				fmt.Fprintf(c, "HTTP/1.1 %d Because\r\n%s\r\nContent-Length: 3\r\n\r\nwhy", status, field)
			}
			d := <-done
			var he *weft.HandshakeError
			if !errors.As(d.err, &he) || he.StatusCode != status {
				t.Fatalf("%s: Dial: %v", name, d.err)
			}
			key, value, _ := strings.Cut(field, ": ")
			if d.res == nil || d.res.StatusCode != status || d.res.Header.Get(key) != value {
				t.Fatalf("%s: response %+v", name, d.res)
			}
			if b, err := io.ReadAll(d.res.Body); err != nil || string(b) != "why" && status != 204 {
				t.Errorf("%s: body %q, %v", name, b, err)
			}
			d.res.Body.Close()
			// Nobody follows: no other connection, no other request.
			time.Sleep(10 * time.Second)
			if st != nil && len(st.c.opened) > 0 {
				t.Errorf("%s: another request", name)
			}
			if l.dialer.Close(); st == nil {
				wantHungUp(t, name, newRawH1(nc, tcp))
			}
			nc.Close()
		}
	})
}

// "If the server doesn't support the requested version, it MUST respond with a |Sec-WebSocket-Version| header field": the error says
// what the server would speak.
func TestRFC6455Section4_4_ClientTellsVersions(t *testing.T) {
	overRawServers(t, true, false, func(t *testing.T, l *rawListener) {
		done := l.dial("", nil)
		c := l.acceptH1()
		c.ask("HTTP/1.1 400 Bad Request\r\nSec-WebSocket-Version: 8, 7\r\nContent-Length: 0\r\n\r\n")
		d := <-done
		if d.err == nil || !strings.Contains(d.err.Error(), "400") {
			t.Errorf("Dial: %v", d.err)
		}
		if d.res == nil || d.res.Header.Get("Sec-Websocket-Version") != "8, 7" {
			t.Errorf("response %v", d.res)
		}
		d.res.Body.Close()
		c.Close()
	})
}

// "If the server's response does not conform to the requirements for the server's handshake [...], the client MUST _Fail the
// WebSocket Connection_." "If at any point the underlying transport layer connection is unexpectedly lost, the client MUST _Fail
// the WebSocket Connection_." RFC 6455, Section 7.2.1.
func TestRFC6455Section7_2_1_NoResponse(t *testing.T) {
	overRawServers(t, true, false, func(t *testing.T, l *rawListener) {
		for name, response := range map[string]string{
			"nothing":       "",
			"half a line":   "HTTP/1.1 101 Switch",
			"no HTTP":       "SSH-2.0-OpenSSH_9.2\r\n",
			"half a header": "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n",
			"a frame":       "\x81\x05Hello",
			"a bad field":   "HTTP/1.1 101 Switching Protocols\r\nUpgrade websocket\r\n\r\n",
			"no end":        "HTTP/1.1 101 Switching Protocols\r\n" + strings.Repeat("x: yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy\r\n", 2000),
		} {
			done := l.dial("", nil)
			c := l.acceptH1()
			if _, _, err := c.head(); err != nil {
				t.Fatal(err)
			}
			io.WriteString(c, response)
			c.CloseWrite()
			d := <-done
			var de *weft.DialError
			if !errors.As(d.err, &de) || d.conn != nil || d.res != nil {
				t.Errorf("%s: Dial: %v, %v", name, d.err, d.res)
			}
			wantHungUp(t, name, c)
		}
	})
}

// "There MUST be no more than one connection in a CONNECTING state" does not hold: see Dial. Over HTTP/2 there is one for all
// (TestDialsShareAConnection).
func TestRFC6455Section4_1_SideBySide(t *testing.T) {
	overRawServers(t, true, false, func(t *testing.T, l *rawListener) {
		const n = 5
		var dials []<-chan dialed
		var conns []*rawH1
		for range n {
			dials = append(dials, l.dial("", nil))
		}
		for range n {
			conns = append(conns, l.acceptH1())
		}
		for i, c := range conns {
			c.Close()
			<-dials[i]
		}
	})
}

package weft_test

import (
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/weftws/weft"
	"github.com/weftws/weft/internal/simnet"
)

// An answer is a response head: the status, and the fields by their names in lower case.
type answer struct {
	status string
	fields map[string][]string
}

func (a answer) get(name string) string { return strings.Join(a.fields[name], "|") }

// ask sends a handshake over e's carrier and returns the answer. What changes is "name: value" for a field in place of the right
// one, "-name" for none, and "+name: value" for one more; pseudo-header fields and what only HTTP/1.1 has are changed there alone.
func ask(t *testing.T, e *env, path string, changes ...string) answer {
	t.Helper()
	if strings.HasPrefix(e.carrier.name, "h2") {
		c := connectH2(t, e)
		defer c.nc.Close()
		fields := websocketFields(e.carrier)
		fields[slices.Index(fields, ":path: /")] = ":path: " + path
		st := c.open(changed(fields, changes)...)
		h := st.head()
		if h == nil {
			return answer{status: "reset " + st.reset}
		}
		a := answer{fields: make(map[string][]string)}
		for _, f := range h {
			a.fields[f.Name] = append(a.fields[f.Name], f.Value)
		}
		a.status = a.get(":status")
		return a
	}
	c := connectH1(t, e)
	defer c.Close()
	fields := changed([]string{
		"host: example.com", "upgrade: websocket", "connection: Upgrade", "sec-websocket-key: " + sampleKey, "sec-websocket-version: 13",
	}, changes)
	return c.ask("GET " + path + " HTTP/1.1\r\n" + strings.Join(append(fields, "", ""), "\r\n"))
}

func (c *rawH1) ask(request string) answer {
	io.WriteString(c, request)
	line, h, err := c.head()
	if err != nil {
		return answer{status: err.Error()}
	}
	a := answer{status: line, fields: make(map[string][]string)}
	if version, rest, _ := strings.Cut(line, " "); version == "HTTP/1.1" {
		a.status, _, _ = strings.Cut(rest, " ")
	}
	for name, values := range h {
		a.fields[strings.ToLower(name)] = values
	}
	return a
}

func changed(fields, changes []string) []string {
	for _, change := range changes {
		name, _, _ := strings.Cut(strings.TrimLeft(change[1:], ":"), ":")
		name = change[:1] + name
		if name, ok := strings.CutPrefix(change, "-"); ok {
			fields = slices.DeleteFunc(fields, func(f string) bool { return strings.HasPrefix(f, name+":") })
			continue
		}
		if more, ok := strings.CutPrefix(change, "+"); ok {
			fields = append(fields, more)
			continue
		}
		i := slices.IndexFunc(fields, func(f string) bool { return strings.HasPrefix(f, name+":") })
		if i < 0 {
			fields = append(fields, change)
			continue
		}
		fields[i] = change
	}
	return fields
}

// overServers runs f with a server for each carrier; h1 and h2 choose which.
func overServers(t *testing.T, h http.HandlerFunc, http1, http2 bool, f func(t *testing.T, e *env)) {
	t.Helper()
	for _, c := range onTCP {
		if isH2 := strings.HasPrefix(c.name, "h2"); isH2 && http2 || !isH2 && http1 {
			t.Run(c.name, func(t *testing.T) { over(t, c, h, f) })
		}
	}
}

// "If the server, while reading the handshake, finds that the client did not send a handshake that matches the description below
// [...], the server MUST stop processing the client's handshake and return an HTTP response with an appropriate error code."
//
// The order of the fields and the case of their names mean nothing.
func TestRFC6455Section4_2_1_Requests(t *testing.T) {
	overServers(t, echo, true, false, func(t *testing.T, e *env) {
		for _, tt := range []struct {
			name   string
			change string
			status string
			fields string // that the answer carries, separated by ";"
		}{
			{"a right one", "", "101", ""},
			{"1. an absolute URI", "GET http://example.com/ HTTP/1.1", "101", ""},
			{"1. another method", "POST / HTTP/1.1", "405", "allow: GET"},
			{"1. HTTP/1.0", "GET / HTTP/1.0", "HTTP/1.0 400 Bad Request", ""},
			{"2. no Host", "-Host", "400", ""},
			{"2. two Hosts", "+Host: example.org", "400", ""},
			{"3. no Upgrade", "-Upgrade", "426", "upgrade: websocket;connection: Upgrade;sec-websocket-version: 13"},
			{"3. another Upgrade", "Upgrade: h2c", "426", "upgrade: websocket;sec-websocket-version: 13"},
			{"3. in another case", "Upgrade: WebSocket", "101", ""},
			{"4. no Connection", "-Connection", "426", "upgrade: websocket"},
			{"4. another Connection", "Connection: keep-alive", "426", "upgrade: websocket"},
			{"4. in a list, in another case", "Connection: keep-alive, upgrade", "101", ""},
			{"5. no key", "-Sec-WebSocket-Key", "400", ""},
			{"5. a key of 15 bytes", "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAA", "400", ""},
			{"5. two keys", "+Sec-WebSocket-Key: " + sampleKey, "400", ""},
			{"6. no version", "-Sec-WebSocket-Version", "426", "sec-websocket-version: 13"},
			{"6. version 8", "Sec-WebSocket-Version: 8", "426", "upgrade: websocket;sec-websocket-version: 13"},
			{"10. what nobody knows", "+X-Unknown: x", "101", ""},
			{"a line that is none", "+no field", "400", ""},
		} {
			line := "GET / HTTP/1.1"
			fields := []string{
				"Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: " + sampleKey, "Connection: Upgrade", "Host: example.com", "Upgrade: websocket",
			}
			if strings.Contains(tt.change, " HTTP/") {
				line = tt.change
			} else if tt.change != "" {
				fields = changed(fields, []string{tt.change})
			}
			c := connectH1(t, e)
			got := c.ask(line + "\r\n" + strings.Join(append(fields, "", ""), "\r\n"))
			if got.status != tt.status {
				t.Errorf("%s: %s, want %s", tt.name, got.status, tt.status)
			}
			for want := range strings.SplitSeq(tt.fields, ";") {
				if name, value, ok := strings.Cut(want, ": "); ok && got.get(name) != value {
					t.Errorf("%s: %s is %q, want %q", tt.name, name, got.get(name), value)
				}
			}
			if got.status != "101" && got.get("sec-websocket-accept") != "" {
				t.Errorf("%s: the refusal has Sec-WebSocket-Accept", tt.name)
			}
			c.Close()
		}
	})
}

// "If the server chooses to accept the incoming connection, it MUST reply with a valid HTTP response": the bytes of it.
func TestRFC6455Section4_2_2_Response(t *testing.T) {
	overServers(t, echoWith(&weft.AcceptOptions{Subprotocols: []string{"chat"}}), true, false, func(t *testing.T, e *env) {
		c := connectH1(t, e)
		defer c.Close()
		io.WriteString(c, "GET /chat HTTP/1.1\r\nHost: example.com\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"+
			"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nOrigin: https://example.com\r\nSec-WebSocket-Protocol: chat, superchat\r\n"+
			"Sec-WebSocket-Version: 13\r\n\r\n")
		want := "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nSec-Websocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n" +
			"Sec-Websocket-Protocol: chat\r\nUpgrade: websocket\r\n\r\n"
		got := make([]byte, len(want))
		if _, err := io.ReadFull(c, got); err != nil || string(got) != want {
			t.Errorf("got %q, %v, want %q", got, err, want)
		}
		c.SetReadDeadline(time.Now().Add(time.Second))
		if n, _ := c.Read(make([]byte, 100)); n > 0 {
			t.Errorf("%d bytes follow", n)
		}
	})
}

// 1. "If the connection is happening on an HTTPS (HTTP-over-TLS) port, perform a TLS handshake over the connection. If this fails
// [...], then close the connection."
func TestRFC6455Section4_2_2_TLSFails(t *testing.T) {
	for _, c := range onTCP[1:3] {
		t.Run(c.name, func(t *testing.T) {
			over(t, c, http.HandlerFunc(echo), func(t *testing.T, e *env) {
				for name, hello := range map[string]string{
					"a frame": "\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58", "an alert": "\x15\x03\x01\x00\x02\x02\x28", "HTTP": "GET / HTTP/1.1\r\n\r\n",
				} {
					nc, err := e.net.Dial(serverAddr)
					if err != nil {
						t.Fatal(err)
					}
					io.WriteString(nc, hello)
					nc.SetReadDeadline(time.Now().Add(patience))
					b, err := io.ReadAll(nc)
					if err != nil || strings.Contains(string(b), "101") {
						t.Errorf("%s: the server says %q, %v", name, b, err)
					}
					nc.Close()
				}
			})
		})
	}
}

// Steps 2 to 4 of RFC 6455, Section 4.2.2, for every version of HTTP.
func TestRFC6455Section4_2_2_Steps(t *testing.T) {
	opts := &weft.AcceptOptions{Subprotocols: []string{"v2.chat", "chat"}, OriginPatterns: []string{"*.example.org"}}
	handler := func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/":
			w.Header().Set("Set-Cookie", "a=b")
			echoWith(opts)(w, r)
		case "/private":
			w.Header().Set("WWW-Authenticate", "Basic")
			w.WriteHeader(401)
		case "/old":
			http.Redirect(w, r, "/", 307)
		default:
			http.NotFound(w, r)
		}
	}
	overServers(t, handler, true, true, func(t *testing.T, e *env) {
		open, wrongVersion := "101", "426"
		scheme, other := "http", "https"
		if strings.HasPrefix(e.carrier.name, "h2") {
			open, wrongVersion = "200", "400"
		}
		otherScheme := open // TLS may end in front of the server
		if e.carrier.scheme == "wss" {
			scheme, other, otherScheme = "https", "http", "403"
		}
		for _, tt := range []struct {
			name   string
			path   string
			fields []string
			status string
			want   string // "name: value", separated by ";"; "name: " for none
		}{
			{"a right one", "/", nil, open, "set-cookie: a=b;sec-websocket-protocol: ;sec-websocket-extensions: "},
			// 2. "The server can perform additional client authentication, for example, by returning a 401 status code."
			{"2. authentication", "/private", nil, "401", "www-authenticate: Basic"},
			// 3. "The server MAY redirect the client using a 3xx status code."
			{"3. redirect", "/old", nil, "307", "location: /"},
			// "If the requested service is not available, the server MUST send an appropriate HTTP error code (such as 404 Not
			// Found) and abort the WebSocket handshake."
			{"4. resource name", "/nothing", nil, "404", ""},
			// "If the server does not wish to accept this connection, it MUST return an appropriate HTTP error code (e.g., 403
			// Forbidden) and abort the WebSocket handshake."
			{"4. same origin", "/", []string{"origin: " + scheme + "://example.com"}, open, ""},
			{"4. same origin, in another case", "/", []string{"origin: " + scheme + "://EXAMPLE.com"}, open, ""},
			{"4. another origin", "/", []string{"origin: " + scheme + "://evil.example"}, "403", ""},
			{"4. another scheme", "/", []string{"origin: " + other + "://example.com"}, otherScheme, ""},
			{"4. another port", "/", []string{"origin: " + scheme + "://example.com:8080"}, "403", ""},
			{"4. an origin without a name", "/", []string{"origin: null"}, "403", ""},
			{"4. an allowed origin", "/", []string{"origin: https://a.example.org"}, open, ""},
			// "If this version does not match a version understood by the server, the server MUST abort the WebSocket handshake
			// [...] and instead send an appropriate HTTP error code (such as 426 Upgrade Required) and a |Sec-WebSocket-Version|
			// header field indicating the version(s) the server is capable of understanding."
			{"4. version", "/", []string{"sec-websocket-version: 8"}, wrongVersion, "sec-websocket-version: 13"},
			{"4. two versions", "/", []string{"sec-websocket-version: 13, 8"}, wrongVersion, "sec-websocket-version: 13"},
			// "The value chosen MUST be derived from the client's handshake, specifically by selecting one of the values."
			{"4. subprotocol", "/", []string{"sec-websocket-protocol: chat, v2.chat"}, open, "sec-websocket-protocol: v2.chat"},
			{"4. subprotocol in lines", "/", []string{"sec-websocket-protocol: x", "+sec-websocket-protocol: chat"}, open, "sec-websocket-protocol: chat"},
			// "If the server does not wish to agree to one of the suggested subprotocols, it MUST NOT send back a
			// |Sec-WebSocket-Protocol| header field in its response."
			{"4. no common subprotocol", "/", []string{"sec-websocket-protocol: mqtt"}, open, "sec-websocket-protocol: "},
			{"4. a subprotocol that is no token", "/", []string{"sec-websocket-protocol: a b"}, "400", ""},
			{"4. a subprotocol twice", "/", []string{"sec-websocket-protocol: chat, chat"}, "400", ""},
			// "This rule applies both during the opening handshake and during subsequent data exchange." Section 8.1.
			{"8.1 a subprotocol that is no UTF-8", "/", []string{"sec-websocket-protocol: chat, \xff"}, "400", ""},
			// "Extensions not listed by the client MUST NOT be listed."
			{"4. an unknown extension", "/", []string{"sec-websocket-extensions: mux; max=3"}, open, "sec-websocket-extensions: "},
			{"4. extensions that do not parse", "/", []string{"sec-websocket-extensions: a; ;"}, "400", ""},
		} {
			got := ask(t, e, tt.path, tt.fields...)
			if got.status != tt.status {
				t.Errorf("%s: %s, want %s", tt.name, got.status, tt.status)
			}
			for want := range strings.SplitSeq(tt.want, ";") {
				if name, value, ok := strings.Cut(want, ": "); ok && got.get(name) != value {
					t.Errorf("%s: %s is %q, want %q", tt.name, name, got.get(name), value)
				}
			}
			// "HTTP/2 does not use the Connection header field [...] Upgrade". RFC 9113, Section 8.2.2.
			if open == "200" && (got.get("upgrade") != "" || got.get("connection") != "") {
				t.Errorf("%s: the answer has %v", tt.name, got.fields)
			}
		}
	})
}

// "If the server doesn't support the requested version, it MUST respond with a |Sec-WebSocket-Version| header field [...] containing
// all versions it is willing to use. At this point, if the client supports one of the advertised versions, it can repeat the
// WebSocket handshake using a new version value": here on the same connection.
func TestRFC6455Section4_4_Versions(t *testing.T) {
	overServers(t, echo, true, false, func(t *testing.T, e *env) {
		c := connectH1(t, e)
		defer c.Close()
		const request = "GET /chat HTTP/1.1\r\nHost: example.com\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: " +
			sampleKey + "\r\nSec-WebSocket-Version: "
		got := c.ask(request + "25\r\n\r\n")
		if got.status != "426" || got.get("sec-websocket-version") != "13" {
			t.Errorf("version 25: %v", got)
		}
		n, err := strconv.Atoi(got.get("content-length"))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.CopyN(io.Discard, c, int64(n)); err != nil {
			t.Fatal(err)
		}
		if got := c.ask(request + "13\r\n\r\n"); got.status != "101" {
			t.Errorf("version 13: %v", got)
		}
	})
}

// "At this point, the server may begin sending (and receiving) data": also what the client has sent too early.
func TestRFC6455Section4_2_2_EarlyData(t *testing.T) {
	for _, c := range onTCP {
		for _, callbacks := range []bool{false, true} {
			t.Run(c.name+"/"+apiName(callbacks), func(t *testing.T) {
				simnet.Run(t, rtt, func(t *testing.T, n *simnet.Network) {
					s := newSubject()
					e := newEnv(t, n, c, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
						time.Sleep(2 * rtt)
						conn, err := weft.Accept(w, r, nil)
						if err != nil {
							t.Errorf("Accept: %v", err)
							return
						}
						s.Conn = conn
						s.watch(callbacks)
					}), nil)
					early := text("early").append(nil, true)
					var conn rawConn
					if strings.HasPrefix(c.name, "h2") {
						st := connectH2(t, e).open(websocketFields(c)...)
						st.Write(early)
						if got := st.status(); got != "200" {
							t.Fatal(got)
						}
						conn = st
					} else {
						h1 := connectH1(t, e)
						if got := h1.ask("GET / HTTP/1.1\r\nHost: example.com\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: " +
							sampleKey + "\r\nSec-WebSocket-Version: 13\r\n\r\n" + string(early)); got.status != "101" {
							t.Fatal(got)
						}
						conn = h1
					}
					defer conn.Close()
					conn.Write(text("later").append(nil, true))
					for _, want := range []string{`text "early"`, `text "later"`} {
						if got := <-s.events; got != any(want) {
							t.Errorf("got %v, want %s", got, want)
						}
					}
					s.CloseNow()
				})
			})
		}
	}
}

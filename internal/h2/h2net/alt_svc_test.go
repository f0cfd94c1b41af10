package h2net

//lint:file-ignore SA1019 x/net's own HTTP/2 is deprecated for users, and just right as an independent peer

import (
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"sync"
	"testing"
	"testing/synctest"

	"golang.org/x/net/http2"

	"github.com/weftws/weft/internal/h2/wire"
)

// told collects what hooks say.
type told struct {
	sync.Mutex
	lines []string
}

func (l *told) altSvc(origin, value string) { l.add(origin + " " + value) }
func (l *told) origins(list []string)       { l.add(fmt.Sprint(list)) }

func (l *told) add(line string) {
	l.Lock()
	defer l.Unlock()
	l.lines = append(l.lines, line)
}

func (l *told) want(t *testing.T, lines ...string) {
	t.Helper()
	synctest.Wait()
	l.Lock()
	defer l.Unlock()
	if !slices.Equal(l.lines, lines) {
		t.Errorf("told %q, want %q", l.lines, lines)
	}
	l.lines = nil
}

func TestAltSvcHeader(t *testing.T) {
	srv := &Server{AltSvc: AltSvc{Header: true, Value: func(authority string) string {
		if authority == "none.example" {
			return ""
		}
		return `h3=":443"; for=` + authority
	}}}
	inFakeTime(t, srv, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/chat":
			accept(t, r).Close(0)
		case "/own":
			w.Header().Set("Alt-Svc", "clear")
		case "/off":
			w.Header()["Alt-Svc"] = nil
		case "/421":
			w.WriteHeader(421)
		case "/103":
			w.WriteHeader(103)
		}
	}), func(fx *fixture) {
		cc := fx.connect(ClientOptions{})
		const alt = `h3=":443"; for=example.com`
		for path, want := range map[string]string{"/chat": alt, "/": alt, "/own": "clear", "/off": "", "/421": "", "/103": alt} {
			var got string
			if path == "/chat" {
				resp, err := callTo(t, cc, "example.com", path).Response(fx.ctx)
				if err != nil {
					t.Fatal(err)
				}
				got = resp.Header.Get("Alt-Svc")
			} else {
				resp, err := fx.xnetClient().Do(request("GET", path, nil))
				if err != nil {
					t.Fatal(err)
				}
				got = resp.Header.Get("Alt-Svc")
				resp.Body.Close()
			}
			if got != want {
				t.Errorf("%s: Alt-Svc is %q, want %q", path, got, want)
			}
		}
		resp, err := callTo(t, cc, "none.example", "/chat").Response(fx.ctx)
		if err != nil || resp.Header["Alt-Svc"] != nil {
			t.Error(resp, err)
		}
	})
}

func callTo(t *testing.T, cc *ClientConn, authority, path string) *Call {
	t.Helper()
	c, err := cc.OpenConnect(ConnectRequest{Scheme: "https", Authority: authority, Path: path})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// The frame comes once for an authority, before the answer.
func TestAltSvcFrame(t *testing.T) {
	srv := &Server{AltSvc: AltSvc{Frame: true, Value: func(authority string) string { return `h3="` + authority + `:443"` }}}
	inFakeTime(t, srv, echoCallbacks(t), func(fx *fixture) {
		var l told
		var cc *ClientConn
		cc = fx.connect(ClientOptions{AltSvc: func(origin, value string) {
			cc.State() // no lock is held
			l.altSvc(origin, value)
		}})
		for _, authority := range []string{"example.com", "example.com", "example.org"} {
			resp, err := callTo(t, cc, authority, "/").Response(fx.ctx)
			if err != nil || resp.Header["Alt-Svc"] != nil {
				t.Fatal(resp, err)
			}
		}
		l.want(t, `https://example.com h3="example.com:443"`, `https://example.org h3="example.org:443"`)
		// What is remembered for it is bounded by the streams that are open.
		for range 100 {
			c := callTo(t, cc, "example.com", "/")
			if _, err := c.Response(fx.ctx); err != nil {
				t.Fatal(err)
			}
			c.Cancel()
		}
		cc.f.Lock()
		if n := len(cc.origins); n == 0 || n > 30 {
			t.Errorf("%d origins are remembered", n)
		}
		cc.f.Unlock()
		l.want(t, `https://example.com h3="example.com:443"`)
		// Who does not ask is not told.
		fx.open(fx.connect(ClientOptions{}), "/")
		l.want(t)
	})
}

func TestAltSvcAndOriginHooks(t *testing.T) {
	var l told
	for _, secure := range []bool{false, true} {
		withPeer(t, ClientOptions{AltSvc: l.altSvc, Origins: l.origins}, func(nc net.Conn, fr *http2.Framer) {
			fr.WriteSettings()
			readUntil(fr, http2.FrameHeaders)
			nc.Write(wire.AppendAltSvc(nil, 0, "https://example.org", "clear"))
			nc.Write(wire.AppendAltSvc(nil, 1, "", `h3=":443"`))
			nc.Write(wire.AppendOrigin(nil, "https://example.com", "https://example.org"))
			io.Copy(io.Discard, nc)
		}, func(t *testing.T, cc *ClientConn) {
			if secure {
				cc.tls = &tls.ConnectionState{}
			}
			c := call(t, cc)
			<-cc.Settings()
			want := []string{"https://example.org clear", `https://example.com h3=":443"`}
			if secure {
				want = append(want, "[https://example.com https://example.org]")
			}
			l.want(t, want...)
			c.Cancel()
		})
	}
}

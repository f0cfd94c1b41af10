package interop

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/weftws/weft"
)

// A browser is a running one.
type browser interface {
	newTab(t *testing.T) tab
}

// A tab is one of a browser's. Its methods give up after patience.
type tab interface {
	// navigate returns when the page has loaded.
	navigate(url string) error
	// run waits for the promise of an expression and returns the string that comes of it.
	run(expression string) (string, error)
}

// useBrowser has a browser converse, and use the playground. Browsers use HTTP/2 for a WebSocket when they have an HTTP/2 connection
// to the origin whose SETTINGS allow it.
func useBrowser(t *testing.T, b browser, h habits) {
	cert := newCertificate(t)
	t.Run("HTTP2", func(t *testing.T) { browserConversation(t, b, cert, "HTTP/2.0") })
	t.Run("HTTP1", func(t *testing.T) { browserConversation(t, b, cert, "HTTP/1.1") })
	t.Run("habits", func(t *testing.T) { h.test(t, b, cert) })
	weft := buildWeft(t)
	t.Run("playground", func(t *testing.T) { playground(t, b, weft, "HTTP/2.0") })
	t.Run("playground without connect protocol", func(t *testing.T) { playground(t, b, weft, "HTTP/1.1", "--no-connect-protocol") })
}

// browserConversation is the conversation with a page as the client. Over HTTP/2 the page and all its WebSockets share one
// connection.
func browserConversation(t *testing.T, b browser, cert *certificate, version string) {
	srv := startWeft(t, cert, func(s *weft.Server) {
		servePage(s)
		s.Options.DisableConnectProtocol = version == "HTTP/1.1"
	})
	p := openPage(t, b, srv)
	p.wantVersion(t, "HTTP/2.0")
	p.converse(t, version)
	if version == "HTTP/2.0" {
		p.wantTogether(t, p.line)
	}
}

// habits are those in which browsers differ: docs/browsers.md.
type habits struct {
	newOrigin string // the version of HTTP of a WebSocket to an origin that it has no connection to
	stays     bool   // with a connection on which a handshake was refused
	leaves    string // what the server says of a WebSocket whose page was left
}

func (h habits) test(t *testing.T, b browser, cert *certificate) {
	srv, other := startWeft(t, cert, servePage), startWeft(t, cert, servePage)
	p := openPage(t, b, srv)

	there := p.talk(h.newOrigin)
	there.url, there.server = fmt.Sprintf("wss://localhost:%d", other.port), other.record
	s, id := there.open(t, offer{}, "")
	there.clientCloses(t, s, id, 1000, "")

	if s, err := newWebSocket(p.tab, "wss://"+p.origin+"/nothing", nil); err == nil {
		t.Errorf("a WebSocket that was refused with 404 opened: %+v", s)
	}
	_, id = p.talk("HTTP/2.0").open(t, offer{}, "")
	line := srv.record.lines("open " + id)[0]
	if stays := remoteOf(line) == remoteOf(p.line); stays != h.stays {
		t.Errorf("on the connection of the refused one: %v, want %v; %s, then %s", stays, h.stays, p.line, line)
	}

	if err := p.tab.navigate("about:blank"); err != nil {
		t.Fatal(err)
	}
	srv.record.await(t, id+" ", h.leaves)
}

// servePage adds the page that the test drives to the echo handler, and a line to the record for each time it is asked for.
func servePage(s *weft.Server) {
	echo, mux := s.Handler, http.NewServeMux()
	rec := s.ErrorLog.Writer()
	mux.Handle("/echo", echo)
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(rec, "page version=%s remote=%s end\n", r.Proto, r.RemoteAddr)
		w.Header().Set("Cache-Control", "no-store")
		http.ServeFile(w, r, filepath.Join("testdata", "page.html"))
	})
	s.Handler = mux
}

// An openedPage is the page of servePage in a tab.
type openedPage struct {
	tab    tab
	srv    *weftServer
	origin string // host and port
	line   string // of the record, for the last time it was loaded
}

func openPage(t *testing.T, b browser, srv *weftServer) *openedPage {
	t.Helper()
	p := &openedPage{tab: b.newTab(t), srv: srv, origin: fmt.Sprintf("localhost:%d", srv.port)}
	p.load(t)
	return p
}

func (p *openedPage) load(t *testing.T) {
	t.Helper()
	if err := p.tab.navigate("https://" + p.origin + "/"); err != nil {
		t.Fatalf("navigate: %v", err)
	}
	pages := p.srv.record.lines("page version=")
	if len(pages) == 0 {
		t.Fatal("the server was not asked for the page")
	}
	p.line = pages[len(pages)-1]
}

func (p *openedPage) wantVersion(t *testing.T, version string) {
	t.Helper()
	if !strings.Contains(p.line, "version="+version+" ") {
		t.Errorf("the page came by %s, want %s", p.line, version)
	}
}

// converse is the conversation. Each WebSocket must come by version.
func (p *openedPage) converse(t *testing.T, version string) {
	t.Helper()
	p.talk(version).run(t)
}

// exchange is a short one.
func (p *openedPage) exchange(t *testing.T, version string) {
	t.Helper()
	k := p.talk(version)
	s, id := k.open(t, offer{}, "")
	exchange(t, s, true, []byte("hello"))
	exchange(t, s, false, pattern(1<<20))
	k.clientCloses(t, s, id, 4000, "enough")
	s, _ = k.open(t, offer{}, "")
	k.serverCloses(t, s, closed{4001, "that was all"})
}

func (p *openedPage) talk(version string) *talk {
	return &talk{
		dial: func(t *testing.T, url string, o offer) socket { return dialBrowser(t, p.tab, url, o) },
		url:  "wss://" + p.origin, server: p.srv.record, carried: "version=" + version, deflate: []string{"takeover", "no-takeover"},
	}
}

// wantTogether: the WebSockets came on the TCP connection of the page which the line tells of.
func (p *openedPage) wantTogether(t *testing.T, line string) {
	t.Helper()
	for _, socket := range p.srv.record.lines("open id=") {
		if remoteOf(socket) != remoteOf(line) {
			t.Errorf("%s, but: %s", line, socket)
		}
	}
}

// call evaluates f(args...) in the page, waits for its promise and decodes what comes of it into result.
func call(tab tab, result any, f string, args ...any) error {
	texts := make([]string, len(args))
	for i, a := range args {
		text, err := json.Marshal(a)
		if err != nil {
			return err
		}
		texts[i] = string(text)
	}
	return evaluate(tab, result, fmt.Sprintf("%s(%s)", f, strings.Join(texts, ", ")))
}

// evaluate waits for the promise of an expression and decodes what comes of it into result; nil: it does not matter.
func evaluate(tab tab, result any, expression string) error {
	text, err := tab.run("Promise.resolve(" + expression + ").then((v) => JSON.stringify(v) ?? 'null')")
	if err != nil || result == nil {
		return err
	}
	return json.Unmarshal([]byte(text), result)
}

// ---- A page's WebSocket

type browserSocket struct {
	tab        tab
	id         int
	protocol   string
	extensions string
}

func dialBrowser(t *testing.T, tab tab, url string, o offer) socket {
	t.Helper()
	s, err := newWebSocket(tab, url, o.subprotocols)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func newWebSocket(tab tab, url string, protocols []string) (*browserSocket, error) {
	var got struct {
		ID                             int
		Subprotocol, Extensions, Error string
	}
	if protocols == nil {
		protocols = []string{}
	}
	if err := call(tab, &got, "dial", url, protocols); err != nil || got.ID < 0 {
		return nil, fmt.Errorf("new WebSocket(%q): %v %s", url, err, got.Error)
	}
	return &browserSocket{tab, got.ID, got.Subprotocol, got.Extensions}, nil
}

func (s *browserSocket) send(text bool, p []byte) error {
	var sent bool
	return call(s.tab, &sent, "send", s.id, text, base64.StdEncoding.EncodeToString(p))
}

func (s *browserSocket) sendFragments(bool, ...[]byte) error { return errNoFragments }

// A closeEvent is what the page is told.
type closeEvent struct {
	Code     int
	Reason   string
	WasClean bool
}

func (e *closeEvent) err() error {
	if !e.WasClean {
		return fmt.Errorf("the page saw an unclean close: %+v", *e)
	}
	return &closed{e.Code, e.Reason}
}

func (s *browserSocket) receive() (bool, []byte, error) {
	var got struct {
		Text   bool
		Data   []byte // encoding/json decodes base64
		Closed *closeEvent
	}
	if err := call(s.tab, &got, "receive", s.id); err != nil {
		return false, nil, err
	}
	if got.Closed != nil {
		return false, nil, got.Closed.err()
	}
	return got.Text, got.Data, nil
}

func (s *browserSocket) close(code int, reason string) error {
	var got closeEvent
	if err := call(s.tab, &got, "close", s.id, code, reason); err != nil {
		return err
	}
	if c, ok := errors.AsType[*closed](got.err()); !ok || c.code != code {
		return fmt.Errorf("the page saw %+v, want a clean close with %d", got, code)
	}
	return nil
}

func (s *browserSocket) subprotocol() string { return s.protocol }
func (s *browserSocket) compressed() bool {
	return strings.HasPrefix(s.extensions, "permessage-deflate")
}

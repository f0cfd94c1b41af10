package interop

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/weftws/weft"
)

// Chromium uses HTTP/2 for a WebSocket when it has an HTTP/2 connection to the origin whose SETTINGS allow it.
func TestChromium(t *testing.T) {
	browser := startChromium(t)
	cert := newCertificate(t)
	t.Run("HTTP2", func(t *testing.T) { chromiumConversation(t, browser, cert, "HTTP/2.0") })
	t.Run("HTTP1", func(t *testing.T) { chromiumConversation(t, browser, cert, "HTTP/1.1") })
	weft := buildWeft(t)
	t.Run("playground", func(t *testing.T) { playground(t, browser, weft, "HTTP/2.0") })
	t.Run("playground without connect protocol", func(t *testing.T) { playground(t, browser, weft, "HTTP/1.1", "--no-connect-protocol") })
}

// chromiumConversation is the conversation with a page as the client. Over HTTP/2 the page and all its WebSockets share one
// connection.
func chromiumConversation(t *testing.T, browser context.Context, cert *certificate, version string) {
	srv := startWeft(t, cert, func(s *weft.Server) {
		servePage(s)
		s.Options.DisableConnectProtocol = version == "HTTP/1.1"
	})
	p := openPage(t, browser, srv)
	p.wantVersion(t, "HTTP/2.0")
	p.converse(t, version)
	if version == "HTTP/2.0" {
		p.wantTogether(t, p.line)
	}
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
	tab    context.Context
	srv    *weftServer
	origin string // host and port
	line   string // of the record, for the last time it was loaded
}

func openPage(t *testing.T, browser context.Context, srv *weftServer) *openedPage {
	t.Helper()
	p := &openedPage{tab: newTab(t, browser), srv: srv, origin: fmt.Sprintf("localhost:%d", srv.port)}
	p.load(t)
	return p
}

func (p *openedPage) load(t *testing.T) {
	t.Helper()
	if err := chromedp.Do(p.tab, chromedp.Navigate("https://"+p.origin+"/")); err != nil {
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
		dial: func(t *testing.T, url string, o offer) socket { return dialChromium(t, p.tab, url, o) },
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

// ---- The browser

// startChromium returns the context of a running browser.
func startChromium(t *testing.T, more ...chromedp.ExecAllocatorOption) context.Context {
	t.Helper()
	path := program(t, "chromium", "chromium")
	log := newRecord()
	opts := []chromedp.ExecAllocatorOption{
		chromedp.ExecPath(path), chromedp.UserDataDir(t.TempDir()), chromedp.Headless, chromedp.NoSandbox, chromedp.DisableGPU,
		chromedp.NoFirstRun, chromedp.CombinedOutput(log),
		chromedp.Flag("disable-background-networking", true), chromedp.Flag("disable-component-update", true),
		chromedp.Flag("disable-sync", true), chromedp.Flag("disable-dev-shm-usage", true), chromedp.Flag("ignore-certificate-errors", true),
		chromedp.Flag("host-resolver-rules", "MAP localhost 127.0.0.1,MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"),
	}
	allocator, cancel := chromedp.NewExecAllocator(context.Background(), append(opts, more...)...)
	ctx, cancelBrowser := chromedp.NewContext(allocator)
	t.Cleanup(func() {
		cancelBrowser()
		cancel()
		if t.Failed() {
			t.Logf("chromium printed:\n%s", log)
		}
	})
	if err := chromedp.Do(ctx); err != nil {
		t.Fatalf("start chromium: %v", err)
	}
	return ctx
}

func newTab(t *testing.T, browser context.Context) context.Context {
	t.Helper()
	ctx, cancel := chromedp.NewContext(browser)
	t.Cleanup(cancel)
	ctx, cancel = context.WithTimeout(ctx, 3*patience)
	t.Cleanup(cancel)
	return ctx
}

// call evaluates f(args...) in the page, waits for its promise and decodes what comes of it into result.
func call(tab context.Context, result any, f string, args ...any) error {
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

func evaluate(tab context.Context, result any, expression string) error {
	ctx, cancel := context.WithTimeout(tab, patience)
	defer cancel()
	raw, err := chromedp.Run(ctx, chromedp.Evaluate[[]byte](expression, chromedp.EvalAwaitPromise))
	if err != nil || result == nil {
		return err
	}
	return json.Unmarshal(raw, result)
}

// ---- A page's WebSocket

type chromiumSocket struct {
	tab        context.Context
	id         int
	protocol   string
	extensions string
}

func dialChromium(t *testing.T, tab context.Context, url string, o offer) socket {
	t.Helper()
	var got struct {
		ID                             int
		Subprotocol, Extensions, Error string
	}
	protocols := o.subprotocols
	if protocols == nil {
		protocols = []string{}
	}
	if err := call(tab, &got, "dial", url, protocols); err != nil || got.ID < 0 {
		t.Fatalf("new WebSocket(%q): %v %s", url, err, got.Error)
	}
	return &chromiumSocket{tab, got.ID, got.Subprotocol, got.Extensions}
}

func (s *chromiumSocket) send(text bool, p []byte) error {
	var sent bool
	return call(s.tab, &sent, "send", s.id, text, base64.StdEncoding.EncodeToString(p))
}

func (s *chromiumSocket) sendFragments(bool, ...[]byte) error { return errNoFragments }

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

func (s *chromiumSocket) receive() (bool, []byte, error) {
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

func (s *chromiumSocket) close(code int, reason string) error {
	var got closeEvent
	if err := call(s.tab, &got, "close", s.id, code, reason); err != nil {
		return err
	}
	if c, ok := errors.AsType[*closed](got.err()); !ok || c.code != code {
		return fmt.Errorf("the page saw %+v, want a clean close with %d", got, code)
	}
	return nil
}

func (s *chromiumSocket) subprotocol() string { return s.protocol }
func (s *chromiumSocket) compressed() bool {
	return strings.HasPrefix(s.extensions, "permessage-deflate")
}

// ---- weft up

// buildWeft builds the command from the tree around this module.
func buildWeft(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "weft")
	cmd := exec.Command("go", "build", "-o", path, "./cmd/weft")
	cmd.Dir = ".."
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("go build ./cmd/weft: %v\n%s", err, out)
	}
	return path
}

// startUp starts weft up, with a certificate of its own, and returns its TLS port.
func startUp(t *testing.T, weft string, flags ...string) (cmd *exec.Cmd, p *peer, port string) {
	t.Helper()
	cmd = exec.Command(weft, append([]string{"up", "--addr=127.0.0.1:0", "--json"}, flags...)...)
	cmd.Env = append(os.Environ(), "XDG_CACHE_HOME="+t.TempDir())
	p = startCommand(t, cmd)
	var ready struct{ TLS string }
	if err := json.Unmarshal([]byte(p.record.await(t, `"tls"`)), &ready); err != nil {
		t.Fatal(err)
	}
	_, port, _ = strings.Cut(ready.TLS, ":")
	return cmd, p, port
}

// playground loads the page of weft up and uses it. Version is what has to carry its WebSockets.
func playground(t *testing.T, browser context.Context, weft, version string, flags ...string) {
	cmd, p, port := startUp(t, weft, flags...)
	tab := newTab(t, browser)
	if err := chromedp.Do(tab, chromedp.Navigate("https://localhost:"+port+"/?open=0"), chromedp.WaitReady("#open-1")); err != nil {
		t.Fatalf("navigate: %v", err)
	}
	pg := page{t, tab}

	var ids []int // the page may have opened others before
	pg.evaluate(&ids, "weft.open(3)")
	sockets := pg.sockets(ids)
	if len(ids) != 3 || len(sockets) != 3 {
		t.Fatalf("open(3) opened %v: %+v", ids, sockets)
	}
	for i, s := range sockets {
		p.record.await(t, fmt.Sprintf("open  /echo %s conn=%d stream=%d ", version, s.Conn, s.Stream))
		if s.Version != version {
			t.Errorf("socket %d: version %s, want %s", i, s.Version, version)
		}
		if same := s.Conn == sockets[0].Conn; same != (version == "HTTP/2.0" || i == 0) {
			t.Errorf("%s: socket %d on connection %d, the first on %d", version, i, s.Conn, sockets[0].Conn)
		}
	}

	// By hand, not by the clock: every message that was sent has been answered when the counts are equal.
	pg.evaluate(nil, `document.getElementById('every').value = ''; document.getElementById('every').onchange(); true`)
	for _, size := range []string{"16", "65536", "1048576"} {
		pg.evaluate(nil, fmt.Sprintf(`document.getElementById('size').value = '%s'; weft.sendAll('', 'text'); weft.sendAll('', 'binary'); true`, size))
		pg.await(`weft.sockets.every((s) => s.received === s.sent)`)
	}
	for _, s := range pg.sockets(ids) {
		if s.Sent < 6 || s.Received != s.Sent || s.Mismatched != 0 {
			t.Errorf("socket %+v: want 6 or more answers, none mismatched", s)
		}
	}

	pg.evaluate(nil, "weft.closeAll(4000, 'by the page'); true")
	pg.await(`weft.sockets.every((s) => s.state === 'closed')`)
	for _, s := range pg.sockets(ids) {
		if s.Code != 4000 {
			t.Errorf("the page saw %d %q, want 4000", s.Code, s.Reason)
		}
		p.record.await(t, fmt.Sprintf("close /echo %s conn=%d stream=%d ", version, s.Conn, s.Stream), "code=4000", `reason="by the page"`)
	}

	pg.evaluate(&ids, "weft.open(2)")
	cmd.Process.Signal(syscall.SIGINT)
	pg.await(`weft.sockets.every((s) => s.state === 'closed')`)
	sockets = pg.sockets(ids)
	for _, s := range sockets {
		if s.Code != 1001 {
			t.Errorf("when the server stopped the page saw %d %q, want 1001", s.Code, s.Reason)
		}
	}
	if len(ids) != 2 || len(sockets) != 2 {
		t.Errorf("open(2) opened %v: %+v", ids, sockets)
	}
	if err := p.waitExit(t); err != nil {
		t.Errorf("weft up: %v", err)
	}
}

// A page is the playground's, driven through its window.weft.
type page struct {
	t   *testing.T
	tab context.Context
}

type pageSocket struct {
	ID                         int
	Version                    string
	Conn, Stream               int
	Sent, Received, Mismatched int
	Code                       int
	Reason                     string
}

func (p page) evaluate(result any, expression string) {
	p.t.Helper()
	if err := evaluate(p.tab, result, expression); err != nil {
		p.t.Fatalf("%s: %v", expression, err)
	}
}

// sockets returns those of the page's sockets that have one of the ids.
func (p page) sockets(ids []int) (s []pageSocket) {
	p.t.Helper()
	p.evaluate(&s, "weft.sockets")
	return slices.DeleteFunc(s, func(s pageSocket) bool { return !slices.Contains(ids, s.ID) })
}

// await waits until the expression is true.
func (p page) await(expression string) {
	p.t.Helper()
	deadline := time.Now().Add(patience)
	for {
		var done bool
		p.evaluate(&done, expression)
		if done {
			return
		}
		if time.Now().After(deadline) {
			p.t.Fatalf("not so after %v: %s", patience, expression)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

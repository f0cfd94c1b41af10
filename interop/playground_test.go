package interop

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

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
func playground(t *testing.T, b browser, weft, version string, flags ...string) {
	cmd, p, port := startUp(t, weft, flags...)
	pg := page{t, b.newTab(t)}
	if err := pg.tab.navigate("https://localhost:" + port + "/?open=0"); err != nil {
		t.Fatalf("navigate: %v", err)
	}
	pg.await("document.getElementById('open-1') !== null")

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
	pg.evaluate(nil, `(document.getElementById('every').value = '', document.getElementById('every').onchange())`)
	for _, size := range []string{"16", "65536", "1048576"} {
		pg.evaluate(nil, fmt.Sprintf(`(document.getElementById('size').value = '%s', weft.sendAll('', 'text'), weft.sendAll('', 'binary'))`, size))
		pg.await(`weft.sockets.every((s) => s.received === s.sent)`)
	}
	for _, s := range pg.sockets(ids) {
		if s.Sent < 6 || s.Received != s.Sent || s.Mismatched != 0 {
			t.Errorf("socket %+v: want 6 or more answers, none mismatched", s)
		}
	}

	pg.evaluate(nil, "weft.closeAll(4000, 'by the page')")
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
	tab tab
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

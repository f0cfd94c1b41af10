package weft_test

import (
	"bytes"
	"go/parser"
	"go/token"
	"io"
	"io/fs"
	"log"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/weftws/weft"
)

// Whatever a peer does wrong, logs have neither its query nor the values of fields that carry credentials nor payload.
func TestLogsKeepSecrets(t *testing.T) {
	const secret = "sEcReT"
	var mu sync.Mutex
	var b bytes.Buffer
	logged := lockedWriter{&mu, &b}
	a := newArena(t, false, func(s *weft.Server) {
		s.ErrorLog = log.New(logged, "", 0)
		s.Options.Observer = weft.JoinObservers(s.Options.Observer, weft.LogObserver(slog.New(slog.NewTextHandler(logged, &slog.HandlerOptions{Level: slog.LevelDebug}))))
	})
	credentials := []string{"authorization: Bearer " + secret, "cookie: session=" + secret}
	path := "/ws?token=" + secret

	for _, field := range []string{
		"Origin: https://" + secret + ".example", "Sec-WebSocket-Extensions: " + secret + "; =", "Sec-WebSocket-Protocol: " + secret + ", @", "Sec-WebSocket-Key: " + secret,
	} {
		c := a.connect("", "http/1.1")
		io.WriteString(c, askWebSocket(a.addr, path, append(credentials, field)...))
		res, err := io.ReadAll(c)
		if err != nil || !bytes.HasPrefix(res, []byte("HTTP/1.1 4")) {
			t.Errorf("%s: %s, %v", field, res, err)
		}
	}
	x := a.attackH2(false)
	malformed := func(fields ...string) { x.request(true, append(fields, credentials...)...) }
	get := []string{":method: GET", ":scheme: https", ":path: " + path, ":authority: localhost"}
	malformed(append(get, "x: "+secret+"\x01")...)
	malformed(append(get, "connection: "+secret)...)
	malformed(append(get, "content-length: 5")...)
	malformed(":method: GET", ":scheme: https", ":path: ws?token="+secret, ":authority: localhost")
	malformed(":method: GET", ":scheme: https", ":path: /", ":authority: "+secret+"@localhost")
	x.flush()
	x.sees("the resets", func() bool { return x.resets["PROTOCOL_ERROR"] == 5 })

	// Beginning with a message that is in order, so that a WebSocket is opened with everything.
	for _, frames := range [][]rawFrame{
		{text(secret), text(secret + "\xff")},
		{ping(secret), text(secret).bits(4)},
		{bin(secret).in(64).announcing(1 << 40)},
		{text(secret).unlikeSide()},
		{shut(1006, secret)},
		{shut(1000, secret+"\xff")},
	} {
		c := a.connect("", "http/1.1")
		io.WriteString(c, askWebSocket(a.addr, path, credentials...))
		var out []byte
		for _, f := range frames {
			out = f.append(out, true)
		}
		c.Write(out)
		c.CloseWrite()
		io.Copy(io.Discard, c)
	}
	a.await("the records", func() bool {
		mu.Lock()
		defer mu.Unlock()
		return strings.Count(b.String(), "violation by peer") == 11 && strings.Count(b.String(), "websocket closed") == 6
	})
	mu.Lock()
	defer mu.Unlock()
	for line := range strings.Lines(b.String()) {
		if strings.Contains(line, secret) {
			t.Errorf("logged: %s", line)
		}
	}
	if n := strings.Count(b.String(), "websocket refused"); n != 4 {
		t.Errorf("%d refusals are logged:\n%s", n, b.String())
	}
}

// Keys, masks, nonces and tokens are drawn from crypto/rand: whoever has another source may not need it for them.
func TestRandomnessIsCryptographic(t *testing.T) {
	mayRoll := map[string]string{
		"reconnect.go": "how long to wait", "internal/fuzzing": "inputs of tests",
		"internal/simnet": "delays and losses that a seed repeats", "lab": "samples", "resolver": "the order of records with one priority",
	}
	err := filepath.WalkDir(".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if _, err := os.Stat(filepath.Join(name, "go.mod")); name != "." && err == nil {
				return filepath.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") || mayRoll[filepath.ToSlash(filepath.Dir(name))] != "" || mayRoll[filepath.ToSlash(name)] != "" {
			return nil
		}
		f, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		for _, imp := range f.Imports {
			if p, _ := strconv.Unquote(imp.Path.Value); strings.HasPrefix(p, "math/rand") {
				t.Errorf("%s imports %s: use crypto/rand", name, p)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

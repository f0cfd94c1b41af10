package interop

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/weftws/weft/internal/lint"
)

// Programs written for gorilla/websocket behave the same with their import changed to weft's package: as servers, as clients,
// together with programs that still use gorilla, and over HTTP/2, which takes a line of configuration on the server.
func TestGorillaMove(t *testing.T) {
	builds := map[string]string{
		"gorilla":  buildMove(t, false, false),
		"weft":     buildMove(t, true, false),
		"weft, h2": buildMove(t, true, true),
	}
	cert := newCertificate(t)
	for _, name := range []string{"echo", "chat", "filewatch", "command"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			want := runMove(t, cert, name, builds["gorilla"], builds["gorilla"], "HTTP/1.1")
			if strings.Count(want, "\n") < 5 {
				t.Fatalf("gorilla's client prints only\n%s", want)
			}
			for server, path := range builds {
				for client, proto := range map[string]string{"gorilla": "HTTP/1.1", "weft": "HTTP/1.1"} {
					if server == "weft, h2" && client == "weft" {
						proto = "HTTP/2.0"
					}
					if got := runMove(t, cert, name, path, builds[client], proto); got != want {
						t.Errorf("server %s, client %s: the client prints\n%swith gorilla at both ends\n%s", server, client, got, want)
					}
				}
			}
		})
	}
}

// buildMove builds testdata/move, with gorilla's package or with weft's instead of it.
func buildMove(t *testing.T, moved, http2 bool) string {
	t.Helper()
	dir := t.TempDir()
	overlay := struct{ Replace map[string]string }{map[string]string{}}
	sources, err := filepath.Glob("testdata/move/*.go")
	if err != nil || len(sources) < 6 {
		t.Fatalf("sources: %q, %v", sources, err)
	}
	for _, source := range sources {
		source, err := filepath.Abs(source)
		if err != nil {
			t.Fatal(err)
		}
		text, err := os.ReadFile(source)
		if err != nil {
			t.Fatal(err)
		}
		name := filepath.Base(source)
		switch {
		case http2 && name == "configure.go":
			text = []byte("package main\n\nimport (\n\"net/http\"\n\n\"github.com/weftws/weft\"\n)\n\n" +
				"func configure(s *http.Server) error { return weft.ConfigureServer(s, nil) }\n")
		case moved:
			text = []byte(strings.Replace(string(text), `"github.com/gorilla/websocket"`, `"github.com/weftws/weft/gorilla"`, 1))
		}
		overlay.Replace[source] = writeFile(t, dir, name, text)
	}
	list, err := json.Marshal(overlay)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "move")
	out, err := exec.Command("go", "build", "-overlay", writeFile(t, dir, "overlay.json", list), "-o", path, "./testdata/move").CombinedOutput()
	if err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	return path
}

// runMove returns what the client of the program called name prints. The WebSocket has to travel over proto.
func runMove(t *testing.T, cert *certificate, name, server, client, proto string) string {
	t.Helper()
	watched := filepath.Join(t.TempDir(), "watched")
	s := start(t, server, "serve", cert.certFile, cert.keyFile, watched)
	var url string
	for deadline := time.Now().Add(patience); url == ""; time.Sleep(10 * time.Millisecond) {
		if line, ok := strings.CutPrefix(s.record.String(), "url "); ok && strings.Contains(line, "\n") {
			url, _, _ = strings.Cut(line, "\n")
		}
		if time.Now().After(deadline) {
			t.Fatal("the server says no URL")
		}
	}
	c := start(t, client, "dial", name, url, cert.certFile, watched)
	if err := c.waitExit(t); err != nil {
		t.Errorf("the client ended with %v\n%s", err, c.record)
	}
	if got, err := os.ReadFile(watched + ".proto"); err != nil || string(got) != proto {
		t.Errorf("the WebSocket travelled over %s, %v, want %s", got, err, proto)
	}
	return c.record.String()
}

// The list of gorilla's API that weft/gorilla is tested against is complete and true.
func TestGorillaAPIList(t *testing.T) {
	dir, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/gorilla/websocket").Output()
	if err != nil {
		t.Fatal(err)
	}
	want, err := lint.API(strings.TrimSpace(string(dir)))
	if err != nil {
		t.Fatal(err)
	}
	list, err := os.ReadFile("../gorilla/testdata/gorilla-v1.5.3.txt")
	if got := strings.Split(strings.TrimSpace(string(list)), "\n"); err != nil || !slices.Equal(got, want) {
		t.Errorf("%v, the list should be\n%s", err, strings.Join(want, "\n"))
	}
}

package main

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
)

func getPage(t *testing.T, host string) (http.Header, string) {
	t.Helper()
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	r.Host = host
	w := httptest.NewRecorder()
	newSite(newConnLog(io.Discard), false).ServeHTTP(w, r)
	if w.Code != http.StatusOK {
		t.Fatalf("status %d, want 200", w.Code)
	}
	return w.Header(), w.Body.String()
}

func TestPageAsksForNothingElse(t *testing.T) {
	_, body := getPage(t, "localhost")
	for _, forbidden := range []string{`(?i)<(script|img|link|iframe)[^>]* src=`, `(?i)<link[^>]* href="[^d]`, `url\(`, `@import`, `\bfetch\(`, `(?i) on[a-z]+="`, ` style="`} {
		if found := regexp.MustCompile(forbidden).FindString(body); found != "" {
			t.Errorf("page has %q, which its policy forbids or which leaves the page", found)
		}
	}
	for _, found := range regexp.MustCompile(`https?://[^'"\s]+`).FindAllString(body, -1) {
		if found != "http://www.w3.org/2000/svg" { // a name, not a place
			t.Errorf("page names %s", found)
		}
	}
	for _, element := range []string{"<style", "<script"} {
		if n := strings.Count(body, element); n != 1 {
			t.Errorf("page has %d %s elements, the policy allows 1", n, element)
		}
	}
}

func TestPageKeepsItsTestHandles(t *testing.T) {
	_, body := getPage(t, "localhost")
	for _, id := range []string{"open-1", "open-10", "close-all", "close-code", "type-text", "type-binary", "size", "every", "message", "send", "chat-join", "chat-text", "chat-send", "chat-log", "events", "connections", "headline"} {
		if !strings.Contains(body, `id="`+id+`"`) {
			t.Errorf("page has no #%s", id)
		}
	}
}

// WebSockets of HTTP/3 are drawn as what they are: streams of one connection.
func TestPageKnowsHTTP3(t *testing.T) {
	_, body := getPage(t, "localhost")
	for _, want := range []string{`.conn:is([data-version="HTTP/2.0"], [data-version="HTTP/3.0"]) {`, "version === 'HTTP/3.0'", "versions[0] === 'HTTP/3'"} {
		if !strings.Contains(body, want) {
			t.Errorf("page lacks %q", want)
		}
	}
}

func TestPagePolicy(t *testing.T) {
	h, _ := getPage(t, "127.0.0.1:8443")
	policy := h.Get("Content-Security-Policy")
	for _, want := range []string{"default-src 'none'", "connect-src 'self' ws://127.0.0.1:8443 wss://127.0.0.1:8443;", "script-src 'sha256-", "style-src 'sha256-", "frame-ancestors 'none'"} {
		if !strings.Contains(policy, want) {
			t.Errorf("policy %q lacks %q", policy, want)
		}
	}
	if strings.Contains(policy, "unsafe") {
		t.Errorf("policy %q allows what is unsafe", policy)
	}
	h, _ = getPage(t, "evil; script-src *")
	if policy := h.Get("Content-Security-Policy"); strings.Contains(policy, "evil") {
		t.Errorf("policy %q repeats a Host that is none", policy)
	}
}

func TestOnlyTheRootIsThePage(t *testing.T) {
	for path, want := range map[string]int{"/": 200, "/index.html": 404, "/favicon.ico": 404} {
		w := httptest.NewRecorder()
		newSite(newConnLog(io.Discard), false).ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
		if w.Code != want {
			t.Errorf("GET %s: status %d, want %d", path, w.Code, want)
		}
		if (want == 200) != bytes.Contains(w.Body.Bytes(), []byte("<title>")) {
			t.Errorf("GET %s: %.60q", path, w.Body)
		}
	}
}

package handshake

import (
	"net/http"
	"slices"
	"strings"
	"testing"
)

// header makes a header of "Name: value" lines; a name may stand several times.
func header(lines ...string) http.Header {
	h := http.Header{}
	for _, line := range lines {
		name, value, _ := strings.Cut(line, ": ")
		h.Add(name, value)
	}
	return h
}

// replaced is h without the fields named in lines, and with lines instead; "-Name" only removes.
func replaced(h http.Header, lines ...string) http.Header {
	h = h.Clone()
	for _, line := range lines {
		name, _, _ := strings.Cut(strings.TrimPrefix(line, "-"), ": ")
		h.Del(name)
	}
	for _, line := range lines {
		if name, value, found := strings.Cut(line, ": "); found {
			h.Add(name, value)
		}
	}
	return h
}

// wantError checks that err is the rule called name, "" for none, with the given status and every fragment of text in it.
func wantError(t *testing.T, err *Error, status int, name string, text ...string) {
	t.Helper()
	if err == nil {
		if name != "" {
			t.Errorf("no error, want %s", name)
		}
		return
	}
	if err.Name != name || err.Status != status {
		t.Errorf("error %q, status %d (%v); want %q, status %d", err.Name, err.Status, err, name, status)
	}
	if !strings.HasPrefix(err.Section, "RFC ") || len(err.Detail) > 400 {
		t.Errorf("error without a section, or too long: %+v", err)
	}
	if !strings.Contains(err.Detail, "client") && !strings.Contains(err.Detail, "server") && !strings.HasPrefix(err.Detail, "peer") {
		t.Errorf("error names no side: %v", err)
	}
	for _, fragment := range text {
		if !strings.Contains(err.Error(), fragment) {
			t.Errorf("error %q lacks %q", err, fragment)
		}
	}
}

func wantField(t *testing.T, h http.Header, name string, want ...string) {
	t.Helper()
	if got := h.Values(name); !slices.Equal(got, want) {
		t.Errorf("%s is %q, want %q", name, got, want)
	}
}

package fields

import (
	"strings"
	"testing"
)

// What HTTP/3 asks for and HTTP/2 does not. What both ask for is tested where both are: with real frames.
func TestVersionsDiffer(t *testing.T) {
	const get = ":method GET :scheme https :path / "
	for name, test := range map[string]struct{ lines, http2, http3 string }{
		"all there":         {get + ":authority a", "", ""},
		"host alone":        {get + "host a", "", ""},
		"nobody":            {get, "", "pseudo-header-missing"},
		"an empty one":      {get + ":authority -", "", "pseudo-header-invalid"},
		"an empty host":     {get + "host -", "", "pseudo-header-invalid"},
		"the default port":  {get + ":authority a:443 host A", "", "host-mismatch"},
		"another port":      {get + ":authority a:443 host a:444", "host-mismatch", "host-mismatch"},
		"port of plaintext": {":method GET :scheme http :path / :authority a:443 host a", "host-mismatch", "host-mismatch"},
		"another scheme":    {":method GET :scheme coap :path -", "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			for _, version := range []struct {
				http3 bool
				want  string
			}{{false, test.http2}, {true, test.http3}} {
				s := NewSection(Request)
				s.HTTP3 = version.http3
				if got := feed(t, &s, test.lines, Limits{1000, 10}); got != version.want {
					t.Errorf("HTTP/3 %v: %q, want %q", version.http3, got, version.want)
				}
			}
		})
	}
}

// feed has s take lines, "name value name value" with "-" for an empty value, and returns the rule that they break, or "".
func feed(t *testing.T, s *Section, lines string, limits Limits) string {
	words := strings.Fields(lines)
	for i := 0; i < len(words); i += 2 {
		if _, b := s.Recv(words[i], strings.TrimSuffix(words[i+1], "-"), limits); b != nil {
			return told(t, b)
		}
	}
	if b := s.Check(); b != nil {
		return told(t, b)
	}
	return ""
}

func told(t *testing.T, b *Breach) string {
	if !strings.HasPrefix(b.Error(), "peer sent ") {
		t.Errorf("%v", b)
	}
	return b.Rule.String()
}

// A limit holds to the byte and to the line.
func TestLimits(t *testing.T) {
	const lines = ":status 200 a b"
	for _, test := range []struct {
		limits Limits
		want   string
	}{
		{Limits{Size: 10 + 32 + 2 + 32, Lines: 2}, ""},
		{Limits{Size: 10 + 32 + 2 + 31, Lines: 2}, "header-list-too-large"},
		{Limits{Size: 1000, Lines: 1}, "header-list-too-large"},
	} {
		s := NewSection(Response)
		if got := feed(t, &s, lines, test.limits); got != test.want {
			t.Errorf("%+v: %q, want %q", test.limits, got, test.want)
		}
	}
}

// Whatever comes too late to mean anything is let through.
func TestTrailers(t *testing.T) {
	s := NewSection(Trailers)
	if got := feed(t, &s, "content-length x a b", Limits{1000, 10}); got != "" || s.ContentLength != -1 {
		t.Errorf("%q, %d", got, s.ContentLength)
	}
	s = NewSection(Trailers)
	if got := feed(t, &s, "connection close", Limits{1000, 10}); got != "connection-specific-field" {
		t.Errorf("%q", got)
	}
}

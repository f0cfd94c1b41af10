package h3

import (
	"bytes"
	"strings"
	"testing"

	"github.com/quic-go/quic-go/http3"
	"github.com/quic-go/quic-go/quicvarint"
)

func frameOf(typ uint64, payload string) []byte {
	return append(quicvarint.Append(quicvarint.Append(nil, typ), uint64(len(payload))), payload...)
}

func join(parts ...[]byte) []byte { return bytes.Join(parts, nil) }

// Every split of the input gives the same payload, the same end, and as many frames that carried nothing.
func TestUnframer(t *testing.T) {
	long := strings.Repeat("x", 300)
	for name, c := range map[string]struct {
		in    []byte
		body  bool // of a response, not a tunnel's
		want  string
		code  http3.ErrCode // 0: no violation
		cut   bool          // FIN here is a violation
		empty int           // frames that are counted
	}{
		"nothing":             {},
		"one":                 {in: frameOf(0, "abc"), want: "abc"},
		"many":                {in: join(frameOf(0, "abc"), frameOf(0, ""), frameOf(0, long), frameOf(0, "d")), want: "abc" + long + "d"},
		"unknown are skipped": {in: join(frameOf(0x21, "grease"), frameOf(0, "abc"), frameOf(0x40+0x21, long), frameOf(0, "d")), want: "abcd"},
		"long varints":        {in: append([]byte{0xc0, 0, 0, 0, 0, 0, 0, 0, 0xc0, 0, 0, 0, 0, 0, 0, 2}, "hi"...), want: "hi"},
		"cut payload":         {in: frameOf(0, "abc")[:4], want: "ab", cut: true},
		"cut header":          {in: []byte{0, 0x40}, cut: true},

		"only empty ones":     {in: bytes.Repeat(frameOf(0, ""), 20), empty: 19},
		"only unknown ones":   {in: bytes.Repeat(frameOf(0x21, ""), 20), empty: 19},
		"unknown with a load": {in: bytes.Repeat(frameOf(0x21, "grease"), 20), empty: 19},
		"both":                {in: bytes.Repeat(join(frameOf(0, ""), frameOf(0x21, "")), 10), empty: 19},
		"behind payload":      {in: bytes.Repeat(join(frameOf(0, "a"), frameOf(0x21, "grease"), frameOf(0, "b"), frameOf(0, "")), 2), want: "abab"},
		"two behind payload":  {in: bytes.Repeat(join(frameOf(0, "a"), frameOf(0x21, "grease"), frameOf(0, "")), 3), want: "aaa", empty: 3},
		"behind trailers":     {in: join(frameOf(frameHeaders, "zz"), frameOf(0x21, "")), body: true, empty: 1},

		"trailers in a tunnel":    {in: join(frameOf(0, "a"), frameOf(frameHeaders, "zz")), want: "a", code: http3.ErrCodeFrameUnexpected},
		"trailers of a response":  {in: join(frameOf(0, "a"), frameOf(frameHeaders, "zz")), body: true, want: "a"},
		"two trailers":            {in: join(frameOf(frameHeaders, "z"), frameOf(frameHeaders, "z")), body: true, code: http3.ErrCodeFrameUnexpected},
		"DATA after the trailers": {in: join(frameOf(frameHeaders, "z"), frameOf(0, "z")), body: true, code: http3.ErrCodeFrameUnexpected},
		"SETTINGS":                {in: join(frameOf(0, "a"), frameOf(frameSettings, "")), want: "a", code: http3.ErrCodeFrameUnexpected},
		"PING of HTTP/2":          {in: frameOf(0x6, "12345678"), code: http3.ErrCodeFrameUnexpected},
	} {
		t.Run(name, func(t *testing.T) {
			for step := 1; step <= len(c.in)+1; step++ {
				u := newUnframer(!c.body, nil)
				empty := 0
				var got []byte
				var err error
				for rest := bytes.Clone(c.in); len(rest) > 0 && err == nil; {
					n := min(step, len(rest))
					var p []byte
					p, err = u.strip(rest[:n])
					got = append(got, p...)
					rest = rest[n:]
					empty += u.takeEmpty()
				}
				if empty != c.empty {
					t.Fatalf("in pieces of %d: %d frames carried nothing, want %d", step, empty, c.empty)
				}
				var code http3.ErrCode
				if v, ok := err.(*violation); ok {
					code = v.code
				}
				if string(got) != c.want || code != c.code {
					t.Fatalf("in pieces of %d: %q, %v; want %q, %v", step, got, err, c.want, c.code)
				}
				if err == nil && (u.broken() != nil) != c.cut {
					t.Fatalf("in pieces of %d: broken: %v", step, u.broken())
				}
			}
		})
	}
}

func settingsOf(pairs ...uint64) []byte {
	var p []byte
	for _, v := range pairs {
		p = quicvarint.Append(p, v)
	}
	return p
}

func TestParseSettings(t *testing.T) {
	for name, c := range map[string]struct {
		in   []byte
		want settings
		code http3.ErrCode
	}{
		"empty":          {},
		"on":             {in: settingsOf(8, 1), want: settings{connect: true, connectPresent: true}},
		"off":            {in: settingsOf(8, 0), want: settings{connectPresent: true}},
		"others":         {in: settingsOf(0x21, 99, 6, 4096, 0x33, 1, 8, 1), want: settings{connect: true, connectPresent: true, maxSection: 4096}},
		"value above 1":  {in: settingsOf(8, 2), code: http3.ErrCodeSettingsError},
		"twice":          {in: settingsOf(8, 1, 8, 1), code: http3.ErrCodeSettingsError},
		"unknown twice":  {in: settingsOf(0x21, 1, 0x21, 1), code: http3.ErrCodeSettingsError},
		"of HTTP/2":      {in: settingsOf(4, 65535), code: http3.ErrCodeSettingsError},
		"truncated":      {in: settingsOf(8, 1)[:1], code: http3.ErrCodeFrameError},
		"truncated last": {in: append(settingsOf(8, 1), 0x40), code: http3.ErrCodeFrameError},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := parseSettings(c.in)
			if v, ok := err.(*violation); ok != (c.code != 0) || ok && v.code != c.code {
				t.Fatalf("%v, want %v", err, c.code)
			}
			if err == nil && got != c.want {
				t.Errorf("%+v, want %+v", got, c.want)
			}
		})
	}
}

func TestReducedSettings(t *testing.T) {
	on := settings{connect: true, connectPresent: true, maxSection: 1000}
	for name, c := range map[string]struct {
		now     settings
		reduced bool
	}{
		"the same":       {on, false},
		"more":           {settings{connect: true, maxSection: 2000}, false},
		"unlimited":      {settings{connect: true}, false},
		"off":            {settings{connectPresent: true, maxSection: 1000}, true},
		"smaller fields": {settings{connect: true, maxSection: 999}, true},
	} {
		if err := c.now.reduced(on); (err != nil) != c.reduced {
			t.Errorf("%s: %v", name, err)
		}
	}
}

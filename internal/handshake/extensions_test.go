package handshake

import (
	"errors"
	"reflect"
	"strings"
	"testing"
)

func TestRFC6455Section9_1_ParseExtensions(t *testing.T) {
	flag := func(name string) Param { return Param{Name: name} }
	value := func(name, value string) Param { return Param{Name: name, Value: value, HasValue: true} }
	ext := func(name string, params ...Param) Extension { return Extension{Name: name, Params: params} }
	for _, tt := range []struct {
		name  string
		lines []string
		want  []Extension
		err   string
	}{
		{"no field", nil, nil, ""},
		// The examples of the section.
		{"deflate-stream", []string{"deflate-stream"}, []Extension{ext("deflate-stream")}, ""},
		{"mux", []string{"mux; max-channels=4; flow-control, deflate-stream"}, []Extension{ext("mux", value("max-channels", "4"), flag("flow-control")), ext("deflate-stream")}, ""},
		{`"this header field MAY be split or combined across multiple lines"`, []string{"foo", "bar; baz=2"}, []Extension{ext("foo"), ext("bar", value("baz", "2"))}, ""},
		{`"is exactly equivalent to"`, []string{"foo, bar; baz=2"}, []Extension{ext("foo"), ext("bar", value("baz", "2"))}, ""},
		{"whitespace anywhere between", []string{" \tfoo\t; a = 1 ;b ,bar "}, []Extension{ext("foo", value("a", "1"), flag("b")), ext("bar")}, ""},
		{"none at all", []string{"foo;a=1;b,bar"}, []Extension{ext("foo", value("a", "1"), flag("b")), ext("bar")}, ""},
		{"empty elements", []string{",, foo,,", "", "bar,"}, []Extension{ext("foo"), ext("bar")}, ""},
		{"the same twice", []string{"foo, foo"}, []Extension{ext("foo"), ext("foo")}, ""},
		{"quoted-string", []string{`foo; a="1"`}, []Extension{ext("foo", value("a", "1"))}, ""},
		{"quoted-string, escaped", []string{`foo; a="\1\0x\y"`}, []Extension{ext("foo", value("a", "10xy"))}, ""},
		{`"the value after quoted-string unescaping MUST conform to the 'token' ABNF": a comma`, []string{`foo; a="1,2"`}, nil, "malformed-extensions"},
		{"a space", []string{`foo; a="1 2"`}, nil, "malformed-extensions"},
		{"an escaped quote", []string{`foo; a="\""`}, nil, "malformed-extensions"},
		{"nothing", []string{`foo; a=""`}, nil, "malformed-extensions"},
		{"not closed", []string{`foo; a="1`}, nil, "malformed-extensions"},
		{"not closed, escape last", []string{`foo; a="1\`}, nil, "malformed-extensions"},
		{"closed in the next line", []string{`foo; a="1`, `"`}, nil, "malformed-extensions"},
		{"more after the quotes", []string{`foo; a="1"2`}, nil, "malformed-extensions"},
		{"an empty list", []string{" , "}, nil, "malformed-extensions"},
		{"no extension's name", []string{"; a"}, nil, "malformed-extensions"},
		{"quoted extension's name", []string{`"foo"`}, nil, "malformed-extensions"},
		{"no parameter's name", []string{"foo;"}, nil, "malformed-extensions"},
		{"no parameter's name before the next", []string{"foo;;a"}, nil, "malformed-extensions"},
		{"no parameter's name before a value", []string{"foo; =1"}, nil, "malformed-extensions"},
		{"no value", []string{"foo; a="}, nil, "malformed-extensions"},
		{"two values", []string{"foo; a=1=2"}, nil, "malformed-extensions"},
		{"two names", []string{"foo bar"}, nil, "malformed-extensions"},
		{"extension with a value", []string{"foo=1"}, nil, "malformed-extensions"},
		{"a separator", []string{"foo/1"}, nil, "malformed-extensions"},
		{"beyond ASCII", []string{"f\u00f6\u00f6"}, nil, "malformed-extensions"},
		{"a control", []string{"foo\x00"}, nil, "malformed-extensions"},
		{"most extensions", []string{strings.Repeat("x,", maxExtensions)}, repeated(maxExtensions, ext("x")), ""},
		{"too many extensions", []string{strings.Repeat("x,", maxExtensions), "x"}, nil, "too-many-extensions"},
		{"most parameters", []string{"x" + strings.Repeat(";y", maxExtensionParams)}, []Extension{ext("x", repeated(maxExtensionParams, flag("y"))...)}, ""},
		{"too many parameters", []string{"x" + strings.Repeat(";y", maxExtensionParams+1)}, nil, "too-many-extension-parameters"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := ParseExtensions(tt.lines)
			var e *Error
			if errors.As(err, &e) != (tt.err != "") {
				t.Fatalf("error %v, want %q", err, tt.err)
			}
			wantError(t, e, 400, tt.err)
			if !reflect.DeepEqual(got, tt.want) {
				t.Errorf("got %v, want %v", got, tt.want)
			}
		})
	}
}

func repeated[T any](n int, v T) (all []T) {
	for range n {
		all = append(all, v)
	}
	return all
}

func TestExtensionErrorsNameNumberAndPlace(t *testing.T) {
	_, err := ParseExtensions([]string{strings.Repeat("x,", maxExtensions+1)})
	if want := "peer sent more than 32 extensions (RFC 6455, Section 9.1)"; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
	_, err = ParseExtensions([]string{`foo; a="`})
	if want := `peer sent Sec-WebSocket-Extensions "foo; a=\"", which lacks closing quotes at byte 7 (RFC 6455, Section 9.1)`; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

func TestRFC6455Section4_3_ParseSubprotocols(t *testing.T) {
	got, err := ParseSubprotocols([]string{"a, b", "c"})
	if want := []string{"a", "b", "c"}; err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, %v; want %v", got, err, want)
	}
	if got, err := ParseSubprotocols(nil); got != nil || err != nil {
		t.Errorf("no lines: got %v, %v", got, err)
	}
	if _, err := ParseSubprotocols([]string{"a, (b)"}); err == nil || err.Error() != `peer offers the subprotocol "(b)", which is no token (RFC 6455, Section 4.1)` {
		t.Errorf("error %v", err)
	}
}

// FuzzParseExtensions: whatever is read prints and reads back the same, and every part of it is a token.
func FuzzParseExtensions(f *testing.F) {
	f.Add("permessage-deflate; client_max_window_bits", "mux; a=\"1\\0\"")
	f.Add(`foo; a = "b" , , bar`, "")
	f.Add(`foo; a="\`, "x;")
	f.Fuzz(func(t *testing.T, line1, line2 string) {
		extensions, err := ParseExtensions([]string{line1, line2})
		if err != nil {
			if len(err.Error()) > 400 {
				t.Fatalf("an error of %d bytes", len(err.Error()))
			}
			return
		}
		var lines []string
		for _, e := range extensions {
			for _, p := range e.Params {
				if !isToken(p.Name) || p.HasValue != isToken(p.Value) {
					t.Fatalf("parameter %+v", p)
				}
			}
			if !isToken(e.Name) {
				t.Fatalf("extension %q", e.Name)
			}
			lines = append(lines, e.String())
		}
		again, err := ParseExtensions([]string{strings.Join(lines, ", ")})
		if err != nil || !reflect.DeepEqual(again, extensions) {
			t.Fatalf("%q reads back as %v, %v", lines, again, err)
		}
	})
}

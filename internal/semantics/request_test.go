package semantics

import (
	"context"
	"net/http"
	"net/url"
	"reflect"
	"strings"
	"testing"

	"github.com/weftws/weft/internal/fields"
)

func TestParsePath(t *testing.T) {
	for _, path := range []string{
		"/", "/echo", "/a/b-c_d.e~f", "//a", "/a?", "/a?b", "/a?b=c&d=e/f", "/a?b?c", "/a%20b", "/a%2Fb", "/a b", "/ä", "/a:b", "/a=b&c", "/a;b", "/a?b+c",
		"/a?%zz", "/%zz", "", "*", "a", "?b", "/a#b", "/\x7f", "http://b/a", "/../a", "/a?b#c",
	} {
		t.Run(path, func(t *testing.T) {
			r := new(Request)
			ok := r.parsePath(path)
			want, err := url.ParseRequestURI(path)
			if ok != (err == nil) || ok && !reflect.DeepEqual(r.url, *want) {
				t.Errorf("got %#v, %v, want %#v, %v", r.url, ok, want, err)
			}
		})
	}
}

func pseudo(method, scheme, authority, path, protocol string) fields.Pseudo {
	return fields.Pseudo{Method: method, Scheme: scheme, Authority: authority, Path: path, Protocol: protocol}
}

func TestNewRequest(t *testing.T) {
	many := make([]field, 20)
	for i := range many {
		many[i] = field{"x-many", string('a' + rune(i))}
	}
	for _, c := range []struct {
		name   string
		p      fields.Pseudo
		fields []field
		kind   Kind
		want   http.Request
	}{
		{
			"ordinary", pseudo("POST", "https", "example.com", "/a?b=c", ""),
			[]field{{"host", "other"}, {"cookie", "a=1"}, {"accept", "x"}, {"cookie", "b=2"}, {"x-weft-own", "1"}, {"accept", "y"}}, Ordinary,
			http.Request{Method: "POST", Host: "example.com", RequestURI: "/a?b=c", URL: &url.URL{Path: "/a", RawQuery: "b=c"},
				Header: http.Header{"Cookie": {"a=1; b=2"}, "Accept": {"x", "y"}, "X-Weft-Own": {"1"}}},
		},
		{
			"host without :authority", pseudo("GET", "https", "", "/", ""), []field{{"host", "other"}}, Ordinary,
			http.Request{Method: "GET", Host: "other", RequestURI: "/", URL: &url.URL{Path: "/"}, Header: http.Header{}},
		},
		{
			"many fields", pseudo("GET", "https", "a", "/", "websocket"), append([]field{{"origin", "o"}}, many...), WebSocket,
			http.Request{Method: "GET", Host: "a", RequestURI: "/", URL: &url.URL{Path: "/"},
				Header: http.Header{"Origin": {"o"}, "X-Many": strings.Split("abcdefghijklmnopqrst", ""), "Upgrade": {"websocket"}, "Connection": {"Upgrade"}}},
		},
		{
			"WebSocket", pseudo("CONNECT", "https", "a", "/chat", "websocket"), nil, WebSocket,
			http.Request{Method: "GET", Host: "a", RequestURI: "/chat", URL: &url.URL{Path: "/chat"},
				Header: http.Header{"Upgrade": {"websocket"}, "Connection": {"Upgrade"}}},
		},
		{
			"another protocol", pseudo("CONNECT", "https", "a", "/", "connect-udp"), nil, Unknown,
			http.Request{Method: "CONNECT", Host: "a", RequestURI: "/", URL: &url.URL{Path: "/"}, Header: http.Header{}},
		},
		{
			"plain CONNECT", fields.Pseudo{Method: "CONNECT", Authority: "a:80"}, nil, Ordinary,
			http.Request{Method: "CONNECT", Host: "a:80", RequestURI: "a:80", URL: &url.URL{Host: "a:80"}, Header: http.Header{}},
		},
		{
			"asterisk", pseudo("OPTIONS", "https", "a", "*", ""), nil, Ordinary,
			http.Request{Method: "OPTIONS", Host: "a", RequestURI: "*", URL: &url.URL{Path: "*"}, Header: http.Header{}},
		},
		{
			"malformed path", pseudo("GET", "https", "a", "/%zz", ""), nil, Malformed,
			http.Request{Method: "GET", Host: "a", RequestURI: "/%zz", URL: &url.URL{Path: "/%zz"}, Header: http.Header{}},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			r, kind := NewRequest(c.p, c.fields)
			c.want.Body = http.NoBody
			if kind != c.kind || !reflect.DeepEqual(&r.Request, &c.want) {
				t.Errorf("kind %d\n%+v\nwant %d\n%+v", kind, &r.Request, c.kind, &c.want)
			}
			type key struct{}
			r.SetContext(context.WithValue(t.Context(), key{}, "set"))
			if r.Context().Value(key{}) != "set" || r.Host != c.want.Host {
				t.Error("the context is another one, or more than that was set")
			}
		})
	}
}

func TestRefuseProtocol(t *testing.T) {
	told := ""
	for _, f := range []func(*http.Request, string){nil, func(_ *http.Request, protocol string) { told += protocol }} {
		r := new(recorder)
		var w Response
		w.Init(r, fields.Pseudo{Method: "CONNECT", Protocol: "x"})
		RefuseProtocol("x", f).ServeHTTP(&w, nil)
		w.Finish()
		r.want(t, `501 content-length="21" `+plain+` x-content-type-options="nosniff" | "no protocol \"x\" here\n" | end of content`)
	}
	if told != "x" {
		t.Errorf("told of %q", told)
	}
}

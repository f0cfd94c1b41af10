package semantics

import (
	"net/url"
	"reflect"
	"testing"
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

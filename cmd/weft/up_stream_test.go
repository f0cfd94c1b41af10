package main

import (
	"net/url"
	"testing"
)

func TestStreamText(t *testing.T) {
	for _, tt := range []struct {
		number, size int
		want         string
	}{{1, 1, "1"}, {12, 5, "12..."}, {123, 2, "12"}, {123, 3, "123"}} {
		if got := string(appendStreamText(nil, tt.number, tt.size)); got != tt.want {
			t.Errorf("message %d of %d bytes is %q, want %q", tt.number, tt.size, got, tt.want)
		}
	}
}

func TestIntParam(t *testing.T) {
	for query, want := range map[string]int{"": 10, "rate=": 10, "rate=1": 1, "rate=100": 100, "rate=0": 0, "rate=101": 0, "rate=x": 0, "rate=1e2": 0, "rate=-1": 0, "rate=99999999999999999999": 0} {
		q, err := url.ParseQuery(query)
		if err != nil {
			t.Fatal(err)
		}
		got, err := intParam(q, "rate", 10, 100)
		if got != want || (err == nil) != (want > 0) {
			t.Errorf("%q: %d, %v; want %d", query, got, err, want)
		}
	}
}

package main

import (
	"bytes"
	"context"
	"testing"
	"time"
)

func TestDemo(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	var out bytes.Buffer
	if err := demo(ctx, &out); err != nil {
		t.Fatal(err)
	}
	want := `client over HTTP/1.1: hello weft, over HTTP/1.1 from the proxy
client over HTTP/2.0: hello weft, over HTTP/1.1 from the proxy
`
	if out.String() != want {
		t.Errorf("demo wrote\n%s\nwant\n%s", out.String(), want)
	}
}

package weft_test

import (
	"context"
	"fmt"
	"log"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"

	"github.com/weftws/weft"
)

// A reverse proxy whose clients speak HTTP/1.1: their WebSockets become streams of one HTTP/2 connection behind it.
func ExampleTransport() {
	backend, dialer, stop := exampleServer(echo)
	defer stop()
	target, err := url.Parse(strings.Replace(backend, "wss:", "https:", 1))
	if err != nil {
		log.Fatal(err)
	}
	proxy := httptest.NewServer(&httputil.ReverseProxy{
		Rewrite:   func(r *httputil.ProxyRequest) { r.SetURL(target) },
		Transport: &weft.Transport{Dialer: dialer},
	})
	defer proxy.Close()

	ctx := context.Background()
	c, _, err := new(weft.Dialer).Dial(ctx, proxy.URL, nil)
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close(weft.StatusNormalClosure, "")
	c.Write(ctx, weft.MessageText, []byte("through the proxy"))
	_, msg, err := c.Read(ctx)
	fmt.Printf("%s: %s, %v\n", c.Version(), msg, err)
	// Output: HTTP/1.1: through the proxy, <nil>
}

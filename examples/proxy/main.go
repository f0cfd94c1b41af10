// Command proxy puts WebSockets over HTTP/2 in front of a backend that knows HTTP/1.1 alone, with net/http's own ReverseProxy.
//
//	proxy -backend http://127.0.0.1:9000    in front of any server
//	proxy -demo                             in front of one that uses gorilla/websocket
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"

	"github.com/gorilla/websocket"

	"github.com/weftws/weft"
)

func main() {
	addr := flag.String("addr", "127.0.0.1:8082", "listen `address`")
	backend := flag.String("backend", "", "`URL` of the server behind")
	isDemo := flag.Bool("demo", false, "dial through a proxy in this process, and end")
	flag.Parse()
	if *isDemo {
		if err := demo(context.Background(), os.Stdout); err != nil {
			log.Fatal(err)
		}
		return
	}
	u, err := url.Parse(*backend)
	if err != nil || u.Host == "" {
		log.Fatalf("-backend %q is no URL of a server", *backend)
	}
	log.Printf("http://%s/ for %s", *addr, u)
	log.Fatal((&weft.Server{Handler: proxyTo(u)}).ListenAndServe(*addr))
}

// proxyTo is the whole proxy. weft.Server has weft.Bridge around its handler, which shows a WebSocket of HTTP/2 to ReverseProxy as the
// HTTP/1.1 Upgrade that it knows how to pass on.
func proxyTo(backend *url.URL) http.Handler {
	return &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(backend)
		r.SetXForwarded()
	}}
}

// demo dials through a proxy, over either version of HTTP.
func demo(ctx context.Context, out io.Writer) error {
	behind := httptest.NewServer(http.HandlerFunc(oldBackend)) // HTTP/1.1
	defer behind.Close()
	u, err := url.Parse(behind.URL)
	if err != nil {
		return err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	front := &weft.Server{Handler: proxyTo(u)}
	served := make(chan error, 1)
	go func() { served <- front.Serve(l) }()
	defer func() {
		front.Close()
		<-served
	}()
	for _, isHTTP2 := range []bool{false, true} {
		dialer := &weft.Dialer{PriorKnowledge: isHTTP2}
		if err := talk(ctx, dialer, "ws://"+l.Addr().String()+"/greet", out); err != nil {
			return err
		}
		dialer.Close()
	}
	return nil
}

func talk(ctx context.Context, d *weft.Dialer, url string, out io.Writer) error {
	c, _, err := d.Dial(ctx, url, nil)
	if err != nil {
		return err
	}
	defer c.Close(weft.StatusNormalClosure, "")
	if err := c.Write(ctx, weft.MessageText, []byte("weft")); err != nil {
		return err
	}
	_, p, err := c.Read(ctx)
	fmt.Fprintf(out, "client over %s: %s\n", c.Version(), p)
	return err
}

// oldBackend is what has been there for years.
func oldBackend(w http.ResponseWriter, r *http.Request) {
	upgrader := websocket.Upgrader{CheckOrigin: func(*http.Request) bool { return true }}
	c, err := upgrader.Upgrade(w, r, nil)
	if err != nil {
		return
	}
	defer c.Close()
	for {
		typ, p, err := c.ReadMessage()
		if err != nil {
			return
		}
		if c.WriteMessage(typ, fmt.Appendf(nil, "hello %s, over %s from the proxy", p, r.Proto)) != nil {
			return
		}
	}
}

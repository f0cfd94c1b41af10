package weft_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"strconv"
	"time"

	"github.com/weftws/weft"
	"github.com/weftws/weft/internal/devcert"
)

// exampleServer starts a server with TLS on a free port of this machine, and returns its URL and a Dialer that trusts it.
func exampleServer(h http.HandlerFunc) (url string, d *weft.Dialer, stop func()) {
	cert, err := devcert.New(time.Now())
	if err != nil {
		log.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	s := &weft.Server{Handler: h, TLSConfig: &tls.Config{Certificates: []tls.Certificate{cert}}}
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.ServeTLS(l, "", "")
	}()
	leaf, err := x509.ParseCertificate(cert.Certificate[0])
	if err != nil {
		log.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(leaf)
	d = &weft.Dialer{TLSConfig: &tls.Config{RootCAs: roots}}
	return "wss://" + l.Addr().String(), d, func() {
		d.Close()
		s.Close()
		<-done
	}
}

func ExampleDialer_Dial() {
	url, dialer, stop := exampleServer(echo)
	defer stop()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()

	for i := range 2 {
		c, _, err := dialer.Dial(ctx, url+"/echo", nil)
		if err != nil {
			log.Fatal(err)
		}
		defer c.Close(weft.StatusNormalClosure, "")
		if err := c.Write(ctx, weft.MessageText, fmt.Appendf(nil, "hello %d", i)); err != nil {
			log.Fatal(err)
		}
		_, msg, err := c.Read(ctx)
		if err != nil {
			log.Fatal(err)
		}
		t := c.Trace()
		fmt.Printf("%s by %s, %d round trips, stream %d\n", msg, t.Rung, t.RoundTrips, t.StreamID)
	}
	// Output:
	// hello 0 by assume, 3 round trips, stream 1
	// hello 1 by settings, 1 round trips, stream 3
}

func ExampleAccept() {
	url, dialer, stop := exampleServer(func(w http.ResponseWriter, r *http.Request) {
		c, err := weft.Accept(w, r, &weft.AcceptOptions{Subprotocols: []string{"greeting"}})
		if err != nil {
			return // Accept has answered
		}
		defer c.Close(weft.StatusNormalClosure, "bye")
		c.Write(r.Context(), weft.MessageText, []byte("welcome by "+c.Trace().Version))
	})
	defer stop()

	c, _, err := dialer.Dial(context.Background(), url, &weft.DialOptions{Subprotocols: []string{"greeting"}})
	if err != nil {
		log.Fatal(err)
	}
	defer c.CloseNow()
	_, msg, err := c.Read(context.Background())
	fmt.Println(string(msg), err)
	_, _, err = c.Read(context.Background())
	fmt.Println(err)
	fmt.Println(weft.CloseStatus(err) == weft.StatusNormalClosure)
	// Output:
	// welcome by HTTP/2.0 <nil>
	// weft: peer closed the WebSocket: 1000 normal closure ("bye")
	// true
}

// With a Handler an idle WebSocket over HTTP/2 costs no goroutine.
func ExampleConn_Handle() {
	url, dialer, stop := exampleServer(func(w http.ResponseWriter, r *http.Request) {
		c, err := weft.Accept(w, r, nil)
		if err != nil {
			return
		}
		c.Handle(weft.HandlerFuncs{
			Message: func(c *weft.Conn, typ weft.MessageType, msg []byte) {
				c.Write(context.Background(), typ, msg) // msg is valid until we return
			},
		})
	})
	defer stop()

	c, _, err := dialer.Dial(context.Background(), url, nil)
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close(weft.StatusNormalClosure, "")
	c.Write(context.Background(), weft.MessageText, []byte("echo"))
	_, msg, err := c.Read(context.Background())
	fmt.Println(string(msg), err)
	// Output: echo <nil>
}

// An error says which side lacks what, and what was tried.
func ExampleDialError() {
	url, dialer, stop := exampleServer(http.NotFound)
	defer stop()

	_, res, err := dialer.Dial(context.Background(), url, &weft.DialOptions{Policy: &weft.Policy{Rungs: []weft.Rung{weft.Upgrade}}})
	var de *weft.DialError
	if errors.As(err, &de) {
		for _, a := range de.Attempts {
			fmt.Printf("%s: %s\n", a.Rung, a.Reason)
		}
	}
	if res != nil {
		body, _ := io.ReadAll(res.Body)
		res.Body.Close()
		fmt.Printf("%d %s", res.StatusCode, body)
	}
	// Output:
	// upgrade: server answered 404 Not Found
	// 404 404 page not found
}

// A feed whose events are numbered goes on where it was, through a server that restarts.
func ExampleReconnector() {
	url, dialer, stop := exampleServer(func(w http.ResponseWriter, r *http.Request) {
		c, err := weft.Accept(w, r, nil)
		if err != nil {
			return
		}
		last, _ := strconv.Atoi(r.FormValue("after"))
		for n := last + 1; n <= last+2; n++ {
			c.Write(r.Context(), weft.MessageText, fmt.Append(nil, n))
		}
		c.Close(weft.StatusServiceRestart, "")
	})
	defer stop()

	last := 0
	rc := weft.Reconnector{
		Dial: func(ctx context.Context) (*weft.Conn, *http.Response, error) {
			return dialer.Dial(ctx, fmt.Sprintf("%s?after=%d", url, last), nil)
		},
		Backoff: weft.Backoff{Base: 10 * time.Millisecond}, // 5 s is the default, and better for servers
		OnRetry: func(r weft.Retry) { fmt.Printf("retry %d: %v\n", r.Count, r.Err) },
	}
	err := rc.Run(context.Background(), func(ctx context.Context, c *weft.Conn) error {
		for last < 5 {
			_, msg, err := c.Read(ctx)
			if err != nil {
				return err
			}
			last, _ = strconv.Atoi(string(msg))
			fmt.Println("event", last)
		}
		return nil
	})
	fmt.Println(err)
	// Output:
	// event 1
	// event 2
	// retry 1: weft: peer closed the WebSocket: 1012 service restart
	// event 3
	// event 4
	// retry 2: weft: peer closed the WebSocket: 1012 service restart
	// event 5
	// <nil>
}

func ExampleNetConn() {
	url, dialer, stop := exampleServer(echo)
	defer stop()

	c, _, err := dialer.Dial(context.Background(), url, nil)
	if err != nil {
		log.Fatal(err)
	}
	conn := weft.NetConn(context.Background(), c, weft.MessageBinary)
	defer conn.Close()
	io.WriteString(conn, "any protocol")
	buf := make([]byte, 12)
	_, err = io.ReadFull(conn, buf)
	fmt.Println(string(buf), err)
	// Output: any protocol <nil>
}

func ExampleConfigureServer() {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /echo", echo) // Extended CONNECT comes as GET, too
	s := &http.Server{Addr: "127.0.0.1:8443", Handler: mux}
	if err := weft.ConfigureServer(s, nil); err != nil {
		log.Fatal(err)
	}
	// s.ListenAndServeTLS("cert.pem", "key.pem")
}

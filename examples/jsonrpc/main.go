// Command jsonrpc is a server and a client for JSON-RPC 2.0, many calls at once on one WebSocket.
//
//	jsonrpc                                     serve
//	jsonrpc -dial ws://127.0.0.1:8081/ 1 2 3    let the server add numbers up
//	jsonrpc -demo                               both in one process
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"strconv"
	"sync"
	"time"

	"github.com/weftws/weft"
)

func main() {
	addr := flag.String("addr", "127.0.0.1:8081", "listen `address`")
	url := flag.String("dial", "", "be the client of the server at this `URL`")
	isDemo := flag.Bool("demo", false, "be both, and end")
	flag.Parse()
	var err error
	switch {
	case *isDemo:
		err = demo(context.Background(), os.Stdout)
	case *url != "":
		err = dial(context.Background(), *url, flag.Args())
	default:
		log.Printf("ws://%s/", *addr)
		err = (&weft.Server{Handler: http.HandlerFunc(serve)}).ListenAndServe(*addr)
	}
	if err != nil {
		log.Fatal(err)
	}
}

// methods are what this server can do.
var methods = Methods{
	"sum": func(_ context.Context, params json.RawMessage) (any, error) {
		var numbers []float64
		if err := json.Unmarshal(params, &numbers); err != nil {
			return nil, &Error{invalidParams, "sum takes a list of numbers"}
		}
		sum := 0.0
		for _, n := range numbers {
			sum += n
		}
		return sum, nil
	},
	"now": func(context.Context, json.RawMessage) (any, error) { return time.Now().UTC(), nil },
	// wait answers after so many milliseconds.
	"wait": func(ctx context.Context, params json.RawMessage) (any, error) {
		var ms int
		if err := json.Unmarshal(params, &ms); err != nil {
			return nil, &Error{invalidParams, "wait takes milliseconds"}
		}
		select {
		case <-time.After(time.Duration(ms) * time.Millisecond):
			return ms, nil
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	},
}

// protocol is a name of our own; there is no registered one.
var protocol = []string{"example.jsonrpc-2.0"}

func serve(w http.ResponseWriter, r *http.Request) {
	c, err := weft.Accept(w, r, &weft.AcceptOptions{Subprotocols: protocol})
	if err != nil {
		return
	}
	defer c.CloseNow()
	methods.Serve(r.Context(), c)
}

func dial(ctx context.Context, url string, args []string) error {
	numbers := make([]float64, len(args))
	for i, a := range args {
		n, err := strconv.ParseFloat(a, 64)
		if err != nil {
			return err
		}
		numbers[i] = n
	}
	c, _, err := weft.Dial(ctx, url, &weft.DialOptions{Subprotocols: protocol})
	if err != nil {
		return err
	}
	client := NewClient(c)
	defer client.Close()
	var sum float64
	if err := client.Call(ctx, "sum", numbers, &sum); err != nil {
		return err
	}
	fmt.Println(sum)
	return nil
}

// demo lets a client call several methods at once, of which the first to be called answers last.
func demo(ctx context.Context, out io.Writer) error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	server := &weft.Server{Handler: http.HandlerFunc(serve)}
	served := make(chan error, 1)
	go func() { served <- server.Serve(l) }()
	defer func() {
		server.Close()
		<-served
	}()
	c, _, err := weft.Dial(ctx, "ws://"+l.Addr().String(), &weft.DialOptions{Subprotocols: protocol})
	if err != nil {
		return err
	}
	client := NewClient(c)
	defer client.Close()

	var mu sync.Mutex
	var calls sync.WaitGroup
	for _, ms := range []int{150, 100, 50} {
		calls.Go(func() {
			var waited int
			err := client.Call(ctx, "wait", ms, &waited)
			mu.Lock()
			defer mu.Unlock()
			fmt.Fprintln(out, "wait", waited, err)
		})
	}
	var sum float64
	err = client.Call(ctx, "sum", []float64{1, 2, 3.5}, &sum)
	mu.Lock()
	fmt.Fprintln(out, "sum", sum, err)
	fmt.Fprintln(out, "sum", client.Call(ctx, "sum", "one and two", &sum))
	fmt.Fprintln(out, "difference", client.Call(ctx, "difference", []int{3, 2}, &sum))
	mu.Unlock()
	calls.Wait()
	return nil
}

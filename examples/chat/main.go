// Command chat is a chat room: what anybody says, everybody gets.
package main

import (
	"cmp"
	"context"
	_ "embed"
	"flag"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"time"

	"github.com/weftws/weft"
)

func main() {
	addr := flag.String("addr", "127.0.0.1:8080", "listen `address`")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	l, err := net.Listen("tcp", *addr)
	if err != nil {
		log.Fatal(err)
	}
	log.Printf("http://%v/ (end with Ctrl-C)", l.Addr())
	if err := run(ctx, l); err != nil {
		log.Fatal(err)
	}
}

// run serves a room on l until ctx ends; then everybody gets a Close frame.
func run(ctx context.Context, l net.Listener) error {
	r := newRoom()
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) { w.Write(page) })
	mux.HandleFunc("GET /chat", r.join)
	server := &weft.Server{Handler: mux}
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(l) }()
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	defer func() { <-failed }()
	defer server.Close()
	return server.Shutdown(ctx)
}

//go:embed page.html
var page []byte

// A room is whoever is there. In a chat nobody may miss a line: who reads too slowly is shown the door.
type room struct{ everybody weft.Broadcaster }

func newRoom() *room { return &room{weft.Broadcaster{SlowPeer: weft.Close}} }

// join lets a WebSocket into the room.
func (r *room) join(w http.ResponseWriter, req *http.Request) {
	name := cmp.Or(req.FormValue("name"), "somebody")
	c, err := weft.Accept(w, req, nil)
	if err != nil {
		return // Accept has answered
	}
	c.SetReadLimit(4 << 10)
	r.everybody.Add(c)
	r.say("* %s is here", name)
	// Callbacks: who is silent costs no goroutine.
	c.Handle(weft.HandlerFuncs{
		Message: func(_ *weft.Conn, _ weft.MessageType, line []byte) { r.say("%s: %s", name, line) },
		Close: func(c *weft.Conn, _ error) {
			r.everybody.Remove(c)
			r.say("* %s has gone", name)
		},
	})
}

func (r *room) say(format string, args ...any) {
	m, err := weft.Prepare(weft.MessageText, fmt.Appendf(nil, format, args...))
	if err != nil {
		return // cannot be: it is text
	}
	r.everybody.Send(m)
}

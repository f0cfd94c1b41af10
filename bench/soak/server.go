package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/binary"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	foreign "github.com/gorilla/websocket"

	"github.com/weftws/weft"
	moved "github.com/weftws/weft/gorilla"
	"github.com/weftws/weft/internal/devcert"
)

// A hello is the first line that a server process writes.
type hello struct {
	TLS, Plain string // addresses; UDP has TLS's port
	Cert       []byte
}

// A server is the state of a server process.
type server struct {
	faults   // violations by clients, panics
	accepted atomic.Int64
	came     arrivals
	feed     weft.Broadcaster
	stop     chan struct{}
}

// serve is a server process: commands come as lines on standard input, answers go as JSON lines to standard output.
func serve(args []string) error {
	fs := flag.NewFlagSet("serve", flag.ContinueOnError)
	certFile := fs.String("cert", "", "directory of the certificate")
	streams := fs.Uint("streams", 0, "MAX_CONCURRENT_STREAMS")
	addr := fs.String("addr", "127.0.0.1:0", "address for TLS and QUIC")
	plainAddr := fs.String("plain", "127.0.0.1:0", "address without TLS")
	if err := fs.Parse(args); err != nil {
		return err
	}
	cert, err := devcert.Load(*certFile, time.Now())
	if err != nil {
		return err
	}
	s := &server{stop: make(chan struct{})}
	l, err := patiently(func() (net.Listener, error) { return net.Listen("tcp", *addr) })
	if err != nil {
		return err
	}
	plain, err := net.Listen("tcp", *plainAddr)
	if err != nil {
		return err
	}
	base := measure()
	ws := &weft.Server{
		Handler: s.mux(), TLSConfig: &tls.Config{Certificates: []tls.Certificate{cert}}, ErrorLog: s.log(),
		Options: weft.ServerOptions{
			MaxConcurrentStreams: uint32(*streams),
			Observer:             s.observer(),
		},
	}
	var serving sync.WaitGroup
	serving.Go(func() { ws.ServeTLS(l, "", "") })
	serving.Go(func() {
		pc, err := patiently(func() (net.PacketConn, error) { return net.ListenPacket("udp", l.Addr().String()) })
		if err != nil {
			s.add("UDP", err)
			return
		}
		ws.ServeQUIC(pc)
	})
	serving.Go(func() { ws.Serve(plain) })
	serving.Go(s.broadcast)

	out := json.NewEncoder(os.Stdout)
	out.Encode(hello{TLS: l.Addr().String(), Plain: plain.Addr().String(), Cert: cert.Certificate[0]})
	in := bufio.NewScanner(os.Stdin)
	for in.Scan() {
		command, argument, _ := strings.Cut(in.Text(), " ")
		switch command {
		case "cpu":
			out.Encode(account{CPU: cpuTime()})
		case "sample":
			a := s.account(measure())
			if argument != "" {
				if err := writeProfile(argument); err != nil {
					a.Faults = append(a.Faults, err.Error())
				}
			}
			out.Encode(a)
		case "arrivals":
			out.Encode(s.came.take())
		case "shutdown":
			ctx, cancel := context.WithTimeout(context.Background(), shutdownTime)
			start := time.Now()
			err := ws.Shutdown(ctx)
			took := time.Since(start)
			cancel()
			if err != nil {
				s.add("Shutdown", err)
				ws.Close()
			}
			close(s.stop)
			serving.Wait()
			a := s.account(settle(base, maxLeft))
			a.AtFirst, a.HeapFirst, a.Shutdown = base.Goroutines, base.Heap, took
			if extra := a.Goroutines - base.Goroutines; extra > 0 {
				a.Faults = append(a.Faults, fmt.Sprintf("server: %d goroutines more than at the start:\n%s", extra, stacks()))
			}
			out.Encode(a)
			return nil
		}
	}
	return in.Err()
}

const shutdownTime = 20 * time.Second

// patiently calls listen until it succeeds: the process that a restart replaces may still be leaving the port.
func patiently[T any](listen func() (T, error)) (got T, err error) {
	deadline := time.Now().Add(shutdownTime)
	for {
		if got, err = listen(); err == nil || time.Now().After(deadline) {
			return got, err
		}
		time.Sleep(2 * time.Millisecond)
	}
}

func (s *server) account(a account) account {
	a.Faults, a.Accepted = s.list(), s.accepted.Load()
	return a
}

func (s *server) mux() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/echo", s.accept(func(c *weft.Conn, _ *http.Request) {
		c.Handle(weft.HandlerFuncs{Message: func(c *weft.Conn, typ weft.MessageType, p []byte) {
			c.Write(context.Background(), typ, p)
		}})
	}))
	mux.HandleFunc("/read", s.accept(func(c *weft.Conn, r *http.Request) { go echoBy(c, -1) }))
	mux.HandleFunc("/inside", s.accept(func(c *weft.Conn, r *http.Request) { echoBy(c, -1) }))
	mux.HandleFunc("/bye", func(w http.ResponseWriter, r *http.Request) {
		if rand.IntN(4) == 0 {
			w.Header().Set("Retry-After", "0")
			http.Error(w, "later", http.StatusServiceUnavailable)
			return
		}
		s.accept(func(c *weft.Conn, _ *http.Request) { go echoBy(c, 1+rand.IntN(4)) })(w, r)
	})
	mux.HandleFunc("/feed", s.accept(func(c *weft.Conn, _ *http.Request) {
		c.Handle(weft.HandlerFuncs{})
		s.feed.Add(c)
	}))
	mux.HandleFunc("/count", s.accept(func(c *weft.Conn, _ *http.Request) { go countSlowly(c) }))
	mux.HandleFunc("/moved", echoMoved)
	mux.HandleFunc("/foreign", echoForeign)
	mux.HandleFunc("/refuse", func(w http.ResponseWriter, r *http.Request) { http.Error(w, "no", http.StatusForbidden) })
	mux.HandleFunc("GET /bytes", func(w http.ResponseWriter, r *http.Request) {
		n, _ := strconv.Atoi(r.FormValue("n"))
		w.Write(block[:n])
	})
	mux.HandleFunc("POST /bytes", func(w http.ResponseWriter, r *http.Request) {
		// Over HTTP/1.1 net/http stops reading where a response begins.
		if b, err := io.ReadAll(r.Body); err == nil {
			w.Write(b)
		}
	})
	mux.HandleFunc("/count-me", s.accept(func(c *weft.Conn, _ *http.Request) {
		s.came.note()
		c.Handle(weft.HandlerFuncs{Message: func(c *weft.Conn, typ weft.MessageType, p []byte) {
			c.Write(context.Background(), typ, p)
		}})
	}))
	return mux
}

func (s *server) accept(use func(*weft.Conn, *http.Request)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		mode, _ := strconv.Atoi(r.FormValue("z"))
		c, err := weft.Accept(w, r, &weft.AcceptOptions{CompressionMode: weft.CompressionMode(mode)})
		if err != nil {
			return
		}
		s.accepted.Add(1)
		use(c, r)
	}
}

// echoBy echoes up to n messages and then says that the server goes away; -1: all there are.
func echoBy(c *weft.Conn, n int) {
	defer c.CloseNow()
	ctx := context.Background()
	for ; n != 0; n-- {
		typ, p, err := c.Read(ctx)
		if err != nil || c.Write(ctx, typ, p) != nil {
			return
		}
	}
	c.Close(weft.StatusGoingAway, "")
}

// countSlowly reads nothing for a while, and then tells how many messages there were before the one that ends them.
func countSlowly(c *weft.Conn) {
	defer c.CloseNow()
	time.Sleep(time.Second)
	for n := 0; ; n++ {
		typ, _, err := c.Read(context.Background())
		if err != nil {
			return
		}
		if typ == weft.MessageText {
			c.Write(context.Background(), weft.MessageText, []byte(strconv.Itoa(n)))
			c.Read(context.Background())
			return
		}
	}
}

func echoMoved(w http.ResponseWriter, r *http.Request) {
	c, err := new(moved.Upgrader).Upgrade(w, r, nil)
	if err != nil {
		return
	}
	defer c.Close()
	for {
		typ, p, err := c.ReadMessage()
		if err != nil || c.WriteMessage(typ, p) != nil {
			return
		}
	}
}

func echoForeign(w http.ResponseWriter, r *http.Request) {
	c, err := new(foreign.Upgrader).Upgrade(w, r, nil)
	if err != nil {
		return
	}
	defer c.Close()
	for {
		typ, p, err := c.ReadMessage()
		if err != nil || c.WriteMessage(typ, p) != nil {
			return
		}
	}
}

// broadcast sends a message ten times a second whose contents follow from its number.
func (s *server) broadcast() {
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for n := uint64(1); ; n++ {
		select {
		case <-tick.C:
			m, err := weft.Prepare(weft.MessageBinary, feedMessage(n))
			if err != nil {
				s.add("Prepare", err)
				continue
			}
			s.feed.Send(m)
		case <-s.stop:
			return
		}
	}
}

func feedMessage(n uint64) []byte {
	r := rand.New(rand.NewPCG(n, 0))
	size := r.IntN(8 << 10)
	at := r.IntN(len(block) - size)
	return append(binary.BigEndian.AppendUint64(nil, n), block[at:at+size]...)
}

// block is 1 MiB of bytes that both processes have, the second half of it text.
var block = func() []byte {
	b := make([]byte, 1<<20)
	rand.NewChaCha8([32]byte{'w', 'e', 'f', 't'}).Read(b[:textAt])
	text := b[textAt:textAt]
	for n := 0; len(text) < len(b)-textAt; n++ {
		text = fmt.Appendf(text, `{"name":"weft","over":["HTTP/1.1","HTTP/2","HTTP/3"],"n":%d},`, n*n)
	}
	copy(b[textAt:], text)
	return b
}()

const textAt = 512 << 10

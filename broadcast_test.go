package weft_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/weftws/weft"
	"github.com/weftws/weft/internal/simnet"
)

func prepare(t testing.TB, text string) *weft.Prepared {
	t.Helper()
	m, err := weft.Prepare(weft.MessageText, []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// accepting is a handler that accepts with the client's word for the compression, and hands the Conn over.
func accepting(to chan<- *weft.Conn) http.HandlerFunc {
	modes := map[string]weft.CompressionMode{
		"takeover": weft.CompressionContextTakeover, "no-takeover": weft.CompressionNoContextTakeover,
	}
	return func(w http.ResponseWriter, r *http.Request) {
		c, err := weft.Accept(w, r, &weft.AcceptOptions{CompressionMode: modes[r.URL.Query().Get("deflate")], KeepAlive: -1})
		if err == nil {
			to <- c
		}
	}
}

// member opens a WebSocket on a connection of its own.
func member(e *env, deflate string, accepted <-chan *weft.Conn) (client, server *weft.Conn) {
	e.t.Helper()
	d := &weft.Dialer{NetDialUDP: e.dialer.NetDialUDP,
		TLSConfig: e.dialer.TLSConfig, Policy: e.dialer.Policy, NetDial: e.dialer.NetDial, PriorKnowledge: e.dialer.PriorKnowledge, KeepAlive: -1,
	}
	e.t.Cleanup(func() { d.Close() })
	opts := &weft.DialOptions{}
	switch deflate {
	case "takeover":
		opts.CompressionMode = weft.CompressionContextTakeover
	case "no-takeover":
		opts.CompressionMode = weft.CompressionNoContextTakeover
	}
	client, _, err := d.Dial(e.ctx, e.url+"/?deflate="+deflate, opts)
	if err != nil {
		e.t.Fatal(err)
	}
	e.t.Cleanup(func() { client.CloseNow() })
	return client, <-accepted
}

// overMembers runs f over every carrier with a handler that accepts.
func overMembers(t *testing.T, f func(t *testing.T, e *env, accepted <-chan *weft.Conn)) {
	t.Helper()
	accepted := make(chan *weft.Conn, 1)
	overEach(t, accepting(accepted), func(t *testing.T, e *env) { f(t, e, accepted) })
}

func wantRead(t *testing.T, c *weft.Conn, want string) {
	t.Helper()
	typ, p, err := c.Read(t.Context())
	if err != nil || typ != weft.MessageText || string(p) != want {
		t.Fatalf("Read: %v, %.40q (%d bytes), %v; want %.40q (%d bytes)", typ, p, len(p), err, want, len(want))
	}
}

// Prepared messages and others, by both sides, whatever was agreed on.
func TestWritePrepared(t *testing.T) {
	overMembers(t, func(t *testing.T, e *env, accepted <-chan *weft.Conn) {
		var messages []*weft.Prepared
		var texts []string
		for i := range 6 {
			texts = append(texts, strings.Repeat(fmt.Sprintf("some text %d ", i), 1+20*i))
			messages = append(messages, prepare(t, texts[i]))
		}
		for _, deflate := range []string{"", "takeover", "no-takeover"} {
			client, server := member(e, deflate, accepted)
			for _, ends := range [][2]*weft.Conn{{client, server}, {server, client}} {
				go func() {
					for i, m := range messages {
						if err := ends[0].WritePrepared(e.ctx, m); err != nil {
							t.Errorf("WritePrepared: %v", err)
						}
						if err := ends[0].Write(e.ctx, weft.MessageText, []byte(texts[i])); err != nil {
							t.Errorf("Write: %v", err)
						}
					}
				}()
				for _, text := range texts {
					wantRead(t, ends[1], text)
					wantRead(t, ends[1], text)
				}
			}
			ctx, cancel := context.WithCancel(e.ctx)
			cancel()
			if err := server.WritePrepared(ctx, messages[0]); !errors.Is(err, context.Canceled) {
				t.Errorf("with a context that has ended: %v", err)
			}
			server.CloseNow()
			if err := server.WritePrepared(e.ctx, messages[0]); err == nil {
				t.Error("WritePrepared after CloseNow")
			}
		}
	})
	if _, err := weft.Prepare(7, nil); err == nil {
		t.Error("a message of type 7 was prepared")
	}
}

// Everybody gets every message, in order.
func TestBroadcast(t *testing.T) {
	overMembers(t, func(t *testing.T, e *env, accepted <-chan *weft.Conn) {
		var b weft.Broadcaster
		var clients []*weft.Conn
		for _, deflate := range []string{"", "takeover", "no-takeover", "takeover"} {
			client, server := member(e, deflate, accepted)
			clients = append(clients, client)
			b.Add(server)
			b.Add(server) // once is enough
		}
		var want []string
		for i := range 50 {
			text := strings.Repeat(fmt.Sprintf("%d ", i), 1+i*10)
			if i > 30 && i%5 == 0 {
				text = strings.Repeat(text, 150) // finds no room at once; those behind must not overtake it
			}
			want = append(want, text)
			b.Send(prepare(t, text))
			if i == 25 {
				// Others may write as well.
				for _, c := range b.Conns() {
					c.Write(e.ctx, weft.MessageText, []byte(text))
				}
				want = append(want, text)
			}
		}
		for _, c := range clients {
			for _, text := range want {
				wantRead(t, c, text)
			}
		}
		if s := b.Stats(); s != (weft.BroadcastStats{Conns: 4, Sent: 200}) {
			t.Errorf("%+v", s)
		}
		// Who is over leaves, and who was removed gets nothing more.
		conns := b.Conns()
		conns[0].CloseNow()
		b.Remove(conns[1])
		b.Remove(conns[1])
		b.Send(prepare(t, "last"))
		if s := b.Stats(); s != (weft.BroadcastStats{Conns: 2, Sent: 202}) {
			t.Errorf("%+v", s)
		}
		for _, c := range conns[2:] {
			wantRead(t, clients[slices.Index(conns, c)], "last")
			c.CloseNow()
		}
		conns[1].CloseNow()
	})
}

// A peer that does not read delays nobody, and the policy says what becomes of it.
func TestBroadcastSlowPeer(t *testing.T) {
	for _, policy := range []weft.SlowPeer{weft.Drop, weft.Latest, weft.Close} {
		t.Run(fmt.Sprint(policy), func(t *testing.T) {
			overMembers(t, func(t *testing.T, e *env, accepted <-chan *weft.Conn) { slowPeer(t, e, policy, accepted) })
		})
	}
}

func slowPeer(t *testing.T, e *env, policy weft.SlowPeer, accepted <-chan *weft.Conn) {
	const messages, size = 400, 8 << 10
	b := weft.Broadcaster{SlowPeer: policy, Queue: 10}
	e.net.SetLink(serverAddr, simnet.Link{SendBuffer: 16 << 10})
	stalledClient, stalled := member(e, "", accepted)
	e.net.SetLink(serverAddr, simnet.Link{})
	good, server := member(e, "", accepted)
	b.Add(stalled)
	b.Add(server)
	text := func(i int) string { return fmt.Sprintf("%0*d", size, i) }

	done := make(chan struct{})
	go func() {
		defer close(done)
		for i := range messages {
			wantRead(t, good, text(i))
		}
	}()
	begin := time.Now()
	for i := range messages {
		at := time.Now()
		b.Send(prepare(t, text(i)))
		if d := time.Since(at); d != 0 {
			t.Fatalf("Send took %v", d)
		}
		time.Sleep(10 * time.Millisecond)
	}
	<-done
	if d, want := time.Since(begin), messages*10*time.Millisecond+rtt; d > want {
		t.Errorf("the good peer has everything after %v, want %v", d, want)
	}
	s := b.Stats()
	if policy == weft.Close {
		if s.Conns != 1 || s.Closed != 1 || s.Dropped != 1 {
			t.Errorf("%+v", s)
		}
		if _, _, err := stalled.Read(e.ctx); !errors.Is(err, weft.ErrSlowPeer) {
			t.Errorf("Read: %v, want ErrSlowPeer", err)
		}
		server.CloseNow()
		return
	}
	dropped := b.Dropped(stalled)
	if s.Conns != 2 || s.Closed != 0 || s.Dropped == 0 || s.Dropped != dropped || b.Dropped(server) != 0 {
		t.Errorf("%+v, dropped %d", s, dropped)
	}
	// When it reads again, it gets what waited, and then what comes.
	b.Remove(server)
	var got []int
	for {
		ctx, cancel := context.WithTimeout(e.ctx, 5*time.Second)
		_, p, err := stalledClient.Read(ctx)
		cancel()
		if err != nil {
			break
		}
		var i int
		fmt.Sscan(strings.TrimLeft(string(p[:size-1]), "0")+string(p[size-1]), &i)
		got = append(got, i)
	}
	if len(got) != messages-int(dropped) || !slices.IsSorted(got) {
		t.Errorf("the slow peer got %d messages, %v; %d of %d were dropped", len(got), got, dropped, messages)
	}
	if last := got[len(got)-1]; (last == messages-1) != (policy == weft.Latest) {
		t.Errorf("the last one was %d", last)
	}
	b.Send(prepare(t, "afterwards"))
	wantRead(t, stalledClient, "afterwards")
	server.CloseNow()
	stalled.CloseNow()
}

// Removing a connection, or its end, ends what waits for it.
func TestBroadcastEnds(t *testing.T) {
	overMembers(t, func(t *testing.T, e *env, accepted <-chan *weft.Conn) {
		e.net.SetLink(serverAddr, simnet.Link{SendBuffer: 16 << 10})
		for _, remove := range []bool{true, false} {
			var b weft.Broadcaster
			_, server := member(e, "", accepted)
			b.Add(server)
			for range 60 {
				b.Send(prepare(t, strings.Repeat("x", 8<<10)))
			}
			synctest.Wait()
			before := b.Stats()
			if before.Sent != 60 {
				t.Errorf("%+v", before)
			}
			if remove {
				b.Remove(server)
			}
			server.CloseNow()
			synctest.Wait()
			if s := b.Stats(); s.Conns != 0 || s.Sent >= 60 {
				t.Errorf("removed %v: %+v", remove, s)
			}
		}
	})
}

func ExampleBroadcaster() {
	room := weft.Broadcaster{SlowPeer: weft.Close}
	url, dialer, stop := exampleServer(func(w http.ResponseWriter, r *http.Request) {
		c, err := weft.Accept(w, r, nil)
		if err != nil {
			return
		}
		room.Add(c) // leaves when it is over
		c.Handle(weft.HandlerFuncs{Message: func(_ *weft.Conn, typ weft.MessageType, p []byte) {
			if m, err := weft.Prepare(typ, p); err == nil {
				room.Send(m)
			}
		}})
		c.Write(r.Context(), weft.MessageText, []byte("welcome"))
	})
	defer stop()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()

	var members []*weft.Conn
	for range 3 {
		c, _, err := dialer.Dial(ctx, url, nil)
		if err != nil {
			log.Fatal(err)
		}
		defer c.CloseNow()
		c.Read(ctx) // welcome: it is in the room
		members = append(members, c)
	}
	members[0].Write(ctx, weft.MessageText, []byte("hello, all"))
	for i, c := range members {
		_, p, err := c.Read(ctx)
		fmt.Printf("%d: %s %v\n", i, p, err)
	}
	// Output:
	// 0: hello, all <nil>
	// 1: hello, all <nil>
	// 2: hello, all <nil>
}

func BenchmarkBroadcast(b *testing.B) {
	for _, bench := range []struct {
		name string
		send func(all *weft.Broadcaster, p []byte)
	}{
		{"broadcaster", func(all *weft.Broadcaster, p []byte) {
			m, _ := weft.Prepare(weft.MessageText, p)
			all.Send(m)
		}},
		{"writes", func(all *weft.Broadcaster, p []byte) {
			for _, c := range all.Conns() {
				c.Write(context.Background(), weft.MessageText, p)
			}
		}},
	} {
		for _, mode := range []weft.CompressionMode{weft.CompressionDisabled, weft.CompressionNoContextTakeover, weft.CompressionContextTakeover} {
			b.Run(fmt.Sprintf("%s/compression=%d", bench.name, mode), func(b *testing.B) { benchmarkBroadcast(b, mode, bench.send) })
		}
	}
}

// benchmarkBroadcast sends messages of 1 KiB to 100 WebSockets on one HTTP/2 connection over loopback, and waits until all have them.
func benchmarkBroadcast(b *testing.B, mode weft.CompressionMode, send func(all *weft.Broadcaster, p []byte)) {
	const conns = 100
	accepted := make(chan *weft.Conn, 1)
	url, d, stop := exampleServer(func(w http.ResponseWriter, r *http.Request) {
		c, err := weft.Accept(w, r, &weft.AcceptOptions{CompressionMode: mode})
		if err == nil {
			accepted <- c
		}
	})
	defer stop()
	var all weft.Broadcaster
	received := make(chan struct{}, conns)
	for range conns {
		c, _, err := d.Dial(b.Context(), url, &weft.DialOptions{CompressionMode: mode})
		if err != nil {
			b.Fatal(err)
		}
		c.Handle(weft.HandlerFuncs{Message: func(*weft.Conn, weft.MessageType, []byte) { received <- struct{}{} }})
		all.Add(<-accepted)
	}
	p := []byte(strings.Repeat(`{"symbol":"WEFT","bid":1234.5,"ask":1234.75},`, 23))
	b.ReportAllocs()
	for b.Loop() {
		send(&all, p)
		for range conns {
			<-received
		}
	}
	for _, c := range all.Conns() {
		c.CloseNow()
	}
}

package h2

import (
	"fmt"
	"testing"
	"time"

	"github.com/weftws/weft/internal/h2/wire"
	"github.com/weftws/weft/internal/invariant"
)

var testNow = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// An echo is a server that sends every byte of DATA back, and a client with streams open to it.
type echo struct {
	client, server *Conn
	streams        []*Stream
	up, down       []byte // on their way
	received       int    // frames that came back
}

func newEcho(tb testing.TB, streams int) *echo {
	e := &echo{
		client: New(testNow, Config{Side: Client}),
		server: New(testNow, Config{Side: Server, ConnectProtocol: true, MaxConcurrentStreams: 10000}),
	}
	e.turn(tb)
	for range streams {
		s, err := e.client.Open(testNow, Pseudo{Method: "CONNECT", Scheme: "https", Authority: "example.com", Path: "/chat",
			Protocol: "websocket"}, []Field{{"sec-websocket-version", "13"}, {"origin", "https://example.com"}}, false)
		if err != nil {
			tb.Fatal(err)
		}
		e.streams = append(e.streams, s)
	}
	e.turn(tb)
	return e
}

// turn carries bytes up and down until both sides are quiet.
func (e *echo) turn(tb testing.TB) {
	for e.client.HasOutput() || e.server.HasOutput() {
		e.up = e.client.AppendOutput(e.up[:0], 1<<30)
		if n := e.server.Recv(testNow, e.up); n != len(e.up) {
			tb.Fatalf("server took %d of %d bytes", n, len(e.up))
		}
		for ev := e.server.NextEvent(); ev != nil; ev = e.server.NextEvent() {
			switch ev.Kind {
			case EventHeaders:
				e.server.SendHeaders(ev.Stream, Pseudo{Status: 200}, nil, false)
				e.server.AutoConsume(ev.Stream, true)
			case EventData:
				e.server.SendData(ev.Stream, nil, ev.Data, ev.End)
			case EventReset, EventConnFailed:
				tb.Fatalf("server: %v %s", ev.Kind, ev.Detail)
			}
		}
		e.down = e.server.AppendOutput(e.down[:0], 1<<30)
		if n := e.client.Recv(testNow, e.down); n != len(e.down) {
			tb.Fatalf("client took %d of %d bytes", n, len(e.down))
		}
		for ev := e.client.NextEvent(); ev != nil; ev = e.client.NextEvent() {
			switch ev.Kind {
			case EventData:
				e.received++
				e.client.Consume(ev.Stream, ev.Size)
			case EventReset, EventConnFailed:
				tb.Fatalf("client: %v %s", ev.Kind, ev.Detail)
			}
		}
	}
}

// BenchmarkEcho measures both engines together: a message of 125 bytes up and down is one operation.
func BenchmarkEcho(b *testing.B) {
	for _, streams := range []int{1, 100, 4000} {
		b.Run(fmt.Sprintf("streams=%d", streams), func(b *testing.B) {
			e := newEcho(b, streams)
			msg := make([]byte, 125)
			b.ReportAllocs()
			e.received = 0
			b.ResetTimer()
			// Batches of 100, as in one read of the network.
			const batch = 100
			next := 0
			for n := 0; n < b.N; n += batch {
				for range batch {
					e.client.SendData(e.streams[next], nil, msg, false)
					if next++; next == len(e.streams) {
						next = 0
					}
				}
				e.turn(b)
			}
			if streams > 1 && e.received < b.N {
				b.Fatalf("%d of %d messages came back", e.received, b.N)
			}
		})
	}
}

// BenchmarkServerEcho measures the server's side alone: one operation is a DATA frame received, echoed and written.
func BenchmarkServerEcho(b *testing.B) {
	for _, streams := range []int{100, 4000} {
		b.Run(fmt.Sprintf("streams=%d", streams), func(b *testing.B) {
			c := benchServer(b, streams)
			const batch = 100
			var batches [][]byte
			for i := 0; i < streams; i += batch {
				var in []byte
				for j := range batch {
					in = wire.AppendData(in, uint32(2*(i+j)+1), make([]byte, 125), false)
				}
				// The peer's credit for what comes back.
				in = wire.AppendWindowUpdate(in, 0, batch*125)
				for j := range batch {
					if i/batch%2 == 0 {
						in = wire.AppendWindowUpdate(in, uint32(2*(i+j)+1), 125)
					}
				}
				batches = append(batches, in)
			}
			var out []byte
			b.ReportAllocs()
			b.ResetTimer()
			for n := 0; n < b.N; n += batch {
				c.Recv(testNow, batches[n/batch%len(batches)])
				for ev := c.NextEvent(); ev != nil; ev = c.NextEvent() {
					if ev.Kind == EventConnFailed {
						b.Fatal(ev.Detail)
					}
					if ev.Kind == EventData {
						c.SendData(ev.Stream, nil, ev.Data, false)
					}
				}
				out = c.AppendOutput(out[:0], 1<<20)
			}
			_ = out
		})
	}
}

// benchServer returns a server with streams tunnels open whose peer has granted the largest windows.
func benchServer(b *testing.B, streams int) *Conn {
	c := New(testNow, Config{Side: Server, ConnectProtocol: true, MaxConcurrentStreams: 10000})
	client := New(testNow, Config{Side: Client, InitialWindowSize: 1 << 30, ConnWindowSize: 1 << 30})
	c.Recv(testNow, client.AppendOutput(nil, 1<<20))
	client.Recv(testNow, c.AppendOutput(nil, 1<<20))
	for range streams {
		if _, err := client.Open(testNow, Pseudo{Method: "CONNECT", Scheme: "https", Authority: "a", Path: "/",
			Protocol: "websocket"}, nil, false); err != nil {
			b.Fatal(err)
		}
	}
	c.Recv(testNow, client.AppendOutput(nil, 1<<30))
	for ev := c.NextEvent(); ev != nil; ev = c.NextEvent() {
		if ev.Kind == EventHeaders {
			c.SendHeaders(ev.Stream, Pseudo{Status: 200}, nil, false)
			c.AutoConsume(ev.Stream, true)
		}
	}
	c.AppendOutput(nil, 1<<30)
	return c
}

// BenchmarkLarge moves messages of 1 MiB from a client to a server through both engines.
func BenchmarkLarge(b *testing.B) {
	e := newEcho(b, 1)
	client, server, s := e.client, e.server, e.streams[0]
	e.up = e.up[:0]
	msg := make([]byte, 1<<20)
	b.SetBytes(int64(len(msg)))
	b.ReportAllocs()
	for b.Loop() {
		for left := msg; len(left) > 0 || client.HasOutput(); {
			for s.Pending() < 64<<10 && len(left) > 0 {
				n := min(len(left), 32<<10)
				client.SendData(s, nil, left[:n], false)
				left = left[n:]
			}
			e.up = client.AppendOutput(e.up, 64<<10)
			n := server.Recv(testNow, e.up)
			for ev := server.NextEvent(); ev != nil; ev = server.NextEvent() {
				if ev.Kind != EventData {
					b.Fatal(ev.Kind, ev.Detail)
				}
			}
			e.up = e.up[:copy(e.up, e.up[n:])]
			e.down = server.AppendOutput(e.down[:0], 64<<10)
			client.Recv(testNow, e.down)
			for client.NextEvent() != nil {
			}
		}
	}
}

// BenchmarkOpenClose opens and closes a tunnel, both engines together.
func BenchmarkOpenClose(b *testing.B) {
	e := newEcho(b, 1)
	fields := []Field{{"sec-websocket-version", "13"}, {"origin", "https://example.com"}}
	b.ReportAllocs()
	for b.Loop() {
		s, err := e.client.Open(testNow, Pseudo{Method: "CONNECT", Scheme: "https", Authority: "example.com", Path: "/chat",
			Protocol: "websocket"}, fields, false)
		if err != nil {
			b.Fatal(err)
		}
		e.turn(b)
		e.client.SendData(s, nil, nil, true)
		served := e.server.lookup(s.ID)
		e.turn(b)
		e.server.Release(served)
		if !s.Closed() {
			b.Fatal("the stream is not closed")
		}
	}
}

// What a browser sends for a WebSocket, as it is the same every time.
var (
	connectPseudo = Pseudo{Method: "CONNECT", Scheme: "https", Authority: "example.com", Path: "/chat?room=1", Protocol: "websocket"}
	connectFields = []Field{
		{"sec-websocket-version", "13"}, {"origin", "https://example.com"}, {"sec-websocket-protocol", "chat"},
		{"sec-websocket-extensions", "permessage-deflate; client_max_window_bits"}, {"pragma", "no-cache"}, {"cache-control", "no-cache"},
		{"user-agent", "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36"},
		{"accept-encoding", "gzip, deflate, br, zstd"}, {"accept-language", "en-US,en;q=0.9"}, {"cookie", "session=0123456789abcdef"},
	}
)

// BenchmarkEncodeConnect writes the HEADERS of one CONNECT after another on a connection.
func BenchmarkEncodeConnect(b *testing.B) {
	c := New(testNow, Config{Side: Client})
	s := &Stream{ID: 1}
	var out []byte
	b.ReportAllocs()
	for b.Loop() {
		out = c.appendFieldBlock(out[:0], s, connectPseudo, connectFields, false)
	}
	b.ReportMetric(float64(len(out)), "wire-B/op")
}

// BenchmarkDecodeConnect reads the field block of one CONNECT after another on a connection, and checks it.
func BenchmarkDecodeConnect(b *testing.B) {
	client, server := New(testNow, Config{Side: Client}), New(testNow, Config{Side: Server, ConnectProtocol: true})
	decode := func() {
		client.appendFieldBlock(nil, &Stream{ID: 1}, connectPseudo, connectFields, false)
		decodeConnect(b, server, client.encoded)
	}
	decode() // the fields go into the table
	decode()
	b.ReportAllocs()
	for b.Loop() {
		decodeConnect(b, server, client.encoded)
	}
}

// decodeConnect is recvFragment up to where the stream is opened.
func decodeConnect(b *testing.B, c *Conn, block []byte) {
	c.fields = c.fields[:0]
	c.block = fieldBlock{streamID: 1, kind: blockRequest, section: fieldSection{crumbs: c.block.section.crumbs[:0]}}
	c.block.section.begin(c, blockRequest)
	if _, err := c.dec.Write(block); err != nil {
		b.Fatal(err)
	}
	if err := c.dec.Close(); err != nil {
		b.Fatal(err)
	}
	if c.block.section.finish(c, &c.block); c.block.section.sin != nil || len(c.fields) != len(connectFields) {
		b.Fatal(c.block.section.detail, c.fields)
	}
}

// A DATA frame costs no allocation on its way in, through the driver's hands, and out.
func TestEchoDoesNotAllocate(t *testing.T) {
	if invariant.Enabled {
		t.Skip("the checks of invariants allocate")
	}
	e := newEcho(t, 100)
	msg := make([]byte, 125)
	allocs := testing.AllocsPerRun(200, func() {
		for _, s := range e.streams {
			e.client.SendData(s, msg[:6], msg[6:], false)
		}
		e.turn(t)
	})
	if allocs > 0 {
		t.Errorf("100 messages up and down cost %v allocations", allocs)
	}
}

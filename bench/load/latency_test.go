package load

import (
	"bufio"
	"bytes"
	"io"
	"net"
	"net/http"
	"testing"
	"time"
)

// A server that keeps everybody waiting is charged for each message that was due meanwhile, not for one.
func TestPacedChargesAStall(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	const total = 50
	sc := newScript(125, false)
	done := make(chan struct{})
	go func() {
		defer close(done)
		nc, err := l.Accept()
		if err != nil {
			t.Error(err)
			return
		}
		defer nc.Close()
		br := bufio.NewReader(nc)
		r, err := http.ReadRequest(br)
		if err != nil {
			t.Error(err)
			return
		}
		io.WriteString(nc, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: "+acceptFor(r.Header.Get("Sec-WebSocket-Key"))+"\r\n\r\n")
		// It reads everything before it answers anything.
		in := make([]byte, total*len(sc.frames[0]))
		if _, err := io.ReadFull(br, in); err != nil {
			t.Error(err)
		}
		var out bytes.Buffer
		for i := range total {
			out.Write(sc.echoes[i%len(sc.echoes)])
		}
		nc.Write(out.Bytes())
		io.Copy(io.Discard, nc)
	}()
	f, err := Open(t.Context(), Target{Addr: l.Addr().String()}, Spec{Proto: H1, Conns: 1, Streams: 1, InFlight: 1, Size: 125})
	if err != nil {
		t.Fatal(err)
	}
	h := NewLatencies()
	n, err := f.Paced(Limit{For: total * time.Millisecond}, 1000, h)
	f.Close()
	<-done
	if err != nil || n != total {
		t.Fatalf("%d echoes, error %v, want %d", n, err, total)
	}
	// The first waited for the 49 others, the middle one for half of them.
	if longest := time.Duration(h.Max()); longest < (total-2)*time.Millisecond {
		t.Errorf("the first message is said to have taken %v", longest)
	}
	if middle := time.Duration(h.ValueAtPercentile(50)); middle < (total/2-2)*time.Millisecond {
		t.Errorf("the median is %v", middle)
	}
}

func TestLatencyRefuses(t *testing.T) {
	one := &Fleet{spec: Spec{Proto: H1, Conns: 2, Streams: 1}}
	if _, err := one.PingPong(Limit{Count: 1}, NewLatencies()); err == nil {
		t.Error("PingPong took two WebSockets")
	}
	quic := &Fleet{spec: Spec{Proto: H3, Conns: 1, Streams: 1}, conns: []conn{&h3conn{}}}
	if _, err := quic.Paced(Limit{For: time.Second}, 10, NewLatencies()); err == nil {
		t.Error("Paced took HTTP/3")
	}
}

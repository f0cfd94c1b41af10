package h2

import (
	"testing"
	"time"
)

// With MaxEvents a batch comes in portions, and nothing of it is lost.
func TestMaxEvents(t *testing.T) {
	const portion, requests = 3, 10
	now := time.Unix(0, 0)
	client := New(now, Config{Side: Client})
	for i := range requests {
		if _, err := client.Open(now, Pseudo{Method: "GET", Scheme: "https", Authority: "a", Path: "/"}, []Field{{"n", string(rune('a' + i))}}, true); err != nil {
			t.Fatal(err)
		}
	}
	in := client.AppendOutput(nil, 1<<20)
	server := New(now, Config{Side: Server, MaxEvents: portion})
	var got string
	portions := 0
	for {
		in = in[server.Recv(now, in):]
		portions++
		events := 0
		for ev := server.NextEvent(); ev != nil; ev = server.NextEvent() {
			events++
			if ev.Kind == EventHeaders {
				got += ev.Fields[0].Value
			}
		}
		if events > portion {
			t.Errorf("%d events at once, want at most %d", events, portion)
		}
		if !server.More() {
			break
		}
	}
	if got != "abcdefghij" || len(in) > 0 || portions != 4 {
		t.Errorf("requests %q in %d portions, %d bytes left; want 10 in 4, and none left", got, portions, len(in))
	}
}

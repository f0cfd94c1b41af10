package h2

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/weftws/weft/internal/h2/wire"
)

// A conversation is a test with one engine, whose peer speaks the notation of frames.
type conversation struct {
	testing.TB
	*Conn
	now     time.Time
	in      []byte // what Recv did not take
	parser  *wire.Parser
	printer *wire.Printer
}

// converse starts a conversation. Both sides' SETTINGS are exchanged and acknowledged.
func converse(t testing.TB, cfg Config) *conversation {
	v := &conversation{TB: t, now: testNow, parser: wire.NewParser(), printer: wire.NewPrinter(), Conn: New(testNow, cfg)}
	if cfg.Side == Server {
		v.recv("PREFACE")
	}
	v.recv("SETTINGS\nSETTINGS ACK")
	v.output()
	v.wantEvents("Settings first")
	return v
}

// recv has the peer say something.
func (v *conversation) recv(frames string) {
	v.Helper()
	b, err := v.parser.Append(v.in, frames)
	if err != nil {
		v.Fatal(err)
	}
	n := v.Recv(v.now, b)
	v.in = b[n:]
}

// output returns what the engine says.
func (v *conversation) output() string {
	return string(v.printer.Append(nil, v.AppendOutput(nil, 1<<30)))
}

// wantOutput compares what the engine says.
func (v *conversation) wantOutput(lines ...string) {
	v.Helper()
	if got, want := strings.TrimSpace(v.output()), strings.Join(lines, "\n"); got != want {
		v.Fatalf("output is\n%s\nwant\n%s", got, want)
	}
}

// wantEvents compares the events that are due.
func (v *conversation) wantEvents(lines ...string) {
	v.Helper()
	var got []string
	for ev := v.NextEvent(); ev != nil; ev = v.NextEvent() {
		got = append(got, eventLine(ev))
	}
	if g, w := strings.Join(got, "\n"), strings.Join(lines, "\n"); g != w {
		v.Fatalf("events are\n%s\nwant\n%s", g, w)
	}
}

// stream returns the open stream with this identifier.
func (v *conversation) stream(id uint32) *Stream {
	v.Helper()
	s := v.lookup(id)
	if s == nil {
		v.Fatalf("stream %d is not open", id)
	}
	return s
}

const (
	getRequest     = "\n  :method: GET\n  :scheme: https\n  :authority: example.com\n  :path: /\n"
	connectRequest = "\n  :method: CONNECT\n  :protocol: websocket\n  :scheme: https\n  :authority: example.com\n  :path: /chat\n"
)

// request opens a stream with a request that has a body, and takes the event.
func (v *conversation) request(id uint32) *Stream {
	v.Helper()
	v.recv(fmt.Sprintf("HEADERS stream=%d END_HEADERS", id) + getRequest)
	v.wantEvents(fmt.Sprintf("Headers %d GET https example.com /", id))
	return v.stream(id)
}

// answer is request, answered with 200 and no END_STREAM.
func (v *conversation) answer(id uint32) *Stream {
	v.Helper()
	s := v.request(id)
	v.SendHeaders(s, Pseudo{Status: 200}, nil, false)
	v.wantOutput(fmt.Sprintf("HEADERS stream=%d END_HEADERS\n  :status: 200", id))
	return s
}

// eventLine prints an event in a few words.
func eventLine(ev *Event) string {
	var b strings.Builder
	b.WriteString(ev.Kind.String())
	add := func(format string, args ...any) { fmt.Fprintf(&b, " "+format, args...) }
	if ev.Stream != nil {
		add("%d", ev.Stream.ID)
	}
	for _, p := range []string{ev.Pseudo.Method, ev.Pseudo.Protocol, ev.Pseudo.Scheme, ev.Pseudo.Authority, ev.Pseudo.Path} {
		if p != "" {
			add("%s", p)
		}
	}
	if ev.Pseudo.Status != 0 {
		add("%d", ev.Pseudo.Status)
	}
	for _, f := range ev.Fields {
		add("%s=%q", f.Name, f.Value)
	}
	if len(ev.Data) > 20 {
		add("%d bytes", len(ev.Data))
	} else if ev.Kind == EventData {
		add("%q", ev.Data)
	}
	for name, on := range map[string]bool{"end": ev.End, "first": ev.First, "unprocessed": ev.Unprocessed} {
		if on {
			add("%s", name)
		}
	}
	switch ev.Kind {
	case EventReset, EventConnFailed:
		if ev.Violation != nil {
			add("%s", ev.Violation.Name)
		}
		add("%v: %s", ev.Initiator, ev.Detail)
	case EventGoAway:
		add("last=%d %v %q", ev.LastStreamID, ev.Code, ev.Debug)
	case EventPong:
		add("%x %v", ev.Ping, ev.RTT)
	case EventAltSvc, EventOrigin:
		add("%q", *ev.Advert)
	}
	return b.String()
}

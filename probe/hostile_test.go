package probe

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	fake "github.com/weftws/weft/internal/fakeorigin"
	"github.com/weftws/weft/internal/h2/wire"
	"github.com/weftws/weft/internal/simnet"
)

// A server cannot keep the probe busy, nor fill its memory.
func TestHostile(t *testing.T) {
	flood := func(text string) func(nc net.Conn) {
		return func(nc net.Conn) {
			b, err := wire.NewParser().Append(nil, text)
			if err != nil {
				panic(err)
			}
			nc.SetDeadline(time.Now().Add(time.Minute))
			for err == nil {
				_, err = nc.Write(b)
			}
		}
	}
	for name, serve := range map[string]func(nc net.Conn){
		"SETTINGS for ever": flood("SETTINGS\n"),
		"PING for ever":     flood("SETTINGS\nPING 0102030405060708\n"),
		"DATA for ever":     flood("DATA stream=1 len=16000 \"x\"\n"),
		"a huge frame":      flood("DATA stream=1 len=20000 \"x\"\n"),
		"fields for ever":   flood("HEADERS stream=1\n  x: " + strings.Repeat("y", 3000) + "\nCONTINUATION stream=1\n  x: y\n"),
		"one byte a second": trickle,
		"no HTTP": func(nc net.Conn) {
			io.WriteString(nc, "\xff\xfe\xfd\x1b[2J garbage\r\n\r\n")
			nc.Read(make([]byte, 100))
		},
	} {
		t.Run(name, func(t *testing.T) {
			simnet.Run(t, rtt, func(t *testing.T, n *simnet.Network) {
				n.SetLink(fakeAddr, simnet.Link{SendBuffer: 64 << 10})
				defer fake.Start(n, fakeAddr, tls.Certificate{}, &fake.Origin{Serve: serve}).Close()
				start := time.Now()
				r, err := Run(t.Context(), "ws://"+fakeAddr+"/", Options{NetDial: n.DialContext, NetDialUDP: n.DialUDP, Thorough: true})
				if err != nil {
					t.Fatal(err)
				}
				if took := time.Since(start); took > 9*DefaultTimeout {
					t.Errorf("took %v", took)
				}
				for _, result := range r.Rungs {
					text := strings.Join(result.Evidence, "\n")
					if result.Verdict == Open || len(result.Evidence) > maxLines+2 || len(text) > 1<<20 || strings.Contains(text, "\x1b") {
						t.Errorf("%s: %s with %d lines, %d bytes", result.Rung, result.Verdict, len(result.Evidence), len(text))
					}
				}
			})
		})
	}
}

func trickle(nc net.Conn) {
	for {
		if _, err := nc.Write([]byte{0}); err != nil {
			return
		}
		time.Sleep(time.Second)
	}
}

// Cancelling ends it at once, with the cause and without connections that are left.
func TestCancel(t *testing.T) {
	simnet.Run(t, rtt, func(t *testing.T, n *simnet.Network) {
		defer fake.Start(n, fakeAddr, tls.Certificate{}, &fake.Origin{Plain: true, Deaf: true}).Close()
		why := errors.New("enough")
		ctx, cancel := context.WithCancelCause(t.Context())
		time.AfterFunc(time.Second, func() { cancel(why) })
		start := time.Now()
		_, err := Run(ctx, "ws://"+fakeAddr+"/", Options{NetDial: n.DialContext})
		if took := time.Since(start); !errors.Is(err, why) || took != time.Second {
			t.Errorf("%v after %v, want %v after 1s", err, took, why)
		}
	})
}

// What the notation says of a field is read back as the field.
func TestParseField(t *testing.T) {
	for _, want := range [][2]string{
		{":status", "200"}, {"server", "nginx/1.22"}, {"x", ""}, {"alt-svc", `h3=":443"; ma=60`}, {"x", `"quoted"`}, {"x", "'a'"}, {"'a'", "b"},
		{"x", " spaces "}, {"x y", "z"}, {"a:b", "c"}, {"x", strings.Repeat("y", 300)}, {"x", "\x00\xff\n"}, {"", "x"}, {"x", "y: z"}, {"x", "a*3"},
	} {
		b, err := wire.NewParser().Append(nil, fmt.Sprintf("HEADERS stream=1 END_HEADERS\n  %q: %q\n", want[0], want[1]))
		if err != nil {
			t.Fatal(err)
		}
		lines := strings.Split(string(wire.NewPrinter().Append(nil, b)), "\n")
		name, value, ok := parseField(lines[1])
		if !ok || name != want[0] || value != want[1] {
			t.Errorf("%q is read as %q, %q, %t; want %q", lines[1], name, value, ok, want)
		}
	}
	if _, _, ok := parseField("# more fields"); ok {
		t.Error("a remark is a field")
	}
}

// Frames of a WebSocket are read whole or in pieces, and nonsense is told from them.
func TestTalk(t *testing.T) {
	for _, c := range []struct {
		in             string
		ponged, closed bool
		fault          string
	}{
		{in: "\x81\x02hi\x8a\x04weft\x88\x02\x03\xe8", ponged: true, closed: true},
		{in: "\x8a\x04woof"},
		{in: "\x89\x00\x8a\x04weft", ponged: true},
		{in: "\x8a\x84\x00\x00\x00\x00weft", fault: "masked"},
		{in: "HTTP/1.1 200 OK", fault: "malformed"},
		{in: "\x82\x7f\x00\x00\x00\x01\x00\x00\x00\x00", closed: true},
	} {
		whole, pieces := &talk{}, &talk{}
		whole.take([]byte(c.in))
		for i := range len(c.in) {
			pieces.take([]byte(c.in[i : i+1]))
		}
		for _, got := range []*talk{whole, pieces} {
			if got.ponged != c.ponged || got.closed != c.closed || !strings.HasPrefix(got.fault, c.fault) || (got.fault == "") != (c.fault == "") {
				t.Errorf("%q: pong %t, close %t, fault %q; want %+v", c.in, got.ponged, got.closed, got.fault, c)
			}
		}
	}
}

package h2

import (
	"bytes"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"golang.org/x/net/http2/hpack"

	"github.com/weftws/weft/internal/fuzzing"
	"github.com/weftws/weft/internal/h2/wire"
)

// fuzzFields reads "name: value" lines; a colon at the front belongs to the name.
func fuzzFields(text string) (fields []Field) {
	for line := range strings.SplitSeq(text, "\n") {
		if line == "" {
			continue
		}
		if name, value, ok := strings.Cut(line[1:], ": "); ok {
			fields = append(fields, Field{line[:1] + name, value})
		}
	}
	return fields
}

const chatFields = ":method: CONNECT\n:protocol: websocket\n:scheme: https\n:authority: a\n:path: /chat\nsec-websocket-version: 13\norigin: https://a"

// FuzzHeaders has x/net's encoder write the fields of requests, cut into frames anywhere: our server reads the same fields, or
// names the rule that they break; and afterwards the compression state is in step, whatever it was.
func FuzzHeaders(f *testing.F) {
	f.Add(chatFields, uint32(4096), uint8(255), uint8(0))
	f.Add(":method: GET\n:scheme: https\n:path: /\ncookie: a=b\nx: y\ncookie: c=d\ncookie: e=f\nauthorization: z", uint32(0), uint8(5), uint8(1))
	f.Add(":method: GET\n:scheme: https\n:path: /\nhost: a\nhost: b\nContent-length: 5\nte: trailers", uint32(100), uint8(40), uint8(2))
	f.Add(":method: POST\n:scheme: https\n:path: /\ncontent-length: 5\ncontent-length: 05\n\xe9: \xe9", uint32(70000), uint8(40), uint8(3))
	f.Fuzz(func(t *testing.T, text string, tableSize uint32, cut, flags uint8) {
		fields := fuzzFields(text)
		c := New(testNow, Config{Side: Server, ConnectProtocol: true, HeaderTableSize: 1 << 14, MaxHeaderListSize: 2000, MaxHeaderFields: 20, MaxContinuations: 1 << 20})
		in := wire.AppendSettingsAck(wire.AppendSettings([]byte(wire.ClientPreface)))
		var block bytes.Buffer
		enc := hpack.NewEncoder(&block)
		enc.SetMaxDynamicTableSizeLimit(1 << 14)
		send := func(id uint32, fields []Field, end bool) {
			block.Reset()
			for _, h := range fields {
				enc.WriteField(hpack.HeaderField{Name: h.Name, Value: h.Value, Sensitive: flags&2 != 0})
			}
			in = wire.AppendHeaders(in, id, block.Bytes(), end, int(cut)+1)
		}
		enc.SetMaxDynamicTableSize(tableSize)
		send(1, fields, flags&1 != 0)
		enc.SetMaxDynamicTableSize(tableSize / 2)
		send(3, fields, flags&1 != 0)
		send(5, []Field{{":method", "GET"}, {":scheme", "https"}, {":path", "/"}, {"x-last", "y"}}, true)
		if n := c.Recv(testNow, in); n != len(in) {
			t.Fatalf("took %d of %d bytes", n, len(in))
		}
		if c.Failed() {
			if len(in) < blockFactor*2000 {
				t.Fatalf("%q ends the connection: %s", fields, failure(c))
			}
			return
		}
		var lines []string
		for ev := c.NextEvent(); ev != nil; ev = c.NextEvent() {
			switch {
			case ev.Kind == EventSettings:
			case ev.Kind == EventHeaders:
				checkSameFields(t, fields, ev)
				lines = append(lines, "headers")
			case ev.Violation == nil || ev.Detail == "":
				t.Fatalf("%q: %s", fields, eventLine(ev))
			default:
				lines = append(lines, ev.Violation.Name)
			}
		}
		if len(lines) != 3 || lines[0] != lines[1] || lines[2] != "headers" {
			t.Fatalf("%q, twice, and a request: %v", fields, lines)
		}
	})
}

func failure(c *Conn) string {
	for ev := c.NextEvent(); ev != nil; ev = c.NextEvent() {
		if ev.Kind == EventConnFailed {
			return ev.Detail
		}
	}
	return ""
}

// checkSameFields compares what was sent with what an event shows; the request behind is left out.
func checkSameFields(t *testing.T, sent []Field, ev *Event) {
	if ev.Stream.ID == 5 {
		return
	}
	p := ev.Pseudo
	got := slices.DeleteFunc([]Field{{":authority", p.Authority}, {":method", p.Method}, {":path", p.Path}, {":protocol", p.Protocol}, {":scheme", p.Scheme}},
		func(f Field) bool { return f.Value == "" })
	got = append(got, ev.Fields...)
	var pseudo, want []Field
	crumb := -1
	for _, f := range sent {
		switch {
		case f.Name[0] == ':' && f.Value != "":
			pseudo = append(pseudo, f)
		case f.Name[0] == ':':
		case f.Name == "cookie" && crumb >= 0:
			want[crumb].Value += "; " + f.Value
		default:
			if f.Name == "cookie" {
				crumb = len(want)
			}
			want = append(want, f)
		}
	}
	slices.SortFunc(pseudo, func(a, b Field) int { return strings.Compare(a.Name, b.Name) })
	if want = append(pseudo, want...); !slices.Equal(got, want) {
		t.Fatalf("sent %q, received %q", want, got)
	}
}

// FuzzOpen opens streams with any fields: x/net's decoder reads what our client sends, our server reads the same, and a WS_OPEN says
// the same as HEADERS, except that WS_OPEN is for streams with a :protocol.
func FuzzOpen(f *testing.F) {
	f.Add("CONNECT", "websocket", "https", "example.com", "/chat", chatFields)
	f.Add("GET", "", "https", "a", "/", "Upper: case\ncookie: a\ncookie: b\nx: \r\n\nconnection: close\nte: gzip")
	f.Add("CONNECT", "", "", "a:1", "", "host: a")
	f.Add("CONNECT", "web socket", "1https", "me@a", "x", "content-length: 5")
	f.Fuzz(func(t *testing.T, method, protocol, scheme, authority, path, text string) {
		p := Pseudo{Method: method, Protocol: protocol, Scheme: scheme, Authority: authority, Path: path}
		if method == "" {
			return // what is no request at all, neither sends
		}
		fields := fuzzFields(text)
		byHeaders := openAt(t, func(c *Conn) error { _, err := c.Open(testNow, p, fields, false); return err })
		byFrame := openAt(t, func(c *Conn) error { _, err := c.OpenFrame(testNow, p, fields, [8]byte{1}); return err })
		if byFrame != byHeaders && byFrame != ErrFrameTooLarge.Error() && !(protocol == "" && strings.Contains(byFrame, "without :protocol")) {
			t.Fatalf("%+v %q by HEADERS: %s\nby WS_OPEN: %s", p, fields, byHeaders, byFrame)
		}
	})
}

// openAt has a client open a stream, x/net's decoder read its HEADERS, and a server take them. It returns what the server saw.
func openAt(t *testing.T, open func(*Conn) error) string {
	client := New(testNow, Config{Side: Client})
	server := New(testNow, Config{Side: Server, ConnectProtocol: true, WSFrame: true})
	in := client.AppendOutput(nil, 1<<30)
	server.Recv(testNow, in)
	client.Recv(testNow, server.AppendOutput(nil, 1<<30))
	if err := open(client); err != nil {
		return err.Error()
	}
	in = client.AppendOutput(nil, 1<<30)
	want := decodeBlock(t, in)
	if n := server.Recv(testNow, in); n != len(in) {
		t.Fatalf("took %d of %d bytes", n, len(in))
	}
	for ev := server.NextEvent(); ev != nil; ev = server.NextEvent() {
		if ev.Kind == EventHeaders && want != nil {
			checkSameFields(t, want, ev)
		}
		if ev.Stream != nil {
			return strings.ReplaceAll(eventLine(ev), "sent WS_OPEN ", "sent ")
		}
		if ev.Kind == EventConnFailed && !strings.Contains(ev.Detail, "field block of more than") && !strings.Contains(ev.Detail, "CONTINUATION frames") {
			t.Fatalf("the client's own request ends the connection: %s", ev.Detail)
		}
	}
	return ErrFrameTooLarge.Error()
}

// decodeBlock decodes the field block in HEADERS and CONTINUATION frames; nil: there is none.
func decodeBlock(t *testing.T, in []byte) (fields []Field) {
	dec := hpack.NewDecoder(wire.DefaultTableSize, func(f hpack.HeaderField) { fields = append(fields, Field{f.Name, f.Value}) })
	for {
		h, ok := wire.ParseFrameHeader(in)
		if !ok {
			break
		}
		if h.Type == wire.Headers || h.Type == wire.Continuation {
			if _, err := dec.Write(in[wire.HeaderLen : wire.HeaderLen+h.Length]); err != nil {
				t.Fatalf("x/net does not decode it: %v", err)
			}
		}
		in = in[wire.HeaderLen+h.Length:]
	}
	if err := dec.Close(); err != nil {
		t.Fatalf("x/net does not decode it: %v", err)
	}
	return fields
}

// FuzzPair is TestPair with a client and a server whose choices are the fuzzer's.
func FuzzPair(f *testing.F) {
	for seed := range byte(6) {
		f.Add(bytes.Repeat([]byte{seed * 40, 3, 200, 77, seed}, 40))
	}
	f.Fuzz(func(t *testing.T, choices []byte) {
		p := &pair{TB: t, seed: uint64(len(choices)), rnd: rand.New(fuzzing.Source(choices)), now: testNow, bodyBits: 11}
		p.run(200)
	})
}

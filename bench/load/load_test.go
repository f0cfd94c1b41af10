package load

import (
	"bytes"
	"io"
	"net"
	"strings"
	"testing"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// serverFrame is an unmasked frame.
func serverFrame(first byte, p string) []byte {
	b := appendFrameHeader(nil, 0, 0, len(p))
	b[0] = first
	return append(b, p...)
}

func TestFeed(t *testing.T) {
	sc := newScript(300, false)
	one, two := string(sc.texts[0]), string(sc.texts[1])
	whole := append(serverFrame(0x81, one), serverFrame(0x81, two)...)
	changed := bytes.Clone(whole)
	changed[len(changed)-1] ^= 1
	masked := bytes.Clone(whole)
	masked[1] |= 0x80
	tests := []struct {
		name string
		in   []byte
		done int
		err  string // part of it
	}{
		{"two echoes", whole, 2, ""},
		{"fragments with an empty one and a ping between", bytes.Join([][]byte{
			serverFrame(0x01, one[:7]), serverFrame(0x89, "hi"), serverFrame(0, ""), serverFrame(0x80, one[7:]), serverFrame(0x81, two)}, nil), 2, ""},
		{"last byte changed", changed, 1, "differs"},
		{"in the wrong order", serverFrame(0x81, two), 0, "differs"},
		{"binary", serverFrame(0x82, one), 0, "opcode 2"},
		{"too short", serverFrame(0x81, one[:299]), 0, "too short: 299 bytes of 300"},
		{"too long", serverFrame(0x81, one+"x"), 0, "too long: 301 bytes"},
		{"new message inside another", append(serverFrame(0x01, one[:7]), serverFrame(0x81, one[7:])...), 0, "opcode 1 at byte 7"},
		{"continuation of nothing", serverFrame(0x80, one), 0, "opcode 0"},
		{"masked", masked, 0, "masked"},
		{"compressed", serverFrame(0xc1, one), 0, "reserved bits"},
		{"unknown opcode", serverFrame(0x83, one), 0, "opcode 3"},
		{"long ping", serverFrame(0x89, one), 0, "control frame of 300 bytes"},
		{"length of 64 bits", append([]byte{0x81, 127}, bytes.Repeat([]byte{0xff}, 8)...), 0, "63 bits"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for chunk := 1; chunk <= len(tt.in); chunk += max(1, chunk/2) { // however the input is split
				pongs := ""
				e := echo{script: sc, pong: func(p []byte) { pongs += string(p) }}
				done := 0
				var err error
				for in := tt.in; len(in) > 0 && err == nil; {
					var n int
					k := min(chunk, len(in))
					n, err = e.feed(in[:k])
					done += n
					in = in[k:]
				}
				if done != tt.done || e.received != tt.done {
					t.Errorf("in pieces of %d: %d echoes (received %d), want %d", chunk, done, e.received, tt.done)
				}
				if tt.err == "" && err != nil || tt.err != "" && (err == nil || !strings.Contains(err.Error(), tt.err)) {
					t.Errorf("in pieces of %d: error %v, want %q", chunk, err, tt.err)
				}
				if strings.Contains(tt.name, "and a ping") && pongs != "hi" {
					t.Errorf("in pieces of %d: pongs %q", chunk, pongs)
				}
			}
		})
	}
}

func TestFeedRaw(t *testing.T) {
	sc := newScript(125, true)
	in := append(bytes.Clone(sc.frames[0]), sc.frames[1]...)
	e := echo{script: sc}
	for _, b := range in {
		if _, err := e.feed([]byte{b}); err != nil {
			t.Fatal(err)
		}
	}
	if e.received != 2 {
		t.Errorf("%d echoes, want 2", e.received)
	}
	if _, err := e.feed(serverFrame(0x81, "not masked")); err == nil {
		t.Error("a frame that was not sent was accepted")
	}
}

func TestClientFrameUnmasks(t *testing.T) {
	sc := newScript(125, false)
	f := sc.frames[3]
	if f[0] != 0x81 || f[1] != 0x80|125 {
		t.Fatalf("header % x", f[:2])
	}
	p := bytes.Clone(f[6:])
	for i := range p {
		p[i] ^= f[2+i&3]
	}
	if !bytes.Equal(p, sc.texts[3]) {
		t.Errorf("unmasked %q, want %q", p, sc.texts[3])
	}
}

// A peer is an HTTP/2 server written with x/net's Framer, for one connection without TLS.
type peer struct {
	*http2.Framer
	t  *testing.T
	nc net.Conn
}

// serve runs script, after its settings, against a fleet and returns what Echo said.
func serve(t *testing.T, s Spec, settings []http2.Setting, script func(*peer)) (int64, error) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	done := make(chan struct{})
	go func() {
		defer close(done)
		nc, err := l.Accept()
		if err != nil {
			t.Error(err)
			return
		}
		defer nc.Close()
		io.ReadFull(nc, make([]byte, len(preface)))
		p := &peer{Framer: http2.NewFramer(nc, nc), t: t, nc: nc}
		p.WriteSettings(settings...)
		script(p)
		io.Copy(io.Discard, nc)
	}()
	defer func() { <-done }()
	f, err := Open(t.Context(), Target{Addr: l.Addr().String()}, s)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	return f.Echo(Limit{Count: 3})
}

// accept answers a CONNECT with 200 and returns the stream.
func (p *peer) accept() uint32 {
	for {
		f, err := p.ReadFrame()
		if err != nil {
			p.t.Error(err)
			return 1
		}
		if h, ok := f.(*http2.HeadersFrame); ok {
			var block bytes.Buffer
			hpack.NewEncoder(&block).WriteField(hpack.HeaderField{Name: ":status", Value: "200"})
			p.WriteHeaders(http2.HeadersFrameParam{StreamID: h.StreamID, BlockFragment: block.Bytes(), EndHeaders: true})
			return h.StreamID
		}
	}
}

func TestServerThatCheats(t *testing.T) {
	spec := Spec{Proto: H2, Conns: 1, Streams: 1, InFlight: 1, Size: 125}
	good := newScript(125, false).echoes[0]
	tests := []struct {
		name   string
		script func(*peer)
		err    string
	}{
		{"wrong echo", func(p *peer) {
			b := bytes.Clone(good)
			b[77] ^= 1
			p.WriteData(p.accept(), false, b)
		}, "differs"},
		{"an echo too many", func(p *peer) {
			id := p.accept()
			p.WriteData(id, false, append(bytes.Clone(good), good...))
		}, "differs"},
		{"resets", func(p *peer) { p.WriteRSTStream(p.accept(), http2.ErrCodeCancel) }, "reset stream 1 with code 8"},
		{"ends the stream", func(p *peer) { p.WriteData(p.accept(), true, nil) }, "ended stream 1 without a Close frame"},
		{"closes", func(p *peer) { p.WriteData(p.accept(), false, serverFrame(0x88, "\x03\xe9bye")) }, `1001 "bye"`},
		{"goes away", func(p *peer) { p.accept(); p.WriteGoAway(1, http2.ErrCodeEnhanceYourCalm, []byte("calm")) }, `GOAWAY with code 11 "calm"`},
		{"hangs up", func(p *peer) { p.accept(); p.nc.Close() }, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if n, err := serve(t, spec, []http2.Setting{{ID: settingEnableConnect, Val: 1}}, tt.script); err == nil || !strings.Contains(err.Error(), tt.err) {
				t.Errorf("%d echoes, error %v, want %q", n, err, tt.err)
			}
		})
	}
}

// The load keeps inside the windows it was given, and goes on when they open.
func TestObeysWindows(t *testing.T) {
	spec := Spec{Proto: H2, Conns: 1, Streams: 1, InFlight: 3, Size: 125}
	const window = 100 // less than a message
	sc := newScript(125, false)
	settings := []http2.Setting{{ID: settingEnableConnect, Val: 1}, {ID: http2.SettingInitialWindowSize, Val: window}}
	n, err := serve(t, spec, settings, func(p *peer) {
		id := p.accept()
		var got []byte
		left := window
		echoed := 0
		for echoed < 3 {
			f, err := p.ReadFrame()
			if err != nil {
				t.Error(err)
				return
			}
			d, ok := f.(*http2.DataFrame)
			if !ok {
				continue
			}
			got = append(got, d.Data()...)
			if left -= len(d.Data()); left < 0 {
				t.Errorf("window exceeded by %d bytes", -left)
			}
			if left == 0 {
				left = window
				p.WriteWindowUpdate(id, window)
			}
			for size := len(sc.frames[0]); len(got) >= size; got = got[size:] {
				if !bytes.Equal(got[:size], sc.frames[echoed]) {
					t.Errorf("message %d differs", echoed)
				}
				p.WriteData(id, false, sc.echoes[echoed])
				echoed++
			}
		}
	})
	if n != 3 || err != nil {
		t.Errorf("%d echoes, error %v", n, err)
	}
}

func TestServerRefuses(t *testing.T) {
	spec := Spec{Proto: H2, Conns: 1, Streams: 2, InFlight: 1, Size: 125}
	idle := func(*peer) {}
	_, err := serve(t, spec, []http2.Setting{{ID: settingEnableConnect, Val: 0}}, idle)
	if err == nil || !strings.Contains(err.Error(), "does not offer Extended CONNECT") {
		t.Errorf("without Extended CONNECT: error %v", err)
	}
	_, err = serve(t, spec, []http2.Setting{{ID: settingEnableConnect, Val: 1}, {ID: http2.SettingMaxConcurrentStreams, Val: 1}}, idle)
	if err == nil || !strings.Contains(err.Error(), "allows 1 streams") {
		t.Errorf("with one stream: error %v", err)
	}
}

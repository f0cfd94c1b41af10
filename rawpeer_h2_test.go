package weft_test

import (
	"bytes"
	"io"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// connectProtocol is SETTINGS_ENABLE_CONNECT_PROTOCOL = 1. RFC 8441, Section 3.
var connectProtocol = http2.Setting{ID: 0x8, Val: 1}

// A rawH2 is an HTTP/2 connection driven frame by frame, with x/net's Framer and HPACK in place of the engine.
type rawH2 struct {
	t      *testing.T
	nc     net.Conn
	fr     *http2.Framer
	enc    *hpack.Encoder
	dec    *hpack.Decoder
	block  bytes.Buffer
	client bool

	settings []http2.Setting // the other side's first; nil: they have not come
	initial  int64           // the window of a new stream of ours
	window   int64           // the connection's
	streams  map[uint32]*rawStream
	opened   []*rawStream // by the other side, not yet accepted
	nextID   uint32
	goAway   string // the code of the other side's, "": none
	lost     error
}

// A rawStream is a stream of a rawH2, and after the handshake its WebSocket.
type rawStream struct {
	c        *rawH2
	id       uint32
	heads    [][]hpack.HeaderField
	data     []byte
	frames   []string // of DATA as they came: their payloads, with "END_STREAM" behind the last
	end      bool
	reset    string // the code of RST_STREAM, "": none
	window   int64
	deadline time.Time
}

func newRawH2(t *testing.T, nc net.Conn, client bool) *rawH2 {
	c := &rawH2{t: t, nc: nc, client: client, initial: 65535, window: 65535, streams: make(map[uint32]*rawStream), nextID: 1}
	c.fr = http2.NewFramer(nc, nc)
	c.enc = hpack.NewEncoder(&c.block)
	c.dec = hpack.NewDecoder(4096, nil)
	return c
}

// connectH2 opens a connection for HTTP/2 to e's server and reads its SETTINGS.
func connectH2(t *testing.T, e *env) *rawH2 {
	t.Helper()
	nc, err := e.net.Dial(serverAddr)
	if err != nil {
		t.Fatal(err)
	}
	if e.carrier.scheme == "wss" {
		nc = secure(t, nc, e.dialer.TLSConfig, "h2")
	}
	c := newRawH2(t, nc, true)
	io.WriteString(nc, http2.ClientPreface)
	c.greet()
	c.await("SETTINGS", func() bool { return c.settings != nil })
	return c
}

// serveH2 is the server's end of nc.
func serveH2(t *testing.T, nc net.Conn, settings ...http2.Setting) *rawH2 {
	t.Helper()
	c := newRawH2(t, nc, false)
	c.nc.SetReadDeadline(time.Now().Add(patience))
	preface := make([]byte, len(http2.ClientPreface))
	if _, err := io.ReadFull(nc, preface); err != nil || string(preface) != http2.ClientPreface {
		t.Fatalf("preface %q, %v", preface, err)
	}
	c.greet(settings...)
	return c
}

// greet sends SETTINGS, with windows that nobody will fill.
func (c *rawH2) greet(settings ...http2.Setting) {
	c.fr.WriteSettings(append(settings, http2.Setting{ID: http2.SettingInitialWindowSize, Val: 16 << 20})...)
	c.fr.WriteWindowUpdate(0, 16<<20)
}

// await reads frames until done says that what was awaited has come.
func (c *rawH2) await(what string, done func() bool) {
	c.t.Helper()
	c.nc.SetReadDeadline(time.Now().Add(patience))
	for !done() {
		if err := c.pump(); err != nil {
			c.t.Fatalf("waiting for %s: %v, GOAWAY %q", what, err, c.goAway)
		}
	}
}

// pump reads a frame and does what it asks for.
func (c *rawH2) pump() error {
	if c.lost != nil {
		return c.lost
	}
	f, err := c.fr.ReadFrame()
	if err != nil {
		if t, ok := err.(net.Error); !ok || !t.Timeout() {
			c.lost = err
		}
		return err
	}
	st := c.streams[f.Header().StreamID]
	switch f := f.(type) {
	case *http2.SettingsFrame:
		c.recvSettings(f)
	case *http2.PingFrame:
		if !f.IsAck() {
			c.fr.WritePing(true, f.Data)
		}
	case *http2.WindowUpdateFrame:
		if f.StreamID == 0 {
			c.window += int64(f.Increment)
		} else if st != nil {
			st.window += int64(f.Increment)
		}
	case *http2.GoAwayFrame:
		c.goAway = f.ErrCode.String()
	case *http2.HeadersFrame:
		if st == nil {
			st = c.stream(f.StreamID)
			c.opened = append(c.opened, st)
		}
		if !f.HeadersEnded() {
			c.t.Fatal("a field block in several frames")
		}
		fields, err := c.dec.DecodeFull(f.HeaderBlockFragment())
		if err != nil {
			c.t.Fatalf("field block: %v", err)
		}
		st.heads, st.end = append(st.heads, fields), f.StreamEnded()
	case *http2.DataFrame:
		if st == nil || st.end || st.reset != "" {
			c.t.Fatalf("DATA on stream %d, which is not open: %q", f.StreamID, f.Data())
		}
		st.data, st.end = append(st.data, f.Data()...), f.StreamEnded()
		st.frames = append(st.frames, string(f.Data()))
		if st.end {
			st.frames = append(st.frames, "END_STREAM")
		}
	case *http2.RSTStreamFrame:
		if st == nil {
			c.t.Fatalf("RST_STREAM on idle stream %d", f.StreamID)
		}
		st.reset = f.ErrCode.String()
	default:
		c.t.Fatalf("unexpected frame %v", f)
	}
	return nil
}

func (c *rawH2) recvSettings(f *http2.SettingsFrame) {
	if f.IsAck() {
		return
	}
	if c.settings == nil {
		c.settings = []http2.Setting{}
		f.ForeachSetting(func(s http2.Setting) error { c.settings = append(c.settings, s); return nil })
	}
	if v, ok := f.Value(http2.SettingInitialWindowSize); ok {
		for _, st := range c.streams {
			st.window += int64(v) - c.initial
		}
		c.initial = int64(v)
	}
	c.fr.WriteSettingsAck()
}

// setting returns the value that the other side's first SETTINGS have.
func (c *rawH2) setting(id http2.SettingID) (uint32, bool) {
	i := slices.IndexFunc(c.settings, func(s http2.Setting) bool { return s.ID == id })
	if i < 0 {
		return 0, false
	}
	return c.settings[i].Val, true
}

func (c *rawH2) stream(id uint32) *rawStream {
	st := &rawStream{c: c, id: id, window: c.initial}
	c.streams[id] = st
	return st
}

// websocketFields are the fields of an Extended CONNECT for a WebSocket, and more. RFC 8441, Section 5.
func websocketFields(c carrier, more ...string) []string {
	scheme := map[string]string{"ws": "http", "wss": "https"}[c.scheme]
	return append([]string{
		":method: CONNECT", ":protocol: websocket", ":scheme: " + scheme, ":path: /", ":authority: example.com",
		"sec-websocket-version: 13",
	}, more...)
}

// open sends a request that leaves the stream open. Fields are "name: value".
func (c *rawH2) open(fields ...string) *rawStream {
	st := c.stream(c.nextID)
	c.nextID += 2
	st.respond(false, fields...)
	return st
}

// accept waits for the next request.
func (c *rawH2) accept() *rawStream {
	c.t.Helper()
	c.await("a request", func() bool { return len(c.opened) > 0 })
	st := c.opened[0]
	c.opened = c.opened[1:]
	return st
}

// respond sends HEADERS.
func (st *rawStream) respond(end bool, fields ...string) {
	c := st.c
	c.block.Reset()
	for _, f := range fields {
		i := strings.Index(f[1:], ":") + 1
		c.enc.WriteField(hpack.HeaderField{Name: f[:i], Value: strings.TrimSpace(f[i+1:])})
	}
	c.fr.WriteHeaders(http2.HeadersFrameParam{StreamID: st.id, BlockFragment: c.block.Bytes(), EndHeaders: true, EndStream: end})
}

// head waits for HEADERS; nil: the stream was reset instead.
func (st *rawStream) head() []hpack.HeaderField {
	st.c.t.Helper()
	st.c.await("HEADERS", func() bool { return len(st.heads) > 0 || st.reset != "" })
	if len(st.heads) == 0 {
		return nil
	}
	h := st.heads[0]
	st.heads = st.heads[1:]
	return h
}

// status waits for a response and returns its status, or "reset CODE".
func (st *rawStream) status() string {
	st.c.t.Helper()
	h := st.head()
	if h == nil {
		return "reset " + st.reset
	}
	return value(h, ":status")
}

// value returns the value of a field that occurs once, "" if it does not, and all of them with "|" between otherwise.
func value(h []hpack.HeaderField, name string) string {
	var values []string
	for _, f := range h {
		if f.Name == name {
			values = append(values, f.Value)
		}
	}
	return strings.Join(values, "|")
}

// Read implements rawConn.
func (st *rawStream) Read(p []byte) (int, error) {
	st.c.nc.SetReadDeadline(st.deadline)
	for {
		switch {
		case len(st.data) > 0:
			n := copy(p, st.data)
			st.data = st.data[n:]
			return n, nil
		case st.end:
			return 0, io.EOF
		case st.reset != "":
			return 0, &resetError{"RST_STREAM " + st.reset}
		}
		if err := st.c.pump(); err == io.EOF {
			return 0, &resetError{"the connection ended"}
		} else if err != nil {
			return 0, err
		}
	}
}

// Write implements rawConn. It keeps to the windows.
func (st *rawStream) Write(p []byte) (int, error) {
	total := len(p)
	for len(p) > 0 {
		n := min(int64(len(p)), 16384, st.window, st.c.window)
		if n <= 0 {
			st.c.await("WINDOW_UPDATE", func() bool { return st.window > 0 && st.c.window > 0 || st.reset != "" })
			if st.reset != "" {
				return total - len(p), io.ErrClosedPipe
			}
			continue
		}
		if err := st.c.fr.WriteData(st.id, false, p[:n]); err != nil {
			return total - len(p), err
		}
		st.window -= n
		st.c.window -= n
		p = p[n:]
	}
	return total, nil
}

// SetReadDeadline implements rawConn.
func (st *rawStream) SetReadDeadline(t time.Time) error { st.deadline = t; return nil }

// CloseWrite implements rawConn.
func (st *rawStream) CloseWrite() error { return st.c.fr.WriteData(st.id, true, nil) }

// Reset implements rawConn. "RST exceptions are represented with the RST_STREAM frame ([RFC7540], Section 6.4) with the CANCEL
// error code." RFC 8441, Section 5.
func (st *rawStream) Reset() { st.c.fr.WriteRSTStream(st.id, http2.ErrCodeCancel) }

// Close implements rawConn. It ends the connection.
func (st *rawStream) Close() error { return st.c.nc.Close() }

package probe

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/weftws/weft/internal/h2/wire"
	"github.com/weftws/weft/internal/netdial"
)

// An http2Conn is a client's end of an HTTP/2 connection that sends the frames it is told to, and SETTINGS and PING acks.
type http2Conn struct {
	*exchange
	nc      *netdial.Conn
	encode  *wire.Parser
	printer [2]*wire.Printer // of what we send, of what the server does
	in      []byte           // not parsed yet
	total   int              // bytes received

	settings bool              // the server's first SETTINGS have come
	flag     string            // ENABLE_CONNECT_PROTOCOL in it: "absent" or the number
	goAway   *wire.ErrCode     // the first
	lastID   uint32            // of that GOAWAY
	acked    map[string]bool   // PING payloads
	accepted map[uint32]string // WS_ACCEPT: nonces by stream
	answers  map[uint32]*answer
	fields   []string // field lines of the block that is under way
	end      error    // why nothing more comes
}

// An answer is what came on a stream.
type answer struct {
	status int // 0: no response yet
	header http.Header
	body   []byte // not taken yet
	ended  bool   // END_STREAM
	reset  bool
	code   wire.ErrCode // of RST_STREAM
}

func (a *answer) over() bool { return a.ended || a.reset }

// http2 makes a connection and expects ALPN want on it; without TLS HTTP/2 is tried with prior knowledge (RFC 9113, Section
// 3.3). nil: x has its verdict.
func (x *exchange) http2(want string, alpn ...string) *http2Conn {
	nc, err := x.dial(alpn...)
	if err != nil {
		x.failed(err, alpn...)
		return nil
	}
	if nc.TLS != nil && nc.ALPN != want {
		x.conclude(classVersion, "server chose %s", chosen(nc.ALPN))
		nc.Close()
		return nil
	}
	c := &http2Conn{
		exchange: x, nc: nc, encode: wire.NewParser(), flag: "absent",
		printer: [2]*wire.Printer{wire.NewPrinter(), wire.NewPrinter()},
		acked:   make(map[string]bool), accepted: make(map[uint32]string), answers: make(map[uint32]*answer),
	}
	for _, p := range c.printer {
		p.MaxData, p.MaxFields = 64, 16<<10
	}
	return c
}

// Limits of what a server may send on one connection, in bytes.
const (
	maxReceived = 1 << 20
	maxBody     = 64 << 10
)

// send writes the frames that notation describes. An error shows in the next await.
func (c *http2Conn) send(notation string) {
	b, err := c.encode.Append(nil, notation)
	if err != nil {
		panic(fmt.Sprintf("probe: own frames do not parse: %v", err)) // header fields were checked
	}
	c.note("-> ", string(c.printer[0].Append(nil, b)))
	if _, err := c.nc.Write(b); err != nil && c.end == nil {
		c.end = err
		c.remark("writing: %v", err)
	}
}

// await reads frames until done holds, the connection is over or it is late. What was sent before costs a round trip, if
// anything was heard.
func (c *http2Conn) await(span string, until time.Time, done func() bool) bool {
	ok, heard := c.wait(span, until, done)
	if heard {
		c.roundTrips++
	}
	return ok
}

// wait is await for more of what has been waited for already.
func (c *http2Conn) wait(span string, until time.Time, done func() bool) (ok, heard bool) {
	start := time.Now()
	for !done() && c.end == nil {
		c.nc.SetReadDeadline(until)
		n, err := c.read()
		heard = heard || n > 0
		if errors.Is(err, os.ErrDeadlineExceeded) {
			break
		}
		if err != nil && c.end == nil {
			c.end = err
			c.remark("%s", endWords(err))
		}
	}
	ok = done()
	c.span(span, start, ok)
	return ok, heard || c.end != nil
}

func endWords(err error) string {
	if err == io.EOF {
		return "server closed the connection"
	}
	return err.Error()
}

var errHTTP1 = errors.New("server answered in HTTP/1.1")

// noHTTP2 reports whether the server does not speak HTTP/2. With TLS it has said that it does.
func (c *http2Conn) noHTTP2() bool {
	return errors.Is(c.end, errHTTP1) || c.end != nil && !c.settings && c.nc.TLS == nil
}

// read reads once and parses whole frames.
func (c *http2Conn) read() (int, error) {
	buf := make([]byte, 4096)
	n, err := c.nc.Read(buf)
	c.in = append(c.in, buf[:n]...)
	c.total += n
	if !c.settings && len(c.in) >= 5 && string(c.in[:5]) == "HTTP/" {
		c.note("<- ", firstLine(c.in))
		return n, errHTTP1
	}
	for {
		h, ok := wire.ParseFrameHeader(c.in)
		if !ok {
			break
		}
		if h.Length > wire.DefaultMaxFrameSize {
			return n, fmt.Errorf("server sent a frame of %d bytes, more than %d", h.Length, wire.DefaultMaxFrameSize)
		}
		size := wire.HeaderLen + int(h.Length)
		if len(c.in) < size {
			break
		}
		frame := c.in[:size]
		c.in = c.in[size:]
		text := string(c.printer[1].Append(nil, frame))
		c.note("<- ", text)
		c.recv(h, frame[wire.HeaderLen:], text)
	}
	if err == nil && c.total > maxReceived {
		err = fmt.Errorf("server sent more than %d bytes", maxReceived)
	}
	return n, err
}

func firstLine(b []byte) string {
	line, _, _ := strings.Cut(string(b), "\n")
	return strings.TrimRight(line, "\r")
}

// recv takes note of one frame; text is its notation.
func (c *http2Conn) recv(h wire.FrameHeader, p []byte, text string) {
	switch h.Type {
	case wire.Settings:
		if h.Flags.Has(wire.FlagAck) {
			return
		}
		if list, err := wire.ParseSettings(p); err == nil && !c.settings {
			c.settings = true
			for i := range list.Len() {
				if s := list.At(i); s.ID == wire.EnableConnectProtocol {
					c.flag = strconv.FormatUint(uint64(s.Value), 10)
				}
			}
		}
		c.send("SETTINGS ACK")
	case wire.Ping:
		if h.Flags.Has(wire.FlagAck) {
			c.acked[string(p)] = true
		} else if len(p) == 8 {
			c.send(fmt.Sprintf("PING %x ACK", p))
		}
	case wire.GoAway:
		if last, code, _, err := wire.ParseGoAway(p); err == nil && c.goAway == nil {
			c.goAway, c.lastID = &code, last
		}
	case wire.RSTStream:
		a := c.answer(h.StreamID)
		a.reset = true
		a.code, _ = wire.ParseRSTStream(p)
	case wire.Headers, wire.Continuation:
		c.recvFields(h, text)
	case wire.Data:
		a := c.answer(h.StreamID)
		if data, err := wire.ParseData(h.Flags, p); err == nil && len(a.body)+len(data) <= maxBody {
			a.body = append(a.body, data...)
		}
		a.ended = a.ended || h.Flags.Has(wire.FlagEndStream)
	case wire.WSAccept:
		// "Ack first: not supported"; what comes later does not count.
		if head, err := wire.ParseWSAccept(p); err == nil && !c.acked[string(head.Nonce[:])] {
			c.accepted[head.StreamID] = string(head.Nonce[:])
		}
	case wire.AltSvc:
		if _, value, err := wire.ParseAltSvc(p); err == nil {
			c.p.sawAltSvc(string(value))
		}
	}
}

func (c *http2Conn) answer(id uint32) *answer {
	a := c.answers[id]
	if a == nil {
		a = &answer{header: http.Header{}}
		c.answers[id] = a
	}
	return a
}

// recvFields takes the field lines of HEADERS and CONTINUATION from their notation: that is where HPACK has been undone.
func (c *http2Conn) recvFields(h wire.FrameHeader, text string) {
	a := c.answer(h.StreamID)
	if h.Type == wire.Headers {
		a.ended = a.ended || h.Flags.Has(wire.FlagEndStream)
		c.fields = nil
	}
	c.fields = append(c.fields, strings.Split(strings.TrimSuffix(text, "\n"), "\n")[1:]...)
	if !h.Flags.Has(wire.FlagEndHeaders) {
		return
	}
	status, header := 0, http.Header{}
	for _, line := range c.fields {
		name, value, ok := parseField(line)
		switch {
		case !ok:
		case name == ":status":
			status, _ = strconv.Atoi(value)
		default:
			header.Add(name, value)
		}
	}
	c.p.saw(header)
	// Responses of the class 1xx come before the one that counts, trailers after it.
	if a.status == 0 && status >= 200 {
		a.status, a.header = status, header
	}
}

// parseField undoes how wire.Printer prints a field.
func parseField(line string) (name, value string, ok bool) {
	line, ok = strings.CutPrefix(line, "  ")
	if !ok || line == "" {
		return "", "", false // "# more fields"
	}
	if quoted := quotedPrefix(line); quoted != "" {
		name, _ = strconv.Unquote(quoted)
		line = line[len(quoted):]
	} else if i := strings.IndexByte(line[1:], ':'); i >= 0 {
		name, line = line[:i+1], line[i+1:]
	}
	value, ok = strings.CutPrefix(line, ":")
	value = strings.TrimPrefix(value, " ")
	if quoted := quotedPrefix(value); quoted != "" {
		times := strings.TrimPrefix(value[len(quoted):], "*")
		value, _ = strconv.Unquote(quoted)
		if n, err := strconv.Atoi(times); err == nil && n > 0 && n <= maxHeaderBytes {
			value = strings.Repeat(value, n)
		}
	}
	return name, value, ok
}

// quotedPrefix is the text in double quotes at the front of s, the only ones of the notation; "": none.
func quotedPrefix(s string) string {
	if !strings.HasPrefix(s, `"`) {
		return ""
	}
	quoted, _ := strconv.QuotedPrefix(s)
	return quoted
}

// over reports whether the connection has ended, or will after its last answers.
func (c *http2Conn) over() bool { return c.end != nil || c.goAway != nil }

// close ends the connection in order, if it has not ended.
func (c *http2Conn) close() {
	if c.end == nil && c.ctx.Err() == nil {
		c.send("GOAWAY last=0 NO_ERROR")
	}
	c.nc.Close()
}

// preface begins a connection: no push, everything else as it is by default.
const preface = "PREFACE\nSETTINGS ENABLE_PUSH=0\n"

// connect is the Extended CONNECT for stream id. RFC 8441, Section 4.
func (p *prober) connect(id uint32) string {
	return fmt.Sprintf("HEADERS stream=%d END_HEADERS\n", id) + p.connectFields()
}

func (p *prober) connectFields() string {
	scheme := "http"
	if p.report.secure {
		scheme = "https"
	}
	return field(":method", "CONNECT") + field(":protocol", "websocket") + field(":scheme", scheme) +
		field(":authority", p.authority) + field(":path", p.requestURI()) + field("sec-websocket-version", "13") + p.extraFields()
}

// head is an ordinary request on stream id.
func (p *prober) head(id uint32) string {
	scheme := "http"
	if p.report.secure {
		scheme = "https"
	}
	return fmt.Sprintf("HEADERS stream=%d END_HEADERS END_STREAM\n", id) +
		field(":method", "HEAD") + field(":scheme", scheme) + field(":authority", p.authority) + field(":path", "/") + p.extraFields()
}

func (p *prober) extraFields() string {
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(p.header)) {
		for _, v := range p.header[name] {
			b.WriteString(field(strings.ToLower(name), v))
		}
	}
	return b.String()
}

func field(name, value string) string { return "  " + name + ": " + strconv.Quote(value) + "\n" }

func nonce() [8]byte {
	var n [8]byte
	rand.Read(n[:])
	return n
}

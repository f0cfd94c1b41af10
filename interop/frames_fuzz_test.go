package interop

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"
	"github.com/lxzan/gws"

	"github.com/weftws/weft/internal/deflate"
	"github.com/weftws/weft/internal/frame"
	"github.com/weftws/weft/internal/fuzzing"
	"github.com/weftws/weft/internal/proto"
)

// What a client's frames mean, to weft and to another library: lines for messages, pings, pongs and Close, and at the end
// "failed" and why, or nothing where more was to come.

// fuzzLimit is the largest message, in bytes.
const fuzzLimit = 1 << 12

// FuzzFramesGWS gives the same frames of a client to weft and to a server of gws: as long as both go on they hear the same. gwsTakes
// lists the rules that gws does not keep.
func FuzzFramesGWS(f *testing.F) {
	addFrames(f)
	plain, compressing := newGWSReader(false), newGWSReader(true)
	f.Fuzz(func(t *testing.T, in []byte, compress bool) {
		r, takes := plain, gwsTakes
		if compress {
			r, takes = compressing, maps.Clone(gwsTakes)
			takes[proto.InvalidUTF8.Name] = "text that goes on behind a final block (BFINAL), which it does not look at"
		}
		compareFrames(t, "gws", in, readWeft(in, compress), r.read(t, in), takes)
	})
}

var gwsTakes = map[string]string{
	proto.NonMinimalLength.Name:       "a length in more bytes than it needs",
	proto.ReservedBit.Name:            "RSV2 and RSV3, where compression was agreed on",
	proto.CompressedControl.Name:      "RSV1 on control frames, where compression was agreed on",
	proto.CompressedContinuation.Name: "RSV1 on continuation frames, where compression was agreed on",
	proto.CorruptDeflate.Name:         "anything behind a final block (BFINAL), which it does not look at",
	proto.MessageTooBig.Name:          "messages whose compressed form alone is within the limit",
	proto.ShortClose.Name:             "a Close frame of one byte: it is answered with 1002",
	proto.InvalidCloseCode.Name:       "any code: likewise",
	proto.InvalidCloseReason.Name:     "any reason: likewise",
}

// FuzzFramesGobwas does the same with the reader of gobwas, which leaves compression to others.
func FuzzFramesGobwas(f *testing.F) {
	addFrames(f)
	f.Fuzz(func(t *testing.T, in []byte, _ bool) {
		compareFrames(t, "gobwas", in, readWeft(in, false), readGobwas(in), gobwasTakes)
	})
}

var gobwasTakes = map[string]string{
	proto.NonMinimalLength.Name: "a length in more bytes than it needs",
	proto.LongControl.Name:      "the same in a control frame, where nothing needs more than 7 bits",
	proto.InvalidCloseCode.Name: "codes of 5000 and above",
}

func addFrames(f *testing.F) {
	hello := "\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58" // RFC 6455, Section 5.7
	zero := "\x00\x00\x00\x00"
	for _, in := range []string{
		"\x81\x85" + hello, "\x01\x83" + zero + "Hel" + "\x89\x80" + zero + "\x80\x82" + zero + "lo", "\x82\xfe\x00\x7e" + zero + strings.Repeat("x", 126),
		"\x88\x85" + zero + "\x03\xe8bye", "\x88\x80" + zero, "\x88\x81" + zero + "x", "\x88\x82" + zero + "\x03\xed",
		"\x82\xfe\x00\x05" + zero + "abcde", "\x81\x81" + zero + "\xff", "\x81\x05Hello", "\x83\x80" + zero, "\x80\x80" + zero,
		"\xc1\x87" + zero + "\xf2\x48\xcd\xc9\xc9\x07\x00" + "\xc1\x85" + zero + "\xf2\x00\x11\x00\x00", "\x91\x80" + zero, "\xc9\x80" + zero,
	} {
		f.Add([]byte(in), false)
		f.Add([]byte(in), true)
	}
}

// compareFrames wants two lists with the same lines as far as both go, and a reason where one ends before the other.
func compareFrames(t *testing.T, library string, in []byte, ours, theirs []string, takes map[string]string) {
	t.Helper()
	n := 0
	for n < len(ours) && n < len(theirs) && ours[n] == theirs[n] {
		n++
	}
	our, their := at(ours, n), at(theirs, n)
	rule, weFailed := strings.CutPrefix(our, "failed ")
	for strings.HasPrefix(rule, proto.InvalidUTF8.Name) && (strings.HasPrefix(their, "9 ") || strings.HasPrefix(their, "10 ")) {
		// We fail at the first byte that cannot be text, they at the end of the message, between whose frames others may stand.
		n++
		their = at(theirs, n)
	}
	theyFailed := strings.HasPrefix(their, "failed ")
	switch {
	case our == "" && their == "", weFailed && (theyFailed || their == ""):
		return
	case library == "gobwas" && theyFailed && (strings.HasPrefix(our, "8 1012 ") || strings.HasPrefix(our, "8 1013 ") || strings.HasPrefix(our, "8 1014 ")):
		return // codes that were registered after RFC 6455
	case strings.HasPrefix(our, strings.TrimSuffix(their, `"`)) && takes[proto.CorruptDeflate.Name] != "":
		return // what is behind a final block is part of the message: RFC 7692, Section 7.2.3.4
	case library == "gws" && strings.Contains(their, "flate: corrupt input") && strings.HasSuffix(our, ` ""`):
		return // to us, as to zlib, a compressed message without a single octet is an empty one
	case strings.HasPrefix(rule, proto.InvalidUTF8.Name) && strings.HasPrefix(their, "8 "):
		return
	case weFailed:
		if rule, _, _ = strings.Cut(rule, ":"); takes[rule] != "" {
			return
		}
	}
	t.Fatalf("%x\nweft: %s\n%s: %s", in, strings.Join(ours, "\n      "), library, strings.Join(theirs, "\n      "))
}

func at(lines []string, i int) string {
	if i < len(lines) {
		return lines[i]
	}
	return ""
}

func readWeft(in []byte, compress bool) (lines []string) {
	cfg := proto.Config{Side: frame.Server, MaxMessageBytes: fuzzLimit}
	if compress {
		cfg.Deflate = &deflate.Params{ServerMaxWindowBits: 15, ClientMaxWindowBits: 15}
	}
	r := proto.NewReceiver(cfg)
	defer r.Close()
	r.Whole = true
	for rest := slices.Clone(in); ; {
		ev, n := r.Recv(rest)
		rest = rest[n:]
		switch ev.Kind {
		case proto.NeedMore:
			return lines
		case proto.Failed:
			return append(lines, "failed "+ev.Violation.Name+": "+ev.Detail)
		case proto.Message:
			lines = append(lines, fmt.Sprintf("%d %q", ev.Opcode, ev.Payload))
		case proto.Close:
			return append(lines, fmt.Sprintf("8 %d %q", ev.Code, ev.Reason))
		case proto.Ping:
			lines = append(lines, fmt.Sprintf("9 %q", ev.Payload))
		case proto.Pong:
			lines = append(lines, fmt.Sprintf("10 %q", ev.Payload))
		}
	}
}

// A gwsReader is a server of gws, and writes down what that calls back.
type gwsReader struct {
	gws.BuiltinEventHandler
	upgrader *gws.Upgrader
	request  *http.Request
	lines    []string
}

func newGWSReader(compress bool) *gwsReader {
	opt := &gws.ServerOption{CheckUtf8Enabled: true, ReadMaxPayloadSize: fuzzLimit}
	r := &gwsReader{request: &http.Request{Method: "GET", Header: http.Header{
		"Connection": {"Upgrade"}, "Upgrade": {"websocket"}, "Sec-Websocket-Version": {"13"}, "Sec-Websocket-Key": {"dGhlIHNhbXBsZSBub25jZQ=="},
	}}}
	if compress {
		opt.PermessageDeflate = gws.PermessageDeflate{Enabled: true, ServerContextTakeover: true, ClientContextTakeover: true}
		r.request.Header.Set("Sec-WebSocket-Extensions", "permessage-deflate")
	}
	r.upgrader = gws.NewUpgrader(r, opt)
	return r
}

func (r *gwsReader) read(t *testing.T, in []byte) (lines []string) {
	r.lines = nil
	nc := &fuzzing.Conn{In: in}
	c, err := r.upgrader.UpgradeFromConn(nc, bufio.NewReader(nc), r.request)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if v := recover(); v != nil { // a length of 2^63 or more
			lines = append(r.lines, fmt.Sprintf("failed %v", v))
		}
	}()
	c.ReadLoop()
	return r.lines
}

func (h *gwsReader) OnPing(_ *gws.Conn, p []byte) { h.lines = append(h.lines, fmt.Sprintf("9 %q", p)) }
func (h *gwsReader) OnPong(_ *gws.Conn, p []byte) { h.lines = append(h.lines, fmt.Sprintf("10 %q", p)) }

func (h *gwsReader) OnMessage(_ *gws.Conn, m *gws.Message) {
	h.lines = append(h.lines, fmt.Sprintf("%d %q", m.Opcode, m.Bytes()))
	m.Close()
}

func (h *gwsReader) OnClose(_ *gws.Conn, err error) {
	switch e, closed := err.(*gws.CloseError); {
	case closed && e.Code == 0:
		h.lines = append(h.lines, `8 1005 ""`)
	case closed:
		h.lines = append(h.lines, fmt.Sprintf("8 %d %q", e.Code, e.Reason))
	case err != io.EOF && err != io.ErrUnexpectedEOF:
		h.lines = append(h.lines, "failed "+err.Error())
	}
}

func readGobwas(in []byte) (lines []string) {
	control := func(h ws.Header, r io.Reader) error {
		p, err := io.ReadAll(r)
		switch {
		case err != nil:
		case int64(len(p)) < h.Length: // cut off
			err = io.ErrUnexpectedEOF
		case h.OpCode != ws.OpClose:
			lines = append(lines, fmt.Sprintf("%d %q", h.OpCode, p))
		case len(p) == 0:
			lines = append(lines, `8 1005 ""`)
			err = io.ErrUnexpectedEOF // io.EOF would be the end of a message in whose middle this stands
		default:
			code, reason := ws.ParseCloseFrameData(p)
			if err = ws.CheckCloseFrameData(code, reason); err == nil {
				lines = append(lines, fmt.Sprintf("8 %d %q", code, reason))
				err = io.ErrUnexpectedEOF
			}
		}
		return err
	}
	r := &wsutil.Reader{
		Source: bytes.NewReader(in), State: ws.StateServerSide, CheckUTF8: true, MaxFrameSize: fuzzLimit, MaxMessageSize: fuzzLimit, OnIntermediate: control,
	}
	for {
		h, err := r.NextFrame()
		if err == nil && h.OpCode.IsControl() {
			err = control(h, r)
		} else if err == nil {
			var p []byte
			if p, err = io.ReadAll(r); err == nil {
				lines = append(lines, fmt.Sprintf("%d %q", h.OpCode, p))
			}
		}
		switch err {
		case nil:
		case io.EOF, io.ErrUnexpectedEOF:
			return lines
		default:
			return append(lines, "failed "+err.Error())
		}
	}
}

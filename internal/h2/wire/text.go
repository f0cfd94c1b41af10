package wire

import (
	"bytes"
	"encoding/binary"
	hexcode "encoding/hex"
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/net/http2/hpack"
)

// The notation of frames, one frame a line, its field lines indented below it. [Printer] prints it, [Parser] parses it.
//
//	PREFACE
//	SETTINGS ENABLE_CONNECT_PROTOCOL=1 INITIAL_WINDOW_SIZE=65535
//	SETTINGS ACK
//	HEADERS stream=1 END_HEADERS END_STREAM
//	  :method: GET
//	  :path: /
//	CONTINUATION stream=1 END_HEADERS
//	  x-odd: " quoted when need be\x00"
//	HEADERS stream=3 END_HEADERS dep=1 weight=16 EXCLUSIVE block=8286
//	DATA stream=1 len=5 "hello" END_STREAM
//	DATA stream=1 len=16384 "x" pad=7
//	PRIORITY stream=3 dep=1 weight=16
//	RST_STREAM stream=1 CANCEL
//	PUSH_PROMISE stream=1 promised=2 END_HEADERS
//	PING 0102030405060708 ACK
//	GOAWAY last=0 PROTOCOL_ERROR "debug data"
//	WINDOW_UPDATE stream=0 +65535
//	FRAME type=0xf0 stream=0 flags=0x0 0a0b0c
//	RAW 0000
//
// A text shorter than its len is repeated up to it. "stream" is left out where the RFC wants 0 and it is. Bits of the
// flags without a meaning for the type stand in flags=0x40. pad=7 is the PADDED flag with seven zero bytes,
// padding=010203 the same with others. block is a field block, or the front part of one, as it is on the wire; field
// lines follow it. FRAME is any frame, also one of a known type whose payload is malformed; RAW is just bytes.
//
// The parser takes the words of a line in any order, and also a field value "a"*5000, a field line 300 * name: value,
// blank lines and comments (#).

// A Parser turns the notation into bytes. It holds the HPACK encoder of one direction of a connection: field lines are
// encoded with its dynamic table, raw blocks go around it.
type Parser struct {
	enc   *hpack.Encoder
	block bytes.Buffer
}

// NewParser returns a Parser for the start of a connection.
func NewParser() *Parser {
	p := new(Parser)
	p.enc = hpack.NewEncoder(&p.block)
	return p
}

// Append appends the frames that text describes. On an error, which names the line, dst is returned as it was.
func (p *Parser) Append(dst []byte, text string) ([]byte, error) {
	out := dst
	lines := strings.Split(text, "\n")
	for i := 0; i < len(lines); i++ {
		line, number := strings.TrimSpace(lines[i]), i+1
		if line == "" || line[0] == '#' {
			continue
		}
		p.block.Reset()
		t, _ := FrameTypeByName(strings.Fields(line)[0])
		for i+1 < len(lines) && strings.HasPrefix(lines[i+1], " ") && strings.TrimSpace(lines[i+1]) != "" {
			i++
			if err := p.encodeField(strings.TrimSpace(lines[i]), t == WSOpen); err != nil {
				return dst, fmt.Errorf("line %d: %q: %w", i+1, lines[i], err)
			}
		}
		var err error
		if out, err = p.appendFrame(out, line); err != nil {
			return dst, fmt.Errorf("line %d: %q: %w", number, line, err)
		}
	}
	return out, nil
}

// appendFrame appends the frame of one line; its field lines are in p.block.
func (p *Parser) appendFrame(dst []byte, line string) ([]byte, error) {
	words, err := splitWords(line)
	if err != nil {
		return dst, err
	}
	a := &args{words: words[1:]}
	switch words[0] {
	case "PREFACE":
		return append(dst, ClientPreface...), a.finish()
	case "RAW":
		raw := a.hex()
		return append(dst, raw...), a.finish()
	case "FRAME":
		h := FrameHeader{Flags: Flags(a.number("flags", 8, 0)), StreamID: a.number("stream", 31, 0)}
		name, _ := a.value("type")
		t, ok := FrameTypeByName(name)
		if !ok {
			return dst, fmt.Errorf("unknown type %q", name)
		}
		h.Type = t
		return appendWhole(dst, h, a.bytes()), a.finish()
	}
	t, ok := FrameTypeByName(words[0])
	if !ok {
		return dst, fmt.Errorf("unknown frame %q", words[0])
	}
	h := FrameHeader{Type: t, StreamID: a.number("stream", 31, 0), Flags: Flags(a.number("flags", 8, 0))}
	for _, f := range flagNames {
		if f.types&(1<<t) != 0 && f.bit != FlagPadded && f.bit != FlagPriority && a.word(f.name) {
			h.Flags |= f.bit
		}
	}
	payload := p.payload(&h, a)
	if err := a.finish(); err != nil {
		return dst, err
	}
	if p.block.Len() > 0 && t != Headers && t != Continuation && t != PushPromise && t != WSOpen {
		return dst, fmt.Errorf("%v takes no field lines", t)
	}
	return appendWhole(dst, h, payload), nil
}

// payload takes the words of one type's payload and adds the flags that they stand for to h.
func (p *Parser) payload(h *FrameHeader, a *args) []byte {
	switch h.Type {
	case Data:
		return a.pad(h, a.bytes())
	case Headers:
		var b []byte
		if prio, ok := a.priority(); ok {
			h.Flags |= FlagPriority
			b = AppendPriorityParam(nil, prio)
		}
		return a.pad(h, append(b, a.fieldBlock(p)...))
	case Priority:
		prio, ok := a.priority()
		if !ok {
			a.fail("no dep")
		}
		return AppendPriorityParam(nil, prio)
	case RSTStream:
		return binary.BigEndian.AppendUint32(nil, uint32(a.code()))
	case Settings:
		return a.settings()
	case PushPromise:
		b := binary.BigEndian.AppendUint32(nil, a.number("promised", 31, 0))
		return a.pad(h, append(b, a.fieldBlock(p)...))
	case Ping:
		b := a.hex()
		if len(b) != 8 {
			a.fail("a PING has 8 bytes")
		}
		return b
	case GoAway:
		b := binary.BigEndian.AppendUint32(nil, a.number("last", 31, 0))
		b = binary.BigEndian.AppendUint32(b, uint32(a.code()))
		return append(b, a.bytes()...)
	case WindowUpdate:
		return binary.BigEndian.AppendUint32(nil, a.increment())
	case Continuation:
		return a.fieldBlock(p)
	default:
		return p.extension(h.Type, a)
	}
}

// encodeField adds one field line to p.block; plain: as WS_OPEN has it.
func (p *Parser) encodeField(line string, plain bool) error {
	times := 1
	if front, rest, ok := strings.Cut(line, " * "); ok {
		if n, err := strconv.Atoi(front); err == nil {
			times, line = n, rest
		}
	}
	var f hpack.HeaderField
	var err error
	if strings.HasPrefix(line, `"`) {
		if f.Name, line, err = cutText(line); err != nil {
			return err
		}
	} else if i := strings.IndexByte(line[1:], ':'); i >= 0 {
		f.Name, line = line[:i+1], line[i+1:]
	}
	value, ok := strings.CutPrefix(line, ":")
	if !ok {
		return fmt.Errorf("no colon behind the field name")
	}
	f.Value = strings.TrimPrefix(value, " ")
	if strings.HasPrefix(f.Value, `"`) {
		var rest string
		if f.Value, rest, err = cutText(f.Value); err != nil {
			return err
		}
		if rest != "" {
			return fmt.Errorf("%q behind the field value", rest)
		}
	}
	for range times {
		if !plain {
			p.enc.WriteField(f) // to a bytes.Buffer: no error
		} else if err := p.encodePlain(f); err != nil {
			return err
		}
	}
	return nil
}

// args are the words of a line behind the frame's name; each method takes the words that it understands.
type args struct {
	words []string
	err   error
}

func (a *args) fail(format string, v ...any) {
	if a.err == nil {
		a.err = fmt.Errorf(format, v...)
	}
}

// finish returns the first error; a word that nobody took is one.
func (a *args) finish() error {
	if len(a.words) > 0 {
		a.fail("unknown word %q", a.words[0])
	}
	return a.err
}

// take removes the first word that f accepts.
func (a *args) take(f func(string) bool) (string, bool) {
	for i, w := range a.words {
		if f(w) {
			a.words = append(a.words[:i:i], a.words[i+1:]...)
			return w, true
		}
	}
	return "", false
}

func (a *args) word(name string) bool {
	_, ok := a.take(func(w string) bool { return w == name })
	return ok
}

func (a *args) value(key string) (string, bool) {
	w, ok := a.take(func(w string) bool { return strings.HasPrefix(w, key+"=") })
	return strings.TrimPrefix(w, key+"="), ok
}

func (a *args) number(key string, bits int, missing uint32) uint32 {
	s, ok := a.value(key)
	if !ok {
		return missing
	}
	v, err := strconv.ParseUint(s, 0, bits)
	if err != nil {
		a.fail("%s: %w", key, err)
	}
	return uint32(v)
}

// bytes takes a text, or else hexadecimal digits, or else nothing, which stands for zeros; repeated up to len.
func (a *args) bytes() []byte {
	var text string
	var err error
	w, ok := a.take(func(w string) bool { return w[0] == '"' })
	if ok {
		var rest string
		if text, rest, err = cutText(w); err != nil || rest != "" {
			a.fail("not a text: %s", w)
		}
	} else {
		text = string(a.hex())
	}
	n, hasLen := a.value("len")
	if !hasLen {
		return []byte(text)
	}
	length, err := strconv.ParseUint(n, 10, 24)
	if err != nil || ok && length > 0 && text == "" || length < uint64(len(text)) {
		a.fail("len=%s does not fit the text", n)
		return nil
	}
	if text == "" {
		text = "\x00"
	}
	return repeatTo(text, int(length))
}

// hex takes at most one word of hexadecimal digits.
func (a *args) hex() []byte {
	var b []byte
	a.take(func(w string) bool {
		d, err := hexcode.DecodeString(w)
		b = d
		return err == nil
	})
	return b
}

func (a *args) hexValue(key string) ([]byte, bool) {
	s, ok := a.value(key)
	b, err := hexcode.DecodeString(s)
	if err != nil {
		a.fail("%s: %w", key, err)
	}
	return b, ok
}

func (a *args) fieldBlock(p *Parser) []byte {
	raw, _ := a.hexValue("block")
	return append(raw, p.block.Bytes()...)
}

func (a *args) pad(h *FrameHeader, b []byte) []byte {
	padding, ok := a.hexValue("padding")
	if !ok {
		const none = 256
		n := a.number("pad", 8, none)
		if n == none {
			return b
		}
		padding = make([]byte, n)
	}
	if len(padding) > 255 {
		a.fail("%d bytes of padding", len(padding))
	}
	h.Flags |= FlagPadded
	b = append([]byte{byte(len(padding))}, b...)
	return append(b, padding...)
}

func (a *args) priority() (p PriorityParam, ok bool) {
	const none = 1 << 31
	dep := a.number("dep", 31, none)
	if dep == none {
		return p, false
	}
	weight := a.number("weight", 16, 16)
	if weight < 1 || weight > 256 {
		a.fail("weight=%d, want 1 to 256", weight)
	}
	return PriorityParam{DependsOn: dep, Exclusive: a.word("EXCLUSIVE"), Weight: uint8(weight - 1)}, true
}

func (a *args) code() ErrCode {
	var code ErrCode
	_, ok := a.take(func(w string) bool {
		c, ok := ErrCodeByName(w)
		code = c
		return ok
	})
	if !ok {
		a.fail("no error code")
	}
	return code
}

func (a *args) increment() uint32 {
	w, ok := a.take(func(w string) bool { return w[0] == '+' })
	v, err := strconv.ParseUint(strings.TrimPrefix(w, "+"), 10, 31)
	if !ok || err != nil {
		a.fail("no increment")
	}
	return uint32(v)
}

func (a *args) settings() []byte {
	var b []byte
	for _, w := range a.words {
		name, value, _ := strings.Cut(w, "=")
		id, ok := SettingByName(name)
		v, err := strconv.ParseUint(value, 0, 32)
		if !ok || err != nil {
			a.fail("no setting: %q", w)
		}
		b = binary.BigEndian.AppendUint16(b, uint16(id))
		b = binary.BigEndian.AppendUint32(b, uint32(v))
	}
	a.words = nil
	return b
}

// splitWords splits a line at its spaces; a quoted text is one word.
func splitWords(line string) ([]string, error) {
	var words []string
	for line = strings.TrimLeft(line, " \t"); line != ""; line = strings.TrimLeft(line, " \t") {
		n := 0
		if line[0] == '"' {
			quoted, err := strconv.QuotedPrefix(line)
			if err != nil {
				return nil, fmt.Errorf("text without an end: %s", line)
			}
			n = len(quoted)
		}
		if i := strings.IndexAny(line[n:], " \t"); i >= 0 {
			n += i
		} else {
			n = len(line)
		}
		words = append(words, line[:n])
		line = line[n:]
	}
	return words, nil
}

// cutText undoes appendText at the front of s.
func cutText(s string) (text, rest string, err error) {
	quoted, err := strconv.QuotedPrefix(s)
	if err != nil {
		return "", s, fmt.Errorf("text without an end: %s", s)
	}
	if text, err = strconv.Unquote(quoted); err != nil {
		return "", s, err
	}
	rest = s[len(quoted):]
	if times, ok := strings.CutPrefix(rest, "*"); ok {
		n, err := strconv.ParseUint(times, 10, 24)
		if err != nil {
			return "", s, err
		}
		return strings.Repeat(text, int(n)), "", nil
	}
	return text, rest, nil
}

func repeatTo(text string, n int) []byte {
	b := make([]byte, 0, n+len(text))
	for len(b) < n {
		b = append(b, text...)
	}
	return b[:n]
}

func appendWhole(dst []byte, h FrameHeader, payload []byte) []byte {
	h.Length = uint32(len(payload))
	return append(AppendFrameHeader(dst, h), payload...)
}

package wire

import (
	"bytes"
	hexcode "encoding/hex"
	"strconv"
	"strings"

	"golang.org/x/net/http2/hpack"
)

// A Printer prints frames in the notation of [Parser]. It holds the HPACK decoder of one direction of a connection and
// the frame that has not arrived whole.
type Printer struct {
	// MaxData is how many bytes of a DATA frame or of GOAWAY's debug data are printed; more are left out ("..."), and
	// Parser does not take that. 0: all of them.
	MaxData int
	// MaxFields is how many bytes of field lines are printed for one frame: with HPACK, a small block can stand for
	// gigabytes. More are left out, and Parser takes what is printed. 0: all of them.
	MaxFields int

	dec     *hpack.Decoder
	fields  []hpack.HeaderField
	failed  bool // the decoder: from now on blocks are printed as bytes
	started bool // the preface is no longer possible
	partial []byte
}

// NewPrinter returns a Printer for the start of a connection.
func NewPrinter() *Printer {
	p := new(Printer)
	p.dec = hpack.NewDecoder(DefaultTableSize, func(f hpack.HeaderField) { p.fields = append(p.fields, f) })
	p.dec.SetAllowedMaxDynamicTableSize(maxPrintedTable)
	return p
}

// Append appends the frames that b completes to dst. Every line ends with a newline.
func (p *Printer) Append(dst, b []byte) []byte {
	p.partial = append(p.partial, b...)
	if !p.started {
		n := min(len(p.partial), len(ClientPreface))
		if string(p.partial[:n]) == ClientPreface[:n] {
			if n < len(ClientPreface) {
				return dst
			}
			p.partial = p.partial[n:]
			dst = append(dst, "PREFACE\n"...)
		}
		p.started = true
	}
	for {
		h, ok := ParseFrameHeader(p.partial)
		if end := HeaderLen + int(h.Length); !ok || len(p.partial) < end {
			return dst
		} else {
			dst = p.appendFrame(dst, h, p.partial[:end])
			p.partial = p.partial[end:]
		}
	}
}

// Rest returns the bytes of a frame that has not arrived whole.
func (p *Printer) Rest() []byte { return p.partial }

func (p *Printer) appendFrame(dst []byte, h FrameHeader, frame []byte) []byte {
	if frame[5]&0x80 != 0 { // the reserved bit, for which the notation has no word
		return append(hexcode.AppendEncode(append(dst, "RAW "...), frame), '\n')
	}
	payload := frame[HeaderLen:]
	p.fields = p.fields[:0]
	line, ok := p.appendPayload(append(dst, h.Type.String()...), h, payload)
	if !ok {
		return appendAnyFrame(dst, h, payload)
	}
	line = append(line, '\n')
	for i, start := 0, len(line); i < len(p.fields); i++ {
		if left := p.MaxFields - (len(line) - start); p.MaxFields > 0 && len(p.fields[i].Name)+len(p.fields[i].Value) > left {
			line = append(line, "# more fields\n"...)
			break
		}
		line = appendField(line, p.fields[i])
	}
	return line
}

// appendPayload appends what stands behind the frame's name; ok is false if the notation cannot say it.
func (p *Printer) appendPayload(dst []byte, h FrameHeader, b []byte) (_ []byte, ok bool) {
	switch h.Type {
	case Settings, Ping, GoAway, Origin, WSOpen, WSAccept:
		if h.StreamID != 0 {
			dst = appendNumber(dst, " stream=", h.StreamID)
		}
	default:
		dst = appendNumber(dst, " stream=", h.StreamID)
	}
	switch h.Type {
	case Data:
		data, err := ParseData(h.Flags, b)
		if err != nil {
			return dst, false
		}
		dst = appendNumber(dst, " len=", uint32(len(data)))
		dst = p.appendData(dst, data)
		dst = appendFlags(dst, h)
		return appendPadding(dst, h.Flags, b), true
	case Headers:
		hp, err := ParseHeaders(h.Flags, b)
		if err != nil {
			return dst, false
		}
		dst = appendFlags(dst, h)
		if hp.HasPriority {
			dst = appendPriority(dst, hp.Priority)
		}
		return p.appendBlock(appendPadding(dst, h.Flags, b), h, hp.Fragment), true
	case PushPromise:
		promised, fragment, err := ParsePushPromise(h.Flags, b)
		if err != nil || reservedBit(b[len(b)-len(fragment)-paddingLen(h.Flags, b)-4:]) {
			return dst, false
		}
		dst = appendFlags(appendNumber(dst, " promised=", promised), h)
		return p.appendBlock(appendPadding(dst, h.Flags, b), h, fragment), true
	case Continuation:
		return p.appendBlock(appendFlags(dst, h), h, b), true
	}
	dst, ok = p.appendSmall(dst, h, b)
	return appendFlags(dst, h), ok
}

// appendSmall is appendPayload for the types with neither padding nor fields.
func (p *Printer) appendSmall(dst []byte, h FrameHeader, b []byte) (_ []byte, ok bool) {
	switch h.Type {
	case Priority:
		prio, err := ParsePriority(b)
		return appendPriority(dst, prio), err == nil
	case RSTStream:
		code, err := ParseRSTStream(b)
		return append(append(dst, ' '), code.String()...), err == nil
	case Settings:
		list, err := ParseSettings(b)
		for i := range list.Len() {
			s := list.At(i)
			dst = append(append(dst, ' '), s.ID.String()...)
			dst = appendNumber(dst, "=", s.Value)
		}
		return dst, err == nil
	case Ping:
		return hexcode.AppendEncode(append(dst, ' '), b), len(b) == 8
	case GoAway:
		last, code, debug, err := ParseGoAway(b)
		dst = append(append(appendNumber(dst, " last=", last), ' '), code.String()...)
		if len(debug) > 0 {
			dst = p.appendData(dst, debug)
		}
		if len(debug) > shortestRun && isRun(debug) {
			dst = appendNumber(dst, " len=", uint32(len(debug)))
		}
		return dst, err == nil && !reservedBit(b)
	case WindowUpdate:
		inc, err := ParseWindowUpdate(b)
		return appendNumber(dst, " +", inc), err == nil && !reservedBit(b)
	}
	return p.appendExtension(dst, h, b)
}

// appendBlock decodes a part of a field block into p.fields, or appends it as it is.
func (p *Printer) appendBlock(dst []byte, h FrameHeader, fragment []byte) []byte {
	if !p.failed {
		_, err := p.dec.Write(fragment)
		if err == nil && h.Flags.Has(FlagEndHeaders) {
			err = p.dec.Close()
		}
		if err == nil {
			return dst
		}
		p.failed = true
		p.fields = p.fields[:0]
	}
	return hexcode.AppendEncode(append(dst, " block="...), fragment)
}

// appendData appends a text; a run of one byte as that byte, since len says how many.
func (p *Printer) appendData(dst, b []byte) []byte {
	dst = append(dst, ' ')
	if len(b) > shortestRun && isRun(b) {
		return strconv.AppendQuote(dst, string(b[:1]))
	}
	if p.MaxData > 0 && len(b) > p.MaxData {
		return append(strconv.AppendQuote(dst, string(b[:p.MaxData])), "..."...)
	}
	return strconv.AppendQuote(dst, string(b))
}

func appendField(dst []byte, f hpack.HeaderField) []byte {
	dst = append(dst, "  "...)
	if name := f.Name; name == "" || !isPlain(name) || strings.Contains(name[1:], ":") || strings.Contains(name, " ") {
		dst = strconv.AppendQuote(dst, name)
	} else {
		dst = append(dst, name...)
	}
	dst = append(dst, ':')
	switch {
	case f.Value == "":
	case len(f.Value) > longestField && isRun([]byte(f.Value)):
		dst = strconv.AppendQuote(append(dst, ' '), f.Value[:1])
		dst = appendNumber(dst, "*", uint32(len(f.Value)))
	case isPlain(f.Value):
		dst = append(append(dst, ' '), f.Value...)
	default:
		dst = strconv.AppendQuote(append(dst, ' '), f.Value)
	}
	return append(dst, '\n')
}

// appendFlags appends the flags that no other word stands for.
func appendFlags(dst []byte, h FrameHeader) []byte {
	rest := h.Flags
	for _, name := range []string{"END_HEADERS", "END_STREAM", "ACK"} {
		for _, f := range flagNames {
			if f.name == name && f.types&(1<<h.Type) != 0 && rest.Has(f.bit) {
				dst = append(append(dst, ' '), name...)
				rest &^= f.bit
			}
		}
	}
	for _, f := range flagNames {
		if f.types&(1<<h.Type) != 0 {
			rest &^= f.bit
		}
	}
	if rest != 0 {
		dst = append(append(dst, " flags="...), hex(uint32(rest))...)
	}
	return dst
}

// appendPadding is for payloads whose padding was found to be well formed.
func appendPadding(dst []byte, flags Flags, b []byte) []byte {
	if !flags.Has(FlagPadded) {
		return dst
	}
	n := paddingLen(flags, b)
	padding := b[len(b)-n:]
	if len(bytes.Trim(padding, "\x00")) == 0 {
		return appendNumber(dst, " pad=", uint32(n))
	}
	return hexcode.AppendEncode(append(dst, " padding="...), padding)
}

func appendPriority(dst []byte, p PriorityParam) []byte {
	dst = appendNumber(dst, " dep=", p.DependsOn)
	dst = appendNumber(dst, " weight=", uint32(p.Weight)+1)
	if p.Exclusive {
		dst = append(dst, " EXCLUSIVE"...)
	}
	return dst
}

func appendAnyFrame(dst []byte, h FrameHeader, payload []byte) []byte {
	dst = append(append(dst, "FRAME type="...), h.Type.String()...)
	dst = appendNumber(dst, " stream=", h.StreamID)
	dst = append(append(dst, " flags="...), hex(uint32(h.Flags))...)
	if len(payload) > 0 {
		dst = hexcode.AppendEncode(append(dst, ' '), payload)
	}
	return append(dst, '\n')
}

func appendNumber(dst []byte, key string, v uint32) []byte {
	return strconv.AppendUint(append(dst, key...), uint64(v), 10)
}

func paddingLen(flags Flags, b []byte) int {
	if flags.Has(FlagPadded) {
		return int(b[0])
	}
	return 0
}

func reservedBit(b []byte) bool { return len(b) > 0 && b[0]&0x80 != 0 }

func isRun(b []byte) bool { return bytes.Count(b, b[:1]) == len(b) }

// isPlain reports whether s can stand in a field line without quotes.
func isPlain(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' {
			return false
		}
	}
	return s == strings.TrimSpace(s) && s[0] != '"'
}

const (
	maxPrintedTable = 64 << 10 // bytes; the largest dynamic table that a peer may use without Printer losing track
	shortestRun     = 8
	longestField    = 64
)

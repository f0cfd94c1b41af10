package wire

import (
	"encoding/binary"
	hexcode "encoding/hex"
	"strconv"

	"golang.org/x/net/http2/hpack"
)

// The notation of extension frames:
//
//	WS_OPEN id=3 nonce=0102030405060708
//	  :method: CONNECT
//	WS_ACCEPT id=3 nonce=0102030405060708 version=2
//	ALTSVC stream=0 "https://example.com" "h3=\":443\""
//	ORIGIN "https://example.com" "https://www.example.com"
//
// The version is left out where it is 1. ALTSVC has the origin first, then the field value.

// extension takes the words of an extension frame's payload.
func (p *Parser) extension(t FrameType, a *args) []byte {
	switch t {
	case WSOpen, WSAccept:
		h := WSHead{Version: uint8(a.number("version", 8, WSVersion)), StreamID: a.number("id", 32, 0)}
		nonce, _ := a.hexValue("nonce")
		if len(nonce) != len(h.Nonce) {
			a.fail("a nonce has 8 bytes")
		}
		copy(h.Nonce[:], nonce)
		b := appendWSHead(nil, h)
		if raw := a.hex(); raw != nil {
			b = append(b, raw...)
		}
		return append(b, p.block.Bytes()...)
	case AltSvc:
		origin, ok := a.text()
		value, more := a.text()
		if !ok || !more || len(origin) > 0xffff {
			a.fail("ALTSVC has two texts, the origin and the field value")
			return nil
		}
		return append(append16(nil, origin), value...)
	case Origin:
		var b []byte
		for {
			origin, ok := a.text()
			if !ok || len(origin) > 0xffff {
				return b
			}
			b = append16(b, origin)
		}
	}
	return a.fieldBlock(p)
}

// encodePlain adds one field of a WS_OPEN to p.block.
func (p *Parser) encodePlain(f hpack.HeaderField) error {
	if len(f.Name) > 0xffff || len(f.Value) > 0xffff {
		return ErrSize
	}
	p.block.Write(AppendWSField(nil, f.Name, f.Value))
	return nil
}

func append16(dst []byte, s string) []byte {
	return append(binary.BigEndian.AppendUint16(dst, uint16(len(s))), s...)
}

// text takes the first quoted text.
func (a *args) text() (string, bool) {
	w, ok := a.take(func(w string) bool { return w[0] == '"' })
	if !ok {
		return "", false
	}
	text, rest, err := cutText(w)
	if err != nil || rest != "" {
		a.fail("not a text: %s", w)
	}
	return text, true
}

// appendExtension appends what stands behind the name of an extension frame; ok is false if the notation cannot say it.
func (p *Printer) appendExtension(dst []byte, h FrameHeader, b []byte) (_ []byte, ok bool) {
	switch h.Type {
	case WSOpen:
		head, fields, err := ParseWSOpen(b)
		if err != nil || head.Version != WSVersion {
			return dst, false
		}
		for name, value, rest, ok := fields.Next(); ok; name, value, rest, ok = rest.Next() {
			p.fields = append(p.fields, hpack.HeaderField{Name: string(name), Value: string(value)})
		}
		return appendHead(dst, head), true
	case WSAccept:
		head, err := ParseWSAccept(b)
		return appendHead(dst, head), err == nil
	case AltSvc:
		origin, value, err := ParseAltSvc(b)
		return appendQuoted(appendQuoted(dst, origin), value), err == nil
	case Origin:
		origins, err := ParseOrigin(b)
		for _, o := range origins {
			dst = appendQuoted(dst, o)
		}
		return dst, err == nil
	}
	return dst, false
}

func appendHead(dst []byte, h WSHead) []byte {
	dst = appendNumber(dst, " id=", h.StreamID)
	dst = hexcode.AppendEncode(append(dst, " nonce="...), h.Nonce[:])
	if h.Version != WSVersion {
		dst = appendNumber(dst, " version=", uint32(h.Version))
	}
	return dst
}

func appendQuoted(dst, text []byte) []byte {
	return strconv.AppendQuote(append(dst, ' '), string(text))
}

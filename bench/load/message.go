package load

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
)

// A script is the messages every WebSocket sends in turn, framed and masked beforehand, and the echoes to expect.
type script struct {
	raw     bool
	deflate bool
	frames  [][]byte // as the client sends them
	echoes  [][]byte // as the server should return them in one frame; frames themselves if raw
	texts   [][]byte // the payloads, inside echoes
}

func newScript(size int, raw bool) *script {
	variants := 16
	if size > 4096 {
		variants = 2 // memory, and the processor's cache
	}
	rng := rand.New(rand.NewPCG(1, uint64(size)))
	s := &script{raw: raw}
	for range variants {
		text := make([]byte, size)
		for i := range text {
			text[i] = ' ' + byte(rng.IntN(95)) // printable ASCII, so valid UTF-8
		}
		frame := appendClientFrame(nil, opText, text, rng.Uint32())
		echo := frame
		if !raw {
			echo = append(appendFrameHeader(nil, opText, 0, size), text...)
			text = echo[len(echo)-size:]
		}
		s.frames, s.echoes, s.texts = append(s.frames, frame), append(s.echoes, echo), append(s.texts, text)
	}
	return s
}

// Opcodes of RFC 6455, Section 5.2.
const (
	opContinuation = 0
	opText         = 1
	opClose        = 8
	opPing         = 9
	opPong         = 10
)

// appendFrameHeader appends a frame header (RFC 6455, Section 5.2) without a masking key.
func appendFrameHeader(b []byte, op, maskBit byte, n int) []byte {
	b = append(b, 0x80|op)
	switch {
	case n < 126:
		return append(b, maskBit|byte(n))
	case n < 1<<16:
		return binary.BigEndian.AppendUint16(append(b, maskBit|126), uint16(n))
	default:
		return binary.BigEndian.AppendUint64(append(b, maskBit|127), uint64(n))
	}
}

func appendClientFrame(b []byte, op byte, p []byte, key uint32) []byte {
	b = appendFrameHeader(b, op, 0x80, len(p))
	b = binary.BigEndian.AppendUint32(b, key)
	mask := b[len(b)-4:]
	for i, c := range p {
		b = append(b, c^mask[i&3])
	}
	return b
}

// An echo follows what one WebSocket receives.
type echo struct {
	*script
	received int // echoes complete
	off      int // bytes of the echo in progress that were compared

	header  [10]byte
	have    int // bytes of header gathered
	inFrame bool
	left    int // payload bytes of the frame still to come
	control []byte
	packing bool   // the echo in progress is compressed
	packed  []byte // what came of it

	closed bool           // a Close frame came
	pong   func(p []byte) // answers a ping
}

var errClosed = errors.New("the server closed a WebSocket")

// feed compares p with what is due and returns how many echoes it completed.
func (e *echo) feed(p []byte) (done int, err error) {
	for len(p) > 0 {
		want := e.echoes[e.received%len(e.echoes)]
		switch {
		case e.off == 0 && e.have == 0 && !e.inFrame && len(p) >= len(want) && bytes.Equal(p[:len(want)], want):
			p = p[len(want):]
			e.received++
			done++
			continue
		case e.raw:
			n := min(len(p), len(want)-e.off)
			if !bytes.Equal(p[:n], want[e.off:e.off+n]) {
				return done, e.mismatch()
			}
			p = p[n:]
			if e.off += n; e.off == len(want) {
				e.off = 0
				e.received++
				done++
			}
			continue
		}
		n, complete, err := e.frame(p)
		if err != nil {
			return done, err
		}
		p = p[n:]
		if complete {
			done++
		}
	}
	return done, nil
}

// frame takes part of a frame from p: a header or some payload.
func (e *echo) frame(p []byte) (n int, complete bool, err error) {
	if !e.inFrame {
		if n = e.gather(p); !e.inFrame {
			return n, false, nil
		}
		if err := e.checkHeader(); err != nil {
			return n, false, err
		}
		p = p[n:]
	}
	k := min(len(p), e.left)
	if op := e.header[0] & 15; op >= opClose {
		e.control = append(e.control, p[:k]...)
	} else if e.packing {
		e.packed = append(e.packed, p[:k]...)
	} else {
		text := e.texts[e.received%len(e.texts)]
		if !bytes.Equal(p[:k], text[e.off:e.off+k]) {
			return n, false, e.mismatch()
		}
		e.off += k
	}
	e.left -= k
	if e.left > 0 {
		return n + k, false, nil
	}
	complete, err = e.endFrame()
	return n + k, complete, err
}

// gather collects a frame header and sets inFrame once it is whole.
func (e *echo) gather(p []byte) (n int) {
	for _, c := range p {
		e.header[e.have] = c
		e.have++
		n++
		if e.have < 2 {
			continue
		}
		size := int(e.header[1] & 127)
		switch {
		case size < 126:
		case size == 126 && e.have == 4:
			size = int(binary.BigEndian.Uint16(e.header[2:]))
		case size == 127 && e.have == 10:
			size = int(binary.BigEndian.Uint64(e.header[2:]))
		default:
			if e.header[1]&0x80 == 0 { // a masked header is refused at once
				continue
			}
		}
		e.left, e.inFrame, e.have = size, true, 0
		return n
	}
	return n
}

func (e *echo) checkHeader() error {
	op := e.header[0] & 15
	text := e.texts[e.received%len(e.texts)]
	switch {
	case e.header[1]&0x80 != 0:
		return errors.New("the server masked a frame")
	case e.left < 0:
		return errors.New("the server sent a length of more than 63 bits")
	case e.header[0]&0x70 == rsv1 && op == opText && e.deflate && e.off == 0 && !e.packing:
		e.packing = true
	case e.header[0]&0x70 != 0:
		return fmt.Errorf("the server set reserved bits: %#02x", e.header[0])
	case op == opClose || op == opPing || op == opPong:
		e.control = e.control[:0]
		if e.left > 125 {
			return fmt.Errorf("the server sent a control frame of %d bytes", e.left)
		}
	case op == opContinuation && e.packing:
	case op == opText && e.off == 0 && !e.packing, op == opContinuation && e.off > 0:
		if e.left > len(text)-e.off {
			return fmt.Errorf("echo %d is too long: %d bytes for %d", e.received, e.left, len(text)-e.off)
		}
	default:
		return fmt.Errorf("the server sent opcode %d at byte %d of echo %d", op, e.off, e.received)
	}
	return nil
}

func (e *echo) endFrame() (complete bool, err error) {
	e.inFrame = false
	switch e.header[0] & 15 {
	case opClose:
		e.closed = true
		return false, nil
	case opPing:
		e.pong(e.control)
		return false, nil
	case opPong:
		return false, nil
	}
	if e.header[0]&0x80 == 0 {
		return false, nil
	}
	if e.packing {
		if err := e.unpack(); err != nil {
			return false, err
		}
	}
	if size := len(e.texts[e.received%len(e.texts)]); e.off != size {
		return false, fmt.Errorf("echo %d is too short: %d bytes of %d", e.received, e.off, size)
	}
	e.off = 0
	e.received++
	return true, nil
}

func (e *echo) mismatch() error {
	return fmt.Errorf("echo %d differs from its message within the bytes after %d", e.received, e.off)
}

func (e *echo) closeError() error {
	if len(e.control) >= 2 {
		return fmt.Errorf("%w: %d %q", errClosed, binary.BigEndian.Uint16(e.control), e.control[2:])
	}
	return errClosed
}

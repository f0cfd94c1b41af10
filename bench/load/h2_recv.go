package load

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// parse handles every whole frame in the input.
func (c *h2conn) parse() error {
	for c.w-c.r >= headerBytes {
		h := c.in[c.r:c.w]
		n := int(h[0])<<16 | int(h[1])<<8 | int(h[2])
		if n > maxFrameSize {
			return fmt.Errorf("the server sent a frame of %d bytes", n)
		}
		if len(h) < headerBytes+n {
			return nil
		}
		c.r += headerBytes + n
		if err := c.recv(h[3], h[4], binary.BigEndian.Uint32(h[5:])&0x7fffffff, h[headerBytes:headerBytes+n]); err != nil {
			return err
		}
	}
	return nil
}

func (c *h2conn) recv(typ, flags byte, id uint32, p []byte) error {
	if c.pending != nil && typ != frameContinuation {
		return errors.New("the server sent another frame inside a header block")
	}
	switch typ {
	case frameData:
		return c.recvData(flags, id, p)
	case frameHeaders:
		p, err := content(typ, flags, p)
		if err != nil {
			return err
		}
		return c.recvHeaders(flags, id, p, flags&flagEndStream != 0)
	case frameContinuation:
		if c.pending == nil {
			return errors.New("the server sent CONTINUATION without HEADERS")
		}
		return c.recvHeaders(flags, id, append(c.pending, p...), false)
	case frameRSTStream:
		return c.recvReset(id, p)
	case frameSettings:
		return c.recvSettings(flags, p)
	case framePing:
		if flags&flagAck == 0 {
			c.out = append(appendFrame(c.out, len(p), framePing, flagAck, 0), p...)
		}
	case frameGoAway:
		if len(p) < 8 {
			return errors.New("the server sent a short GOAWAY")
		}
		return fmt.Errorf("the server sent GOAWAY with code %d %q", binary.BigEndian.Uint32(p[4:]), p[8:])
	case frameWindowUpdate:
		return c.recvWindowUpdate(id, p)
	case framePushPromise:
		return errors.New("the server pushed")
	}
	return nil
}

// stream returns nil for a stream that has been closed.
func (c *h2conn) stream(id uint32) (*h2stream, error) {
	if i := int(id-1) / 2; id&1 == 1 && i < len(c.byID) {
		return c.byID[i], nil
	}
	return nil, fmt.Errorf("the server named stream %d, which is idle", id)
}

func (c *h2conn) recvData(flags byte, id uint32, p []byte) error {
	n := len(p)
	if flags&flagPadded != 0 {
		var err error
		if p, err = content(frameData, flags, p); err != nil {
			return err
		}
	}
	s, err := c.stream(id)
	if err != nil {
		return err
	}
	if c.recvWindow -= n; c.recvWindow < connWindow/2 {
		c.out = appendWindowUpdate(c.out, 0, connWindow-c.recvWindow)
		c.recvWindow = connWindow
	}
	if s == nil {
		return nil
	}
	if s.recvWindow -= n; s.recvWindow < streamWindow/2 {
		c.out = appendWindowUpdate(c.out, id, streamWindow-s.recvWindow)
		s.recvWindow = streamWindow
	}
	if !s.open {
		return fmt.Errorf("the server sent DATA before HEADERS on stream %d", id)
	}
	done, err := s.rx.feed(p)
	if err != nil {
		return fmt.Errorf("stream %d: %w", id, err)
	}
	c.outstanding -= done
	if c.heard != nil && done > 0 {
		c.heard(s, done)
	}
	for range done {
		if c.round.more(s.asked - s.first) {
			c.send(s)
		}
	}
	return c.maybeClosed(s, flags&flagEndStream != 0)
}

// maybeClosed goes on with the end of a WebSocket, which only churn expects.
func (c *h2conn) maybeClosed(s *h2stream, endStream bool) error {
	switch {
	case !s.rx.closed && !endStream:
		return nil
	case len(c.streams) > 0 && s.rx.closed:
		return fmt.Errorf("stream %d: %w", s.id, s.rx.closeError())
	case !s.rx.closed:
		return fmt.Errorf("the server ended stream %d without a Close frame", s.id)
	case endStream:
		c.finish(s)
	case !s.ended:
		s.ended = true
		c.sendData(s, flagEndStream, nil)
	}
	return nil
}

func (c *h2conn) recvHeaders(flags byte, id uint32, p []byte, endStream bool) error {
	if flags&flagEndHeaders == 0 {
		c.pending = append([]byte{}, p...)
		if endStream {
			return errors.New("the server ended a stream with its HEADERS")
		}
		return nil
	}
	c.pending, c.status, c.extensions = nil, "", ""
	if _, err := c.dec.Write(p); err != nil {
		return err
	}
	if err := c.dec.Close(); err != nil {
		return err
	}
	s, err := c.stream(id)
	switch {
	case err != nil:
		return err
	case s == nil:
		return nil
	case s.open && endStream: // trailers
		return c.maybeClosed(s, true)
	case s.open || c.status != "200" || endStream:
		return fmt.Errorf("the server answered the CONNECT on stream %d with %q (end of stream: %v)", id, c.status, endStream)
	}
	if c.spec.Deflate {
		if err := checkDeflate(c.extensions); err != nil {
			return err
		}
	}
	s.open = true
	c.opening--
	if len(c.streams) == 0 && c.spec.InFlight == 0 {
		c.sendClose(s)
	}
	return nil
}

func (c *h2conn) recvReset(id uint32, p []byte) error {
	s, err := c.stream(id)
	if err != nil || s == nil {
		return err
	}
	if len(p) != 4 {
		return errors.New("the server sent a bad RST_STREAM")
	}
	code := binary.BigEndian.Uint32(p)
	// "A server MAY request that the client abort transmission of a request without error by sending a RST_STREAM with an
	// error code of NO_ERROR after sending a complete response." RFC 9113, Section 8.1.
	if code != 0 || !s.rx.closed {
		return fmt.Errorf("the server reset stream %d with code %d", id, code)
	}
	s.ended = true
	c.finish(s)
	return nil
}

func (c *h2conn) recvSettings(flags byte, p []byte) error {
	if flags&flagAck != 0 {
		return nil
	}
	for ; len(p) >= 6; p = p[6:] {
		v := binary.BigEndian.Uint32(p[2:])
		switch binary.BigEndian.Uint16(p) {
		case settingHeaderTableSize:
			c.enc.SetMaxDynamicTableSizeLimit(v)
		case settingMaxConcurrentStreams:
			c.maxStreams = v
		case settingInitialWindowSize:
			delta := int(v) - c.initialWindow
			c.initialWindow = int(v)
			for _, s := range c.byID {
				if s != nil {
					s.sendWindow += delta
					c.push(s)
				}
			}
		case settingMaxFrameSize:
			c.maxFrame = int(v)
		case settingEnableConnect:
			c.connect = v == 1
		}
	}
	c.settings = true
	c.out = appendFrame(c.out, 0, frameSettings, flagAck, 0)
	return nil
}

func (c *h2conn) recvWindowUpdate(id uint32, p []byte) error {
	if len(p) != 4 {
		return errors.New("the server sent a bad WINDOW_UPDATE")
	}
	n := int(binary.BigEndian.Uint32(p) & 0x7fffffff)
	if id == 0 {
		c.sendWindow += n
		for len(c.waiting) > 0 && c.sendWindow > 0 {
			s := c.waiting[0]
			c.waiting = c.waiting[1:]
			s.waits = false
			c.push(s)
		}
		return nil
	}
	s, err := c.stream(id)
	if err != nil || s == nil {
		return err
	}
	s.sendWindow += n
	c.push(s)
	return nil
}

package h3

import (
	"bytes"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/quic-go/quic-go/http3"
)

// What a server may do wrong, and how its connection, or one stream on it, ends.
func TestServerViolations(t *testing.T) {
	ok := headersOf(":status", "200")
	for name, c := range map[string]struct {
		control []byte // nil: SETTINGS that allow CONNECT
		respond []byte
		end     bool
		code    http3.ErrCode
		stream  bool // it costs the stream alone
	}{
		"SETTINGS with a 2":         {control: controlStream(frameOf(frameSettings, string(settingsOf(8, 2)))), code: http3.ErrCodeSettingsError},
		"no SETTINGS":               {control: controlStream(frameOf(frameGoAway, "\x00")), code: http3.ErrCodeMissingSettings},
		"SETTINGS twice":            {control: controlStream(connectOn(), connectOn()), code: http3.ErrCodeFrameUnexpected},
		"DATA on the control":       {control: controlStream(connectOn(), frameOf(frameData, "x")), code: http3.ErrCodeFrameUnexpected},
		"CANCEL_PUSH":               {control: controlStream(connectOn(), frameOf(frameCancelPush, "\x00")), code: http3.ErrCodeIDError},
		"GOAWAY for no request":     {control: controlStream(connectOn(), frameOf(frameGoAway, "\x01")), code: http3.ErrCodeIDError},
		"GOAWAY that grows":         {control: controlStream(connectOn(), frameOf(frameGoAway, "\x04"), frameOf(frameGoAway, "\x08")), code: http3.ErrCodeIDError},
		"GOAWAY with two ids":       {control: controlStream(connectOn(), frameOf(frameGoAway, "\x04\x04")), code: http3.ErrCodeFrameError},
		"a push stream":             {control: []byte{streamPush, 0}, code: http3.ErrCodeIDError},
		"DATA first":                {respond: frameOf(frameData, "x"), code: http3.ErrCodeFrameUnexpected},
		"HEADERS in the tunnel":     {respond: join(ok, headersOf("a", "b")), code: http3.ErrCodeFrameUnexpected},
		"FIN in a frame":            {respond: join(ok, frameOf(frameData, "abc")[:4]), end: true, code: http3.ErrCodeFrameError},
		"FIN in HEADERS":            {respond: ok[:len(ok)-1], end: true, code: http3.ErrCodeFrameError},
		"a dynamic table":           {respond: frameOf(frameHeaders, "\x02\x00\xd9"), code: http3.ErrCodeQPACKDecompressionFailed},
		"FIN without a response":    {end: true, code: http3.ErrCodeMessageError, stream: true},
		"no :status":                {respond: headersOf("a", "b"), code: http3.ErrCodeMessageError, stream: true},
		":status twice":             {respond: headersOf(":status", "200", ":status", "200"), code: http3.ErrCodeMessageError, stream: true},
		":status late":              {respond: headersOf("a", "b", ":status", "200"), code: http3.ErrCodeMessageError, stream: true},
		":status of a sort":         {respond: headersOf(":status", "20"), code: http3.ErrCodeMessageError, stream: true},
		":status 101":               {respond: headersOf(":status", "101"), code: http3.ErrCodeMessageError, stream: true},
		":path":                     {respond: headersOf(":status", "200", ":path", "/"), code: http3.ErrCodeMessageError, stream: true},
		"a field in upper case":     {respond: headersOf(":status", "200", "A", "b"), code: http3.ErrCodeMessageError, stream: true},
		"a connection-specific one": {respond: headersOf(":status", "200", "upgrade", "websocket"), code: http3.ErrCodeMessageError, stream: true},
		"a field with a line break": {respond: headersOf(":status", "200", "a", "b\nc"), code: http3.ErrCodeMessageError, stream: true},
		"a header without end":      {respond: headersOf(":status", "200", "a", strings.Repeat("x", 70000)), code: http3.ErrCodeMessageError, stream: true},
		"interim without end":       {respond: join(headersOf(":status", "103"), headersOf(":status", "103")), end: true, code: http3.ErrCodeMessageError, stream: true},
	} {
		t.Run(name, func(t *testing.T) {
			control := c.control
			if control == nil {
				control = controlStream(connectOn())
			}
			inRaw(t, control, respond(c.end, c.respond), func(t *testing.T, fx *fixture, cc *ClientConn) {
				err := violate(t, cc)
				if c.stream {
					wantStreamError(t, err, true, uint64(c.code))
					if cc.Err() != nil {
						t.Errorf("the connection has ended: %v", cc.Err())
					}
					return
				}
				<-cc.Done()
				for _, err := range []error{err, cc.Err()} {
					if ce := connErr(t, err); !ce.Local || !ce.Application || ce.Code != uint64(c.code) || !strings.Contains(ce.Detail, c.code.String()) {
						t.Errorf("%+v", ce)
					}
				}
			})
		})
	}
}

// violate makes a request and returns how it failed.
func violate(t *testing.T, cc *ClientConn) error {
	call, err := cc.OpenConnect(connectTo("/"))
	if err == ErrNoConnect || err == ErrNoSlot {
		<-cc.Done()
		return cc.Err()
	}
	if err != nil {
		return err
	}
	if _, err = call.Response(t.Context()); err == nil {
		_, err = call.Stream().Receive()
		for err == nil {
			_, err = call.Stream().Receive()
		}
	}
	return err
}

// What a server may send besides is taken.
func TestServerExtensions(t *testing.T) {
	control := controlStream(frameOf(frameSettings, string(settingsOf(0x21, 1, 8, 1, 0x33, 1))), frameOf(0x21, "grease"), frameOf(0xc, "origin"))
	response := join(frameOf(0x21, "grease"), headersOf(":status", "103", "link", "x"), headersOf(":status", "200", "a", "b", "a", "c"), frameOf(0x40+0x21, "grease"), frameOf(frameData, "hi"))
	inRaw(t, control, func(c *rawConn) {
		for _, typ := range []byte{streamEncoder, streamDecoder, 0x21} {
			s, _ := c.q.OpenUniStream()
			s.Write([]byte{typ})
		}
		respond(true, response)(c)
	}, func(t *testing.T, fx *fixture, cc *ClientConn) {
		call := fx.call(cc, "/")
		resp := fx.want(call, 200)
		if v := resp.Header.Values("A"); len(v) != 2 || call.Ended() {
			t.Errorf("%v, ended: %v", resp.Header, call.Ended())
		}
		if got := receiveAll(t, call.Stream(), 2); string(got) != "hi" {
			t.Errorf("%q", got)
		}
		if _, err := call.Stream().Receive(); err != io.EOF {
			t.Errorf("%v", err)
		}
		call.Stream().Abort()
		if cc.Err() != nil {
			t.Error(cc.Err())
		}
	})
}

// Frames of a server that carry nothing are not counted.
func TestServersEmptyFrames(t *testing.T) {
	response := join(headersOf(":status", "200"), bytes.Repeat(frameOf(0x21, ""), 2*controlBurst), bytes.Repeat(frameOf(frameData, ""), 2*controlBurst), frameOf(frameData, "hi"))
	inRaw(t, controlStream(connectOn()), respond(true, response), func(t *testing.T, fx *fixture, cc *ClientConn) {
		s := fx.open(cc, "/")
		if got := receiveAll(t, s, 2); string(got) != "hi" || cc.Err() != nil {
			t.Errorf("%q, %v", got, cc.Err())
		}
		s.Abort()
	})
}

func TestEndedResponse(t *testing.T) {
	inRaw(t, controlStream(connectOn()), respond(true, headersOf(":status", "200")), func(t *testing.T, fx *fixture, cc *ClientConn) {
		call := fx.call(cc, "/")
		fx.want(call, 200)
		if !call.Ended() {
			t.Error("the response does not say that the stream has ended")
		}
		if _, err := call.Stream().Receive(); err != io.EOF {
			t.Errorf("Receive: %v", err)
		}
		call.Stream().Close(time.Second)
		<-call.Stream().Done()
	})
}

package h3

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/quic-go/qpack"
	"github.com/quic-go/quic-go/quicvarint"
	"golang.org/x/net/http/httpguts"

	"github.com/weftws/weft/internal/fields"
	"github.com/weftws/weft/internal/fuzzing"
	"github.com/weftws/weft/internal/semantics"
	"github.com/weftws/weft/internal/transport"
)

// Whatever comes, in whatever pieces: the same payload, the same end, and nothing beyond the input.
func FuzzUnframer(f *testing.F) {
	f.Add(join(frameOf(0, "abc"), frameOf(0x21, "grease"), frameOf(0, "d")), uint8(1), true)
	f.Add(join(frameOf(0, "abc"), frameOf(frameHeaders, "z")), uint8(3), false)
	f.Fuzz(func(t *testing.T, in []byte, step uint8, tunnel bool) {
		whole := newUnframer(tunnel, nil)
		want, wantErr := whole.strip(bytes.Clone(in))
		pieces := newUnframer(tunnel, nil)
		var got []byte
		var err error
		for rest := bytes.Clone(in); len(rest) > 0 && err == nil; {
			n := min(int(step)+1, len(rest))
			var p []byte
			p, err = pieces.strip(rest[:n])
			got = append(got, p...)
			rest = rest[n:]
		}
		if !bytes.Equal(got, want) || (err == nil) != (wantErr == nil) || err == nil && whole != pieces {
			t.Errorf("in pieces of %d: %q, %v, %+v; at once: %q, %v, %+v", step+1, got, err, pieces, want, wantErr, whole)
		}
		if bytes.Count(in, []byte{0}) == 0 && len(want) > 0 {
			t.Errorf("%q out of no DATA frame", want)
		}
	})
}

func FuzzParseResponse(f *testing.F) {
	f.Add([]byte("\x00\x00\xd9"))
	f.Fuzz(func(t *testing.T, section []byte) {
		status, h, err := parseResponse(section)
		if err == nil && (status < 100 || status > 999 || h == nil) {
			t.Errorf("status %d, %v", status, h)
		}
	})
}

func FuzzSettings(f *testing.F) {
	f.Add(settingsOf(8, 1), settingsOf(8, 1, 6, 100))
	f.Add(settingsOf(0x21, 99, 6, 4096, 0x33, 1, 8, 1), settingsOf(8, 0))
	f.Add(settingsOf(8, 2), settingsOf(6, 0))
	f.Add(settingsOf(4, 65535), append(settingsOf(8, 1), 0x40))
	f.Fuzz(func(t *testing.T, first, second []byte) {
		s, err := parseSettings(first)
		if _, ok := err.(*violation); err != nil && !ok {
			t.Fatalf("error %T", err)
		}
		later, err2 := parseSettings(second)
		if err != nil || err2 != nil {
			return
		}
		if s.connect && !s.connectPresent {
			t.Errorf("%x: %+v", first, s)
		}
		if err := s.reduced(s); err != nil {
			t.Errorf("%+v takes back from itself: %v", s, err)
		}
		if later.reduced(s) == nil && (s.connect && !later.connect || later.maxSection != 0 && (s.maxSection == 0 || later.maxSection < s.maxSection)) {
			t.Errorf("%+v, then %+v: nothing is missed", s, later)
		}
	})
}

// Whatever a server says on its control stream, in whatever pieces: the same settings, GOAWAY and end.
func FuzzControl(f *testing.F) {
	f.Add(join(frameOf(frameSettings, string(settingsOf(8, 1))), frameOf(0x21, "grease"), frameOf(frameGoAway, "\x08"), frameOf(frameGoAway, "\x04")), uint8(0), true)
	f.Add(join(frameOf(frameSettings, string(settingsOf(8, 0))), frameOf(frameGoAway, "\x04"), frameOf(frameGoAway, "\x08")), uint8(2), true)
	f.Add(join(frameOf(frameSettings, ""), frameOf(frameCancelPush, "\x00")), uint8(1), false)
	f.Add(join(frameOf(frameGoAway, "\x00")), uint8(1), false)
	f.Add(join(frameOf(frameSettings, ""), frameOf(frameMaxPushID, "\x05")), uint8(1), false)
	f.Fuzz(func(t *testing.T, in []byte, step uint8, early bool) {
		want := control(in, 0, early)
		if got := control(in, int(step)+1, early); got != want {
			t.Errorf("in pieces of %d: %s\nat once: %s", step+1, got, want)
		}
	})
}

// control is what a client makes of the bytes of a control stream.
func control(in []byte, step int, early bool) string {
	// The one call has been answered, so that no GOAWAY concerns it.
	call := &Call{st: &stream{}}
	call.settled.Store(true)
	cc := &ClientConn{
		early: early, remembered: settings{connect: true, connectPresent: true, maxSection: 100},
		settings: make(chan struct{}), live: map[*Call]struct{}{call: {}},
	}
	err := recvFrames(cc, bufio.NewReaderSize(&fuzzing.Conn{In: in, Step: step}, controlBuffer))
	return fmt.Sprintf("%+v %v, GOAWAY %v %d, end %v %v", cc.peer, cc.received, cc.goneAway, cc.goAwayID, cc.settingsEnd, err)
}

// Whatever a server answers, in whatever pieces: the same response, and nothing is read behind it.
func FuzzReadResponse(f *testing.F) {
	section := func(pairs ...string) string {
		var b bytes.Buffer
		enc := qpack.NewEncoder(&b)
		for i := 0; i < len(pairs); i += 2 {
			enc.WriteField(qpack.HeaderField{Name: pairs[i], Value: pairs[i+1]})
		}
		return b.String()
	}
	f.Add(join(frameOf(0x21, "grease"), frameOf(frameHeaders, section(":status", "103", "link", "</a>")), frameOf(frameHeaders, section(":status", "200", "a", "b")), frameOf(frameData, "x")), uint8(0))
	f.Add(join(frameOf(frameHeaders, section(":status", "404", "Upper", "x"))), uint8(3))
	f.Add(join(frameOf(frameHeaders, section("a", "b", ":status", "200"))), uint8(3))
	f.Add(join(frameOf(frameHeaders, section(":status", "101"))), uint8(3))
	f.Add(join(frameOf(frameData, "x")), uint8(3))
	f.Fuzz(func(t *testing.T, in []byte, step uint8) {
		whole, pieces := &fuzzing.Conn{In: in}, &fuzzing.Conn{In: in, Step: int(step) + 1}
		want, got := response(t, whole), response(t, pieces)
		if got != want || len(whole.In) != len(pieces.In) {
			t.Errorf("in pieces of %d: %s, %d bytes left\nat once: %s, %d bytes left", step+1, got, len(pieces.In), want, len(whole.In))
		}
	})
}

// response is what a client makes of a request stream.
func response(t *testing.T, q io.Reader) string {
	status, h, _, err := readResponse(q)
	switch err.(type) {
	case nil, malformed, *violation:
	default:
		if err != io.ErrUnexpectedEOF {
			t.Errorf("error %T: %v", err, err)
		}
	}
	if err == nil && (status < 200 || status > 999 || status == http.StatusSwitchingProtocols) {
		t.Errorf("status %d", status)
	}
	return fmt.Sprintf("%d %q %v", status, h, err)
}

// What we send of a request can be decoded, and is the request without what has no place in it.
func FuzzRequest(f *testing.F) {
	f.Add("a.test", "/chat", "X-A", "b", "Te", "trailers")
	f.Add("a", "/", "Connection", "close", "Host", "b")
	f.Add("a", "x", "\xe9", "b\r\nc", "te", "gzip")
	f.Fuzz(func(t *testing.T, authority, path, name1, value1, name2, value2 string) {
		req := transport.ConnectRequest{Scheme: "https", Authority: authority, Path: path, Header: http.Header{name1: {value1}, name2: {value2}}}
		r, err := appendRequest(nil, req)
		if err != nil {
			return
		}
		br := bytes.NewReader(r.frame)
		typ, _ := quicvarint.Read(br)
		length, err := quicvarint.Read(br)
		section, _ := io.ReadAll(br)
		if err != nil || typ != frameHeaders || length != uint64(len(section)) {
			t.Fatalf("%x is no HEADERS frame", r.frame)
		}
		var got []string
		var size uint64
		for decode := qpack.NewDecoder().Decode(section); ; {
			field, err := decode()
			if err == io.EOF {
				break
			}
			if err != nil {
				t.Fatalf("%x: %v", section, err)
			}
			size += uint64(len(field.Name) + len(field.Value) + 32)
			got = append(got, field.Name+": "+field.Value)
			if !strings.HasPrefix(field.Name, ":") {
				if fields.ConnectionSpecific(field.Name) || !fields.ValidName(field.Name) || !fields.ValidValue(field.Value) {
					t.Errorf("sent %q", field)
				}
			}
		}
		want := []string{":method: CONNECT", ":protocol: websocket", ":scheme: https", ":authority: " + authority, ":path: " + path}
		if len(got) < 5 || strings.Join(got[:5], "\n") != strings.Join(want, "\n") || len(got) > 7 || size != r.size {
			t.Errorf("sent %q of %d bytes, counted %d, want %q first", got, size, r.size, want)
		}
	})
}

// Whatever a client asks, in whatever pieces: the same request or the same refusal, and nothing is read behind it.
func FuzzRecvRequest(f *testing.F) {
	f.Add(join(frameOf(0x21, "grease"), requestOf("GET", "cookie", "a=b", "cookie", "c"), frameOf(frameData, "x")), uint8(0), false)
	f.Add(requestOf("CONNECT", ":protocol", "websocket"), uint8(2), false)
	f.Add(requestOf("POST", "content-length", "5", "te", "trailers", "host", serverName), uint8(5), false)
	f.Add(headersOf(":method", "OPTIONS", ":scheme", "https", ":path", "*", "host", "a"), uint8(5), false)
	f.Add(headersOf("a", "b"), uint8(5), true)
	f.Add(frameOf(frameData, "x"), uint8(5), false)
	limits := fields.Limits{Size: 1000, Lines: 20}
	recv := func(t *testing.T, q io.Reader, trailers bool) (*fieldSection, error) {
		section, _, err := readSection(q, uint64(limits.Size))
		if err != nil {
			return nil, err
		}
		kind := fields.Request
		if trailers {
			kind = fields.Trailers
		}
		head, err := parseSection(section, kind, limits)
		transport.PutBuffer(section)
		return head, err
	}
	f.Fuzz(func(t *testing.T, in []byte, step uint8, trailers bool) {
		whole, pieces := &fuzzing.Conn{In: in}, &fuzzing.Conn{In: in, Step: int(step) + 1}
		want, wantErr := recv(t, whole, trailers)
		got, err := recv(t, pieces, trailers)
		if fmt.Sprintf("%+v %v", got, err) != fmt.Sprintf("%+v %v", want, wantErr) || len(whole.In) != len(pieces.In) {
			t.Fatalf("in pieces of %d: %+v, %v, %d bytes left\nat once: %+v, %v, %d bytes left", step+1, got, err, len(pieces.In), want, wantErr, len(whole.In))
		}
		var b *fields.Breach
		var v *violation
		switch {
		case err == nil:
		case err == errNoSection, err == errSectionTooLarge, errors.As(err, &v):
			return
		case errors.As(err, &b) && fieldRules[b.Rule] != nil && strings.HasPrefix(b.Detail, "sent "):
			return
		default:
			t.Fatalf("error %T: %v", err, err)
		}
		size := 0
		for _, field := range got.lines {
			size += len(field.Name) + len(field.Value) + 32
			if fields.ConnectionSpecific(field.Name) || !httpguts.ValidHeaderFieldName(field.Name) || !httpguts.ValidHeaderFieldValue(field.Value) {
				t.Errorf("%q is let through", field)
			}
		}
		if size > limits.Size || len(got.lines) > limits.Lines {
			t.Errorf("%d fields of %d bytes are let through", len(got.lines), size)
		}
		if trailers {
			return
		}
		// What is let through can be shown.
		r, _ := semantics.NewRequest(got.Pseudo, got.lines)
		p := got.Pseudo
		if p.Method == "" || r.URL == nil || p.Method == "CONNECT" && p.Authority == "" && p.Protocol == "" || p.Protocol != "" && p.Method != "CONNECT" {
			t.Errorf("%+v is let through", p)
		}
	})
}

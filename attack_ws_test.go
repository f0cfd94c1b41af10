package weft_test

import (
	"bufio"
	"bytes"
	"compress/flate"
	"encoding/binary"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"golang.org/x/net/http2"

	"github.com/weftws/weft"
)

// A wsAttacker is the bytes of a WebSocket, over HTTP/1.1 or HTTP/2. What is sent comes in frames of its carrier.
type wsAttacker struct {
	*arena
	r    io.Reader
	send func(p []byte) error
	end  func()
}

// attackWS opens a WebSocket; with deflate it has permessage-deflate.
func (a *arena) attackWS(h2, deflate bool) *wsAttacker {
	a.Helper()
	path, offer := "/ws", ""
	if deflate {
		path, offer = "/deflate", "permessage-deflate"
	}
	if h2 {
		return a.attackWSOverH2(path, offer)
	}
	nc := a.connect("", "http/1.1")
	var more []string
	if offer != "" {
		more = []string{"Sec-WebSocket-Extensions: " + offer}
	}
	io.WriteString(nc, askWebSocket(a.addr, path, more...))
	br := bufio.NewReader(nc)
	res, err := http.ReadResponse(br, nil)
	if err != nil || res.StatusCode != 101 || res.Header.Get("Sec-Websocket-Extensions") == "" == deflate {
		a.Fatalf("%v, %v", res, err)
	}
	return &wsAttacker{a, br, func(p []byte) error { _, err := nc.Write(p); return err }, func() { nc.Close() }}
}

func (a *arena) attackWSOverH2(path, offer string) *wsAttacker {
	a.Helper()
	x := a.attackH2(false, http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1 << 30})
	pr, pw := io.Pipe()
	a.Cleanup(func() { pr.Close() })
	x.data = pw
	var more []string
	if offer != "" {
		more = []string{"sec-websocket-extensions: " + offer}
	}
	id := x.open(path, more...)
	x.flush()
	x.sees("200", func() bool { return x.status["200"] == 1 })
	sent := int64(0)
	send := func(p []byte) error {
		for len(p) > 0 {
			var room int64
			over := false
			x.sees("a window", func() bool {
				room, over = min(65535+x.window, 256<<10+x.windows[id])-sent, x.over()
				return room > 0 || over
			})
			if over {
				return io.ErrClosedPipe
			}
			n := min(int64(len(p)), room, 16384)
			x.fr.WriteData(id, false, p[:n])
			p = p[n:]
			sent += n
			if !x.flush() {
				return io.ErrClosedPipe
			}
		}
		return nil
	}
	return &wsAttacker{a, pr, send, func() { x.nc.Close() }}
}

// over reports whether the WebSocket's stream was reset or ended. Called with seen held.
func (x *h2Attacker) over() bool {
	select {
	case <-x.done:
		return true
	default:
		return x.ended
	}
}

// wantClose waits for a Close frame and checks its code and reason.
func (w *wsAttacker) wantClose(code weft.StatusCode, reason string) {
	w.Helper()
	for {
		var head [4]byte
		if _, err := io.ReadFull(w.r, head[:2]); err != nil {
			w.Errorf("the attacker was told nothing: %v", err)
			return
		}
		n := int(head[1])
		if n == 126 {
			io.ReadFull(w.r, head[2:])
			n = int(binary.BigEndian.Uint16(head[2:]))
		}
		p := make([]byte, n)
		if _, err := io.ReadFull(w.r, p); err != nil {
			w.Errorf("a frame breaks off: %v", err)
			return
		}
		if head[0]&15 != 8 {
			continue
		}
		if got := weft.StatusCode(binary.BigEndian.Uint16(p)); got != code || string(p[2:]) != reason {
			w.Errorf("the attacker was told %v %q, want %v %q", got, p[2:], code, reason)
		}
		return
	}
}

// bomb is n zeros, deflated as a message's payload. RFC 7692, Section 7.2.1.
func bomb(n int) string {
	var b bytes.Buffer
	w, _ := flate.NewWriter(&b, flate.BestCompression)
	io.Copy(w, io.LimitReader(zeros{}, int64(n)))
	w.Flush()
	return strings.TrimSuffix(b.String(), "\x00\x00\xff\xff")
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

// What a WebSocket's peer may do costs it the WebSocket, with the right code, and the server what was announced: nothing.
func TestAttackWebSocket(t *testing.T) {
	for _, attack := range []struct {
		name    string
		deflate bool
		frames  func(yield func(rawFrame) bool)
		times   int // frames is repeated so often at most; 0: once
		code    weft.StatusCode
		rule    string
	}{
		{name: "unmasked", frames: one(text("hello").unlikeSide()), code: 1002, rule: "unmasked-frame"},
		{name: "reserved bits", frames: one(text("hello").bits(2)), code: 1002, rule: "reserved-bit"},
		{name: "compressed without leave", frames: one(text(bomb(100)).bits(4)), code: 1002, rule: "reserved-bit"},
		{name: "text that is no UTF-8", frames: one(text("\xc3\x28")), code: 1007, rule: "invalid-utf8"},
		{name: "a huge message announced", frames: one(bin("x").in(64).announcing(1 << 40)), code: 1009, rule: "message-too-big"},
		{name: "fragments without end", frames: fragments(strings.Repeat("x", 60000)), times: 100, code: 1009, rule: "message-too-big"},
		{name: "a bomb", deflate: true, frames: one(bin(bomb(64 << 20)).bits(4)), code: 1009, rule: "message-too-big"},
		{name: "a small bomb", deflate: true, frames: one(bin(bomb(1<<20 + 1)).bits(4)), code: 1009, rule: "message-too-big"},
		{name: "a bomb in fragments", deflate: true, frames: split(bomb(32<<20), 1000), code: 1009, rule: "message-too-big"},
		{name: "compressed rubbish", deflate: true, frames: one(bin("\x07\xff\xff").bits(4)), code: 1007, rule: "corrupt-deflate"},
		{name: "fragments of a byte", frames: fragments("x"), times: 1 << 18, code: 1008, rule: "too-many-fragments"},
		{name: "fragments of nothing", frames: fragments(""), times: 5000, code: 1008, rule: "too-many-empty-fragments"},
		{name: "Pings", frames: one(ping("x")), times: 20000, code: 1008, rule: "control-flood"},
		{name: "Pongs", frames: one(pong("x")), times: 20000, code: 1008, rule: "control-flood"},
		{name: "Pings inside a message", frames: func(yield func(rawFrame) bool) {
			_ = yield(text("x").more()) && yield(ping("x")) && yield(cont("x"))
		}, times: 20000, code: 1008, rule: "control-flood"},
		{name: "a Close with a code of nobody's", frames: one(shut(1006, "")), code: 1002, rule: "invalid-close-code"},
	} {
		for _, h2 := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/h2=%t", attack.name, h2), func(t *testing.T) {
				a := newArena(t, false, nil)
				a.beside(webSocketHeap, func() {
					w := a.attackWS(h2, attack.deflate)
					sent := make(chan struct{})
					go func() {
						defer close(sent)
						w.flood(attack.frames, max(attack.times, 1))
					}()
					w.wantClose(attack.code, attack.rule)
					w.end()
					<-sent
				})
				a.wantCount("websocket/"+attack.rule, 1)
			})
		}
	}
}

// webSocketHeap is what one WebSocket may add to the heap: a message of 1 MiB, twice while it grows, the attacker's bytes, garbage.
const webSocketHeap = 24 << 20

// flood sends frames again and again, until the connection takes no more.
func (w *wsAttacker) flood(frames func(yield func(rawFrame) bool), times int) {
	var b []byte
	first := true
	for i := range times {
		for f := range frames {
			if f.opcode == 0xff { // a fragment: the first is the beginning
				f.opcode = 0
				if first {
					f.opcode, first = 2, false
				}
			}
			b = f.append(b, true)
		}
		if len(b) > 32<<10 || i == times-1 {
			if w.send(b) != nil {
				return
			}
			b = b[:0]
		}
	}
}

func one(f rawFrame) func(yield func(rawFrame) bool) {
	return func(yield func(rawFrame) bool) { yield(f) }
}

// fragments of one message that does not end.
func fragments(payload string) func(yield func(rawFrame) bool) {
	return one(rawFrame{opcode: 0xff, payload: payload})
}

// split is a compressed message in fragments of n bytes.
func split(payload string, n int) func(yield func(rawFrame) bool) {
	return func(yield func(rawFrame) bool) {
		f := bin("").bits(4)
		for rest := payload; len(rest) > 0; {
			k := min(n, len(rest))
			f.payload, f.fin = rest[:k], k == len(rest)
			if !yield(f) {
				return
			}
			rest = rest[k:]
			f = cont("")
		}
	}
}

// A page of another origin, a protocol that nobody speaks, and bytes that a tunnel's client sends too early.
func TestAttackHandshakes(t *testing.T) {
	for _, h2 := range []bool{false, true} {
		t.Run(fmt.Sprintf("another origin/h2=%t", h2), func(t *testing.T) {
			a := newArena(t, false, nil)
			a.beside(8<<20, func() {
				d := &weft.Dialer{TLSConfig: a.tls, Policy: weft.Policy{Rungs: []weft.Rung{weft.Upgrade}}}
				if h2 {
					d.Policy.Rungs = []weft.Rung{weft.Settings}
				}
				defer d.Close()
				_, res, err := d.Dial(a.Context(), "wss://"+a.addr+"/ws", &weft.DialOptions{HTTPHeader: http.Header{"Origin": {"https://evil.example"}}})
				if err == nil || res == nil || res.StatusCode != http.StatusForbidden {
					t.Fatalf("%v, %v", res, err)
				}
				res.Body.Close()
			})
			a.wantCount("refused/foreign-origin", 1)
		})
	}
	for version, ask := range map[string]func(a *arena, fields ...string){
		"h2": func(a *arena, fields ...string) {
			x := a.attackH2(false)
			x.request(false, fields...)
			x.flush()
			x.sees("501", func() bool { return x.status["501"] == 1 })
		},
	} {
		t.Run("an unknown :protocol/"+version, func(t *testing.T) {
			a := newArena(t, false, nil)
			a.beside(8<<20, func() {
				ask(a, ":method: CONNECT", ":protocol: connect-udp", ":scheme: https", ":path: /ws", ":authority: localhost")
			})
			a.wantCount("refused/unknown-protocol", 1)
		})
	}
	// What stands behind a request for an Upgrade that is refused is not taken for a request. RFC 9931.
	t.Run("a request in the tunnel", func(t *testing.T) {
		a := newArena(t, false, nil)
		a.beside(8<<20, func() {
			nc := a.connect("", "http/1.1")
			io.WriteString(nc, askWebSocket(a.addr, "/ws", "Origin: https://evil.example")+"GET /secret HTTP/1.1\r\nHost: "+a.addr+"\r\n\r\n")
			answers, _ := io.ReadAll(nc)
			if n := bytes.Count(answers, []byte("HTTP/1.1 ")); n != 1 || !bytes.HasPrefix(answers, []byte("HTTP/1.1 403 ")) || a.secret.Load() != 0 {
				t.Errorf("%d answers: %s", n, answers)
			}
		})
		a.wantCount("refused/foreign-origin", 1)
	})
}

package weft_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/weftws/weft"
)

// "If an endpoint receives a Close frame and did not previously send a Close frame, the endpoint MUST send a Close frame in
// response. (When sending a Close frame in response, the endpoint typically echos the status code it received.)" "The Close frame
// MAY contain a body."
//
// "If this Close control frame contains no status code, _The WebSocket Connection Close Code_ is considered to be 1005." RFC 6455,
// Section 7.1.5.
func TestRFC6455Section5_5_1_PeerCloses(t *testing.T) {
	var cs []conversation
	for _, tt := range []struct {
		code   uint16
		reason string
	}{
		{0, ""}, {1000, ""}, {1000, "bye"}, {4001, "gr\u00fc\u00df dich \U0001d11e"}, {1001, strings.Repeat("r", 123)},
		// RFC 6455, Section 7.4: the ends of each range, and what IANA has registered since.
		{1003, ""}, {1007, ""}, {1011, ""}, {1012, ""}, {1014, ""}, {3000, ""}, {3999, ""}, {4000, ""}, {4999, ""},
	} {
		cs = append(cs, conversation{fmt.Sprintf("%d %.20s", tt.code, tt.reason), func(p *rawPeer) {
			p.send(text("before"), shut(tt.code, tt.reason))
			p.want(shut(tt.code, ""))
			p.wantMessage(`text "before"`)
			if tt.code == 0 {
				p.wantClosed(weft.StatusNoStatusRcvd, "")
			} else {
				p.wantClosed(weft.StatusCode(tt.code), tt.reason)
			}
			p.wantEnd()
		}})
	}
	converse(t, cs)
}

// "If there is a body, the first two bytes of the body MUST be a 2-byte unsigned integer (in network byte order) representing
// a status code with value /code/ defined in Section 7.4. Following the 2-byte integer, the body MAY contain UTF-8-encoded
// data."
//
// "1005 is a reserved value and MUST NOT be set as a status code in a Close control frame by an endpoint." So are 1006 and 1015.
// RFC 6455, Section 7.4.1.
func TestRFC6455Section5_5_1_MalformedClose(t *testing.T) {
	cs := []conversation{
		{"a body of one byte", func(p *rawPeer) {
			p.send(rawFrame{fin: true, opcode: 8, payload: "\x03"})
			p.wantFailure(1002, "short-close")
		}},
		{"a reason that is no UTF-8", func(p *rawPeer) {
			p.send(shut(1000, "a\xffb"))
			p.wantFailure(1007, "invalid-close-reason")
		}},
		{"a reason that ends inside a character", func(p *rawPeer) {
			p.send(shut(1000, "a\xe2\x82"))
			p.wantFailure(1007, "invalid-close-reason")
		}},
	}
	for _, code := range []uint16{1, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 65535} {
		cs = append(cs, conversation{fmt.Sprint("code ", code), func(p *rawPeer) {
			p.send(shut(code, "why"))
			p.wantFailure(1002, "invalid-close-code")
		}})
	}
	cs = append(cs, conversation{"code 0", func(p *rawPeer) {
		p.send(rawFrame{fin: true, opcode: 8, payload: "\x00\x00"})
		p.wantFailure(1002, "invalid-close-code")
	}})
	converse(t, cs)
}

// "After receiving a control frame indicating the connection should be closed, a peer discards any further data received." RFC
// 6455, Section 1.4.
func TestRFC6455Section5_5_1_AfterTheClose(t *testing.T) {
	converse(t, []conversation{
		{"data, right and wrong, is discarded", func(p *rawPeer) {
			p.send(shut(1000, "first"), text("late"), shut(1001, "second"), cont("wrong").bits(7), bin(strings.Repeat("z", 100_000)))
			p.want(shut(1000, ""))
			p.wantClosed(1000, "first")
			p.wantEnd()
		}},
		// "The application MUST NOT send any more data frames after sending a Close frame."
		{"we send no data", func(p *rawPeer) {
			p.send(shut(1000, ""))
			p.want(shut(1000, ""))
			p.wantClosed(1000, "")
			if err := p.subject.Write(p.Context(), weft.MessageText, []byte("late")); weft.CloseStatus(err) != 1000 {
				p.Errorf("Write after the Close frames: %v", err)
			}
			p.wantEnd()
		}},
		// "An endpoint MAY delay sending a Close frame until its current message is sent." Here what was begun is broken off.
		{"a message of ours that has begun", func(p *rawPeer) {
			w, err := p.subject.Writer(p.Context(), weft.MessageText)
			if err != nil {
				p.Fatal(err)
			}
			fmt.Fprint(w, "begun")
			p.want(text("begun").more())
			p.send(shut(1000, ""))
			p.wantClosed(1000, "")
			if _, err := fmt.Fprint(w, "goes on"); err == nil {
				p.Error("a message went on in the CLOSING state")
			}
			if err := w.Close(); err == nil {
				p.Error("a message was ended in the CLOSING state")
			}
			p.want(shut(1000, ""))
			p.wantEnd()
		}},
	})
}

// "To _Start the WebSocket Closing Handshake_ with a status code (Section 7.4) /code/ and an optional close reason (Section
// 7.1.6) /reason/, an endpoint MUST send a Close control frame, as described in Section 5.5.1, whose status code is set to
// /code/ and whose close reason is set to /reason/. Once an endpoint has both sent and received a Close control frame, that
// endpoint SHOULD _Close the WebSocket Connection_."
func TestRFC6455Section7_1_2_WeClose(t *testing.T) {
	var cs []conversation
	for _, tt := range []struct {
		code   weft.StatusCode
		reason string
		want   rawFrame
	}{
		{1000, "", shut(1000, "")}, {4999, "gr\u00fc\u00df dich", shut(4999, "gr\u00fc\u00df dich")},
		{1001, strings.Repeat("r", 123), shut(1001, strings.Repeat("r", 123))},
		// "1005 is a reserved value and MUST NOT be set as a status code in a Close control frame."
		{weft.StatusNoStatusRcvd, "", shut(0, "")},
	} {
		cs = append(cs, conversation{fmt.Sprint(tt.code), func(p *rawPeer) {
			p.write(weft.MessageText, "last")
			done := begin(func() error { return p.subject.Close(tt.code, tt.reason) })
			p.want(text("last"), tt.want)
			// What is under way meanwhile is no message any more.
			p.send(text("crossing"), pong("crossing"), bin(strings.Repeat("c", 300_000)))
			p.send(shut(4321, "yes"))
			if err := <-done; err != nil {
				p.Errorf("Close: %v", err)
			}
			p.wantClosed(4321, "yes")
			p.wantEnd()
		}})
	}
	converse(t, cs)
}

// "If a client and server both send a Close message at the same time, both endpoints will have sent and received a Close message
// and should consider the WebSocket connection closed and close the underlying TCP connection." "Each endpoint will see the
// status code sent by the other end as _The WebSocket Connection Close Code_." RFC 6455, Section 7.1.5.
func TestRFC6455Section5_5_1_BothClose(t *testing.T) {
	converse(t, []conversation{{"at the same time", func(p *rawPeer) {
		done := begin(func() error { return p.subject.Close(4001, "ours") })
		p.send(shut(4002, "peer's"))
		p.want(shut(4001, "ours"))
		if err := <-done; err != nil {
			p.Errorf("Close: %v", err)
		}
		p.wantClosed(4002, "peer's")
		p.wantEnd()
	}}})
}

// "The server MUST close the underlying TCP connection immediately; the client SHOULD wait for the server to close the connection
// but MAY close the connection at any time after sending and receiving a Close message, e.g., if it has not received a TCP
// Close from the server in a reasonable time period." RFC 6455, Section 5.5.1.
//
// "Orderly TCP-level closures are represented as END_STREAM flags." RFC 8441, Section 5.
func TestRFC6455Section7_1_1_WhoEndsTheConnection(t *testing.T) {
	wantEndAfter := func(p *rawPeer, from time.Time, d time.Duration) {
		p.Helper()
		p.wantNothingBut(io.EOF, time.Minute)
		if got := time.Since(from); got != d {
			p.Errorf("the end came after %v, want %v", got, d)
		}
		if st, ok := p.conn.(*rawStream); ok && (st.frames[len(st.frames)-1] != "END_STREAM" || st.reset != "") {
			p.Errorf("DATA was %q, reset %q", st.frames, st.reset)
		}
	}
	converse(t, []conversation{
		{"the peer began", func(p *rawPeer) {
			start := time.Now()
			p.conn.Write(shut(1000, "").append(nil, p.client))
			p.want(shut(1000, ""))
			switch {
			case p.client, p.overHTTP2():
				wantEndAfter(p, start, rtt)
			default:
				wantEndAfter(p, start, rtt+2*time.Second)
			}
			p.wantClosed(1000, "")
		}},
		{"we began", func(p *rawPeer) {
			done := begin(func() error { return p.subject.Close(1000, "") })
			p.want(shut(1000, ""))
			start := time.Now()
			p.conn.Write(shut(1000, "").append(nil, p.client))
			switch {
			case p.client, p.overHTTP2():
				wantEndAfter(p, start, rtt)
			default:
				wantEndAfter(p, start, rtt+2*time.Second)
			}
			if err := <-done; err != nil {
				p.Errorf("Close: %v", err)
			}
		}},
		{"the peer never ends its side", func(p *rawPeer) {
			p.send(shut(1000, ""))
			p.want(shut(1000, ""))
			p.wantNothingBut(io.EOF, 10*time.Second)
			time.Sleep(5 * time.Second)
			if st, ok := p.conn.(*rawStream); ok {
				st.c.await("RST_STREAM", func() bool { return st.reset != "" })
				if st.reset != "CANCEL" {
					p.Errorf("reset with %s", st.reset)
				}
				return
			}
			for _, end := range p.network.Open() {
				if strings.HasPrefix(end, sideName(!p.client)) {
					p.Errorf("%s is left open", end)
				}
			}
		}},
	})
}

// "If _The WebSocket Connection is Closed_ and no Close control frame was received by the endpoint (such as could occur if the
// underlying transport connection is lost), _The WebSocket Connection Close Code_ is considered to be 1006." "If at any point
// the underlying transport layer connection is unexpectedly lost, the client MUST _Fail the WebSocket Connection_." RFC 6455,
// Section 7.2.1.
func TestRFC6455Section7_1_5_AbnormalClosure(t *testing.T) {
	lost := func(p *rawPeer) {
		p.Helper()
		err := p.wantError()
		var ce *weft.CloseError
		if errors.As(err, &ce) || weft.CloseStatus(err) != -1 || !strings.Contains(err.Error(), "1006") {
			p.Errorf("the Conn ended with %v", err)
		}
		p.wantGone()
	}
	gone := func(p *rawPeer) {
		p.Helper()
		p.conn.SetReadDeadline(time.Now().Add(time.Minute))
		b := make([]byte, 100)
		if n, err := p.conn.Read(b); n > 0 || err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
			p.Errorf("got %x, %v, want the end of the connection without a Close frame", b[:n], err)
		} else if _, reset := errors.AsType[*resetError](err); p.overHTTP2() && (!reset || !strings.Contains(err.Error(), "CANCEL")) {
			p.Errorf("got %v, want RST_STREAM(CANCEL)", err)
		}
	}
	converse(t, []conversation{
		{"FIN or END_STREAM without a Close frame", func(p *rawPeer) {
			p.send(text("last"))
			p.conn.CloseWrite()
			p.wantMessage(`text "last"`)
			lost(p)
			gone(p)
		}},
		{"in the middle of a frame", func(p *rawPeer) {
			p.send(text("half").announcing(100))
			p.conn.CloseWrite()
			lost(p)
			gone(p)
		}},
		{"in the middle of a message", func(p *rawPeer) {
			p.send(text("half").more())
			p.conn.CloseWrite()
			lost(p)
			gone(p)
		}},
		{"RST or RST_STREAM", func(p *rawPeer) {
			p.send(text("last"))
			p.wantMessage(`text "last"`)
			p.conn.Reset()
			lost(p)
		}},
		{"the connection is gone", func(p *rawPeer) {
			p.conn.Close()
			lost(p)
		}},
		{"after our Close frame", func(p *rawPeer) {
			done := begin(func() error { return p.subject.Close(1000, "") })
			p.want(shut(1000, ""))
			p.conn.CloseWrite()
			lost(p)
			gone(p)
			// With callbacks Close does not wait for the peer's frame; it may still notice the loss.
			if err := <-done; err == nil && !p.chopped || err != nil && !strings.Contains(err.Error(), "1006") {
				p.Errorf("Close: %v", err)
			}
		}},
		{"no Close frame in answer to ours", func(p *rawPeer) {
			done := begin(func() error { return p.subject.Close(1000, "") })
			p.want(shut(1000, ""))
			start := time.Now()
			p.wantNothingBut(nil, 4*time.Second)
			gone(p)
			if d := time.Since(start); d != 5*time.Second {
				p.Errorf("given up after %v", d)
			}
			<-done
			lost(p)
		}},
		{"CloseNow", func(p *rawPeer) {
			if err := p.subject.CloseNow(); err != nil {
				p.Error(err)
			}
			gone(p)
			p.wantError()
		}},
	})
}

// "1001 indicates that an endpoint is "going away", such as a server going down."
func TestRFC6455Section7_4_1_GoingAway(t *testing.T) {
	converse(t, []conversation{{"Shutdown", func(p *rawPeer) {
		if !p.client {
			return // a Dialer has no Shutdown
		}
		done := begin(func() error { return p.server.Shutdown(context.Background()) })
		p.want(shut(1001, "server is shutting down"))
		p.send(shut(1001, ""))
		p.wantClosed(1001, "")
		p.wantNothingBut(io.EOF, patience)
		p.conn.CloseWrite()
		if st, ok := p.conn.(*rawStream); ok {
			if _, err := io.Copy(io.Discard, st.c.nc); err != nil {
				p.Error(err)
			}
		}
		p.conn.Close()
		if err := <-done; err != nil {
			p.Errorf("Shutdown: %v", err)
		}
	}}})
}

// "1008 indicates that an endpoint is terminating the connection because it has received a message that violates its policy."
func TestRFC6455Section7_4_1_PolicyViolation(t *testing.T) {
	converse(t, []conversation{{"more empty fragments than anybody needs", func(p *rawPeer) {
		frames := []rawFrame{text("").more()}
		for range 1024 {
			frames = append(frames, cont("").more())
		}
		p.send(frames...)
		p.wantFailure(1008, "too-many-empty-fragments")
	}}})
}

// "1009 indicates that an endpoint is terminating the connection because it has received a message that is too big for it to
// process."
func TestRFC6455Section7_4_1_MessageTooBig(t *testing.T) {
	for name, talk := range map[string]func(p *rawPeer){
		"in one frame": func(p *rawPeer) { p.send(bin(strings.Repeat("x", 1001))) },
		"in fragments": func(p *rawPeer) {
			p.send(text(strings.Repeat("x", 999)).more(), ping(""), cont("xy"))
			p.want(pong(""))
		},
		"announced": func(p *rawPeer) { p.send(bin("").announcing(1<<63 - 1)) },
	} {
		t.Run(name, func(t *testing.T) {
			converseWith(t, setting{readLimit: 1000}, func(p *rawPeer) {
				p.send(bin(strings.Repeat("x", 1000)), text(strings.Repeat("x", 500)).more(), cont(strings.Repeat("x", 500)))
				p.wantMessage("binary "+brief(strings.Repeat("x", 1000)), "text "+brief(strings.Repeat("x", 1000)))
				talk(p)
				p.wantFailure(1009, "message-too-big")
			})
		})
	}
}

// What Close does not let an application send. RFC 6455, Sections 5.5.1, 7.4.1 and 7.4.2.
func TestRFC6455Section7_4_2_Ranges(t *testing.T) {
	converse(t, []conversation{{"codes", func(p *rawPeer) {
		for _, code := range []weft.StatusCode{-1, 0, 1, 999, 1004, 1006, 1015, 1016, 2999, 5000, 65536 + 1000} {
			if err := p.subject.Close(code, ""); err == nil {
				p.Errorf("Close(%d) was sent", int(code))
			}
		}
		if err := p.subject.Close(1000, strings.Repeat("x", 124)); err == nil {
			p.Error("a reason of 124 bytes was sent")
		}
		p.wantQuiet(rtt)
		done := begin(func() error { return p.subject.Close(1000, "not UTF-8: \xff") })
		p.want(shut(1000, "not UTF-8: \ufffd"))
		p.send(shut(1000, ""))
		if err := <-done; err != nil {
			p.Error(err)
		}
		p.wantEnd()
	}}})
}

package probe

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/weftws/weft/internal/h2/wire"
	"github.com/weftws/weft/internal/handshake"
	"github.com/weftws/weft/internal/simnet"
	"github.com/weftws/weft/negotiate"
)

const (
	fakeAddr = "10.0.0.2:443"
	fakeURL  = "wss://10.0.0.2/socket"
	rtt      = 100 * time.Millisecond
)

// A fake is a server whose every answer is set. %d in an answer is the stream.
type fake struct {
	alpn     []string // nil: h2, http/1.1
	settings string   // nil: no parameters; "none": no SETTINGS frame
	connect  string   // to an Extended CONNECT; "": nothing
	early    string   // to DATA that is sent with the CONNECT; "": what connect says
	idle     string   // to an unknown frame on a stream
	wsOpen   string   // to WS_OPEN; %x is the nonce
	deaf     bool     // it answers neither PING nor requests
	upgrade  string   // to an HTTP/1.1 Upgrade, instead of 101
	head     string   // fields of the response to HEAD over HTTP/1.1
	plain    bool     // without TLS
	serve    func(nc net.Conn)
}

const (
	yes    = "HEADERS stream=%d END_HEADERS\n  :status: 200\n"
	reset  = "RST_STREAM stream=%d PROTOCOL_ERROR\n"
	goAway = "GOAWAY last=0 PROTOCOL_ERROR\n" // and the connection is closed
	flag   = "ENABLE_CONNECT_PROTOCOL=1"
)

func status(code int) string {
	return "HEADERS stream=%d END_HEADERS END_STREAM\n  :status: " + fmt.Sprint(code) + "\n"
}

// inquire runs the probe against f, in fake time.
func inquire(t *testing.T, f fake, opt Options, check func(t *testing.T, r *Report, took time.Duration)) {
	t.Helper()
	simnet.Run(t, rtt, func(t *testing.T, n *simnet.Network) {
		cert, roots := simnet.Certificate("10.0.0.2")
		l := n.Listen(fakeAddr)
		go func() {
			for {
				nc, err := l.Accept()
				if err != nil {
					return
				}
				go f.accept(nc, cert)
			}
		}()
		opt.NetDial = n.DialContext
		opt.TLSConfig = &tls.Config{RootCAs: roots}
		url := fakeURL
		if f.plain {
			url = "ws://" + fakeAddr + "/socket"
		}
		start := time.Now()
		r, err := Run(t.Context(), url, opt)
		if err != nil {
			t.Fatal(err)
		}
		took := time.Since(start)
		if limit := time.Duration(len(rungs)+1) * DefaultTimeout; opt.Timeout == 0 && took > limit {
			t.Errorf("took %v, more than %v", took, limit)
		}
		for _, result := range r.Rungs {
			if result.Took > DefaultTimeout && opt.Timeout == 0 {
				t.Errorf("%s took %v", result.Rung, result.Took)
			}
		}
		check(t, r, took)
		if t.Failed() {
			for _, result := range r.Rungs {
				t.Logf("%s\n%s", result.Rung, strings.Join(result.Evidence, "\n"))
			}
		}
	})
}

func (f *fake) accept(nc net.Conn, cert tls.Certificate) {
	defer nc.Close()
	if f.serve != nil {
		f.serve(nc)
		return
	}
	nc.SetDeadline(time.Now().Add(time.Minute))
	alpn := "http/1.1"
	if !f.plain {
		protos := f.alpn
		if protos == nil {
			protos = []string{"h2", "http/1.1"}
		}
		tc := tls.Server(nc, &tls.Config{Certificates: []tls.Certificate{cert}, NextProtos: protos})
		if tc.Handshake() != nil {
			return
		}
		defer tc.Close()
		nc, alpn = tc, tc.ConnectionState().NegotiatedProtocol
	}
	if alpn == "http/1.1" || alpn == "" {
		f.serve1(nc)
		return
	}
	f.serve2(nc)
}

func (f *fake) serve1(nc net.Conn) {
	r := bufio.NewReader(nc)
	req, err := http.ReadRequest(r)
	switch {
	case err != nil:
		fmt.Fprint(nc, "HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n")
	case f.deaf:
		io.Copy(io.Discard, r)
	case req.Method == http.MethodHead:
		fmt.Fprintf(nc, "HTTP/1.1 200 OK\r\n%s\r\n", f.head)
	case f.upgrade != "":
		io.WriteString(nc, f.upgrade)
	default:
		fmt.Fprintf(nc, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n\r\n",
			handshake.AcceptKey(req.Header.Get("Sec-WebSocket-Key")))
		buf := make([]byte, 100)
		r.Read(buf)
		io.WriteString(nc, "\x8a\x04weft")
		r.Read(buf)
		io.WriteString(nc, "\x88\x02\x03\xe8")
		io.Copy(io.Discard, r)
	}
}

// serve2 answers frame by frame. It looks at the whole of what has arrived first, to see DATA that came early.
func (f *fake) serve2(nc net.Conn) {
	enc := wire.NewParser()
	printer := wire.NewPrinter()
	alive := true
	send := func(notation string, id uint32) {
		if strings.Contains(notation, "%d") {
			notation = strings.ReplaceAll(notation, "%d", fmt.Sprint(id))
		}
		b, err := enc.Append(nil, notation)
		if err != nil {
			panic(err)
		}
		nc.Write(b)
		if strings.HasPrefix(notation, "GOAWAY") {
			alive = false
		}
	}
	if f.settings != "none" {
		send("SETTINGS "+f.settings, 0)
	}
	var in []byte
	buf := make([]byte, 1<<15)
	open := map[uint32]int{} // DATA frames by open WebSocket
	for alive {
		n, err := nc.Read(buf)
		if err != nil {
			return
		}
		in = append(in, buf[:n]...)
		in = []byte(strings.TrimPrefix(string(in), wire.ClientPreface))
		for alive && len(in) >= wire.HeaderLen {
			h, _ := wire.ParseFrameHeader(in)
			size := wire.HeaderLen + int(h.Length)
			p := in[wire.HeaderLen:size]
			text := string(printer.Append(nil, in[:size]))
			in = in[size:]
			early := len(in) > 0 && wire.FrameType(in[3]) == wire.Data
			f.frame(h, p, text, early, open, send)
		}
	}
}

func (f *fake) frame(h wire.FrameHeader, p []byte, text string, early bool, open map[uint32]int, send func(string, uint32)) {
	switch h.Type {
	case wire.Settings:
		if !h.Flags.Has(wire.FlagAck) && f.settings != "none" {
			send("SETTINGS ACK", 0)
		}
	case wire.Ping:
		if !f.deaf {
			send(fmt.Sprintf("PING %x ACK", p), 0)
		}
	case wire.Headers:
		switch {
		case strings.Contains(text, ":method: CONNECT"):
			answer := f.connect
			if early && f.early != "" {
				answer = f.early
			}
			if answer != "" {
				send(answer, h.StreamID)
			}
			if strings.HasPrefix(answer, yes) {
				open[h.StreamID] = 0
			}
		case !f.deaf:
			send(status(204), h.StreamID)
		}
	case wire.Data:
		if _, ok := open[h.StreamID]; !ok || h.Length == 0 {
			return
		}
		if open[h.StreamID]++; open[h.StreamID] == 1 {
			send(`DATA stream=%d len=6 "\x8a\x04weft"`, h.StreamID)
		} else {
			send(`DATA stream=%d len=4 "\x88\x02\x03\xe8" END_STREAM`, h.StreamID)
		}
	case wire.WSOpen:
		if head, _, err := wire.ParseWSOpen(p); err == nil && f.wsOpen != "" {
			send(strings.ReplaceAll(f.wsOpen, "%x", fmt.Sprintf("%x", head.Nonce)), head.StreamID)
			if strings.Contains(f.wsOpen, ":status: 200") {
				open[head.StreamID] = 0
			}
		}
	default:
		if h.StreamID != 0 && f.idle != "" && h.Type > wire.Continuation {
			send(f.idle, h.StreamID)
		}
	}
}

// want is one rung's verdict and its round trips.
type want struct {
	rung       negotiate.Rung
	verdict    Verdict
	roundTrips int
}

func wantResults(t *testing.T, r *Report, wants ...want) {
	t.Helper()
	for _, w := range wants {
		got := r.Result(w.rung)
		if got == nil {
			t.Errorf("%s: not asked", w.rung)
		} else if got.Verdict != w.verdict || got.RoundTrips != w.roundTrips {
			t.Errorf("%s: %s in %d round trips (%s); want %s in %d", w.rung, got.Verdict, got.RoundTrips, got.Reason, w.verdict, w.roundTrips)
		}
	}
}

package probe

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/weftws/weft/internal/handshake"
	"github.com/weftws/weft/internal/netdial"
	"github.com/weftws/weft/negotiate"
)

// askUpgrade opens a WebSocket as RFC 6455 has it.
func (p *prober) askUpgrade(x *exchange) {
	nc, err := x.dial("http/1.1")
	if err != nil {
		x.failed(err, "http/1.1")
		return
	}
	defer nc.Close()
	n, m := nonce(), nonce()
	key := handshake.NewKey([16]byte(append(n[:], m[:]...)))
	h := p.header.Clone()
	handshake.SetRequest(h, handshake.Offer{}, key) // checked before
	res, rest, err := x.roundTrip1(nc, http.MethodGet, p.requestURI(), h)
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		x.conclude(classSilent, "no answer to GET with Upgrade within %v", p.opt.Timeout)
		return
	case err != nil:
		x.conclude(classSilent, "connection ended before the answer: %v", err)
		return
	}
	p.saw(res.Header)
	if res.StatusCode != http.StatusSwitchingProtocols {
		x.conclude(ofStatus(res.StatusCode, negotiate.Upgrade), "server answered %s", statusWords(res.StatusCode))
		return
	}
	if _, err := handshake.CheckResponse(res.StatusCode, res.Header, handshake.Offer{}, key); err != nil {
		x.conclude(classHandshake, "%s: %v", statusWords(res.StatusCode), err)
		return
	}
	x.conclude(Open, "%s, Sec-WebSocket-Accept matches", statusWords(res.StatusCode))
	x.converse1(nc, rest)
}

// roundTrip1 sends an HTTP/1.1 request and reads the head of the response; rest is what came behind it.
func (x *exchange) roundTrip1(nc *netdial.Conn, method, target string, h http.Header) (res *http.Response, rest []byte, err error) {
	start := time.Now()
	defer func() { x.span("request", start, err == nil) }()
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s HTTP/1.1\r\nHost: %s\r\n", method, target, x.p.authority)
	for _, name := range slices.Sorted(maps.Keys(h)) {
		for _, v := range h[name] {
			fmt.Fprintf(&b, "%s: %s\r\n", name, v)
		}
	}
	b.WriteString("\r\n")
	x.note("-> ", strings.ReplaceAll(strings.TrimSuffix(b.String(), "\r\n\r\n"), "\r\n", "\n"))
	if _, err := io.WriteString(nc, b.String()); err != nil {
		return nil, nil, err
	}
	for {
		var head []byte
		if head, rest, err = readHead(nc, rest); err != nil {
			x.remark("%s", endWords(err))
			return nil, nil, err
		}
		x.note("<- ", strings.ReplaceAll(strings.TrimSuffix(string(head), "\r\n\r\n"), "\r\n", "\n"))
		res, err = http.ReadResponse(bufio.NewReader(bytes.NewReader(head)), &http.Request{Method: method})
		// 101 is the only one of its class that ends the request.
		if err != nil || res.StatusCode >= 200 || res.StatusCode == http.StatusSwitchingProtocols {
			break
		}
	}
	if err == nil {
		x.roundTrips++
	}
	return res, rest, err
}

// maxHead is the longest head of a response, in bytes.
const maxHead = 64 << 10

// readHead reads up to an empty line; b is what is there already.
func readHead(r io.Reader, b []byte) (head, rest []byte, err error) {
	b = slices.Clone(b)
	for {
		if i := bytes.Index(b, []byte("\r\n\r\n")); i >= 0 {
			return b[:i+4], b[i+4:], nil
		}
		if len(b) > maxHead {
			return nil, nil, fmt.Errorf("server sent a header of more than %d bytes", maxHead)
		}
		buf := make([]byte, 4096)
		n, err := r.Read(buf)
		b = append(b, buf[:n]...)
		if err != nil && n == 0 {
			return nil, nil, err
		}
	}
}

// converse1 is converse over a connection of its own.
func (x *exchange) converse1(nc *netdial.Conn, rest []byte) {
	t := &talk{}
	t.take(rest)
	total := 0
	wait := func(done func() bool) {
		start := time.Now()
		nc.SetReadDeadline(x.part(0.25))
		buf := make([]byte, 4096)
		for !done() && t.fault == "" && !t.closed && total < maxReceived {
			n, err := nc.Read(buf)
			t.take(buf[:n])
			total += n
			if err != nil {
				break
			}
		}
		x.span("check", start, done())
	}
	nc.Write(t.ping())
	wait(func() bool { return t.ponged })
	nc.Write(t.close())
	wait(func() bool { return t.closed })
	switch {
	case t.fault != "":
		x.result.Verdict, x.result.Reason = classHandshake, "server's first bytes are no WebSocket: "+t.fault
	case !t.ponged:
		x.add("no Pong came")
	default:
		x.remark("a Ping was answered by a Pong, Close by %s", map[bool]string{true: "Close", false: "nothing"}[t.closed])
	}
}

func (p *prober) requestURI() string { return p.url.RequestURI() }

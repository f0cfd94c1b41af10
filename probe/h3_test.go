package probe

import (
	"context"
	"crypto/tls"
	"encoding/binary"
	"io"
	"log"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/quic-go/quic-go"
	"golang.org/x/net/dns/dnsmessage"

	"github.com/weftws/weft"
	fake "github.com/weftws/weft/internal/fakeorigin"
	"github.com/weftws/weft/internal/h3"
	"github.com/weftws/weft/internal/simnet"
	"github.com/weftws/weft/negotiate"
	"github.com/weftws/weft/resolver"
)

// An h3Origin is a server of TCP that behaves as fake says, and what is on UDP.
type h3Origin struct {
	fake fake.Origin
	udp  string // the address of HTTP/3
	host string // of the URL; "": the address
	srv  *h3.Server
	raw  func(net.PacketConn, tls.Certificate) (close func()) // instead of srv
	net  simnet.UDP
	opt  Options
}

func (o h3Origin) inquire(t *testing.T, check func(t *testing.T, r *Report, h3 *Result)) {
	t.Helper()
	simnet.Run(t, rtt, func(t *testing.T, n *simnet.Network) {
		host := o.host
		if host == "" {
			host = "10.0.0.2"
		}
		cert, roots := simnet.Certificate(host)
		n.AddHost("example.com", "10.0.0.2")
		n.SetUDP("", o.net)
		defer fake.Start(n, fakeAddr, cert, &o.fake).Close()
		if o.udp == "" {
			o.udp = fakeAddr
		}
		pc := n.ListenPacket(o.udp)
		switch {
		case o.raw != nil:
			defer o.raw(pc, cert)()
		default:
			o.srv.TLSConfig = &tls.Config{Certificates: []tls.Certificate{cert}}
			served := make(chan error)
			go func() { served <- o.srv.Serve(pc) }()
			defer func() { o.srv.Close(); <-served }()
		}
		opt := o.opt
		opt.NetDial, opt.NetDialUDP, opt.TLSConfig = n.DialContext, n.DialUDP, &tls.Config{RootCAs: roots}
		r, err := Run(t.Context(), "wss://"+host+"/socket", opt)
		if err != nil {
			t.Fatal(err)
		}
		result := r.Result(negotiate.H3)
		check(t, r, result)
		if t.Failed() {
			t.Logf("%s\n%s\n%s", r.Advice, result.Reason, strings.Join(result.Evidence, "\n"))
		}
		time.Sleep(time.Minute) // closing takes QUIC its time
	})
}

var newOrigin = fake.Origin{Settings: fake.Flag, Connect: fake.Yes}

func h3Echo() *h3.Server {
	return &h3.Server{Handler: http.HandlerFunc(echo), ConnectProtocol: true}
}

func h3Status(status int) *h3.Server {
	return &h3.Server{ConnectProtocol: true, Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) })}
}

func TestH3(t *testing.T) {
	named := newOrigin
	named.Head = "Alt-Svc: h2=\":9\", h3=\":8443\"; ma=60\r\n"
	only := Options{Rungs: []negotiate.Rung{negotiate.H3}}
	for _, c := range []struct {
		name   string
		origin h3Origin
		want   want
		reason string
		advice []string
	}{
		{
			"open, not named", h3Origin{fake: newOrigin, srv: h3Echo()}, want{negotiate.H3, Open, 2}, "200 OK",
			[]string{"reached in 3 round trips, 1 once a connection is there; h3 would reach it in 2, if an Alt-Svc field"},
		},
		{
			"open, where Alt-Svc says", h3Origin{fake: named, udp: "10.0.0.2:8443", srv: h3Echo()}, want{negotiate.H3, Open, 2}, "200 OK",
			[]string{"h3 would reach it in 2, once its Alt-Svc is known"},
		},
		{"alone", h3Origin{fake: newOrigin, srv: h3Echo(), opt: only}, want{negotiate.H3, Open, 2}, "200 OK", []string{"reached in 2 round trips by h3 alone"}},
		{
			"off", h3Origin{fake: newOrigin, srv: &h3.Server{Handler: http.HandlerFunc(echo)}}, want{negotiate.H3, version, 1}, noFlag,
			[]string{"reached in 3", "its HTTP/3 opens no WebSocket: " + noFlag},
		},
		{
			"501", h3Origin{fake: newOrigin, srv: h3Status(501)}, want{negotiate.H3, version, 2}, "501 Not Implemented",
			[]string{"reached in 3", "its HTTP/3 opens no WebSocket: server answered 501"},
		},
		{"404", h3Origin{fake: newOrigin, srv: h3Status(404)}, want{negotiate.H3, "ambiguous", 2}, "404 Not Found although", []string{"its HTTP/3 opens no"}},
		{"421", h3Origin{fake: newOrigin, srv: h3Status(421)}, want{negotiate.H3, "misdirected", 2}, "421 Misdirected", nil},
		{"403", h3Origin{fake: newOrigin, srv: h3Status(403)}, want{negotiate.H3, "application", 2}, "403 Forbidden", nil},
		{
			"UDP is swallowed", h3Origin{fake: newOrigin, srv: h3Echo(), net: simnet.UDP{Block: true}}, want{negotiate.H3, silent, 0},
			"nothing answers on UDP 10.0.0.2:443", []string{"reached in 3 round trips, 1 once a connection is there"},
		},
		{
			"UDP is swallowed, and Alt-Svc says otherwise", h3Origin{fake: named, srv: h3Echo(), net: simnet.UDP{Block: true}}, want{negotiate.H3, silent, 0},
			"nothing answers on UDP 10.0.0.2:8443", []string{"its Alt-Svc names HTTP/3 at 10.0.0.2:8443: nothing answers"},
		},
		{
			"QUIC for something else", h3Origin{fake: newOrigin, raw: listenQUIC("doq", nil)}, want{negotiate.H3, version, 0}, "and not HTTP/3", nil,
		},
		{"no SETTINGS", h3Origin{fake: newOrigin, raw: listenQUIC("h3", hold)}, want{negotiate.H3, silent, 1}, "no SETTINGS", nil},
		{
			"no RFC 9220, and SETTINGS a flight later", h3Origin{fake: newOrigin, raw: listenQUIC("h3", lateSettings)}, want{negotiate.H3, version, 2}, noFlag,
			[]string{"reached in 3", "its HTTP/3 opens no WebSocket: " + noFlag},
		},
		{
			"closed over nothing", h3Origin{fake: newOrigin, raw: listenQUIC("h3", func(q *quic.Conn) { q.CloseWithError(0x110, "no") })},
			want{negotiate.H3, silent, 1}, "no SETTINGS from the server: peer closed the connection (H3_VERSION_FALLBACK", nil,
		},
		{"behind a proxy", h3Origin{fake: newOrigin, srv: h3Echo(), opt: Options{
			Rungs: []negotiate.Rung{negotiate.H3}, Proxy: &url.URL{Scheme: "http", Host: "10.0.0.9:80"},
		}}, want{negotiate.H3, NotAsked, 0}, "proxy", nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.origin.inquire(t, func(t *testing.T, r *Report, h3 *Result) {
				wantResults(t, r, c.want)
				if !strings.Contains(h3.Reason, c.reason) {
					t.Errorf("reason %q lacks %q", h3.Reason, c.reason)
				}
				for _, want := range c.advice {
					if !strings.Contains(r.Advice, want) {
						t.Errorf("advice %q lacks %q", r.Advice, want)
					}
				}
			})
		})
	}
}

// What goes over the wire is shown, and how long it took.
func TestH3Evidence(t *testing.T) {
	o := h3Origin{fake: newOrigin, srv: h3Echo(), opt: Options{
		Rungs: []negotiate.Rung{negotiate.H3}, Header: http.Header{"Authorization": {"Bearer hidden"}},
	}}
	o.inquire(t, func(t *testing.T, r *Report, h3 *Result) {
		text := strings.Join(h3.Evidence, "\n")
		for _, want := range []string{
			"# quic: 10.0.0.2:443, TLS 1.3, chose h3\n<- SETTINGS ",
			" ENABLE_CONNECT_PROTOCOL=1\n-> HEADERS stream=0\n->   :method: CONNECT\n->   :protocol: websocket\n->   :scheme: https\n->   :authority: 10.0.0.2\n->   :path: /socket\n->   authorization: (13 bytes)\n->   sec-websocket-version: 13\n",
			"\n<- HEADERS stream=0\n<-   :status: 200\n", "\n<- DATA stream=0 len=6 \"\\x8a\\x04weft\"\n",
		} {
			if !strings.Contains(text, want) {
				t.Errorf("evidence lacks %q", want)
			}
		}
		var names []string
		for _, s := range h3.Spans {
			names = append(names, s.Name)
			if s.End-s.Start != rtt || s.Failed {
				t.Errorf("%s took %v, failed %t; want a round trip", s.Name, s.End-s.Start, s.Failed)
			}
		}
		if got := strings.Join(names, " "); got != "quic request check check" {
			t.Errorf("spans %s", got)
		}
	})
}

// Nothing that is silent is waited for longer than is said.
func TestH3Silence(t *testing.T) {
	for name, c := range map[string]struct {
		head string
		want time.Duration
	}{
		"not named": {"", 400 * time.Millisecond},
		"named":     {"Alt-Svc: h3=\":443\", h3=\":444\"\r\n", time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			o := h3Origin{fake: newOrigin, srv: h3Echo(), net: simnet.UDP{Block: true}, opt: Options{Timeout: time.Second}}
			o.fake.Head = c.head
			o.inquire(t, func(t *testing.T, r *Report, h3 *Result) {
				if h3.Took != c.want || len(h3.Spans) != 1 || !h3.Spans[0].Failed {
					t.Errorf("took %v with %v, want %v in one wait that failed", h3.Took, h3.Spans, c.want)
				}
			})
		})
	}
}

// A server that is on UDP alone is reached.
func TestH3Only(t *testing.T) {
	simnet.Run(t, rtt, func(t *testing.T, n *simnet.Network) {
		cert, roots := simnet.Certificate("10.0.0.2")
		s := &weft.Server{Handler: http.HandlerFunc(echo), TLSConfig: &tls.Config{Certificates: []tls.Certificate{cert}}, ErrorLog: log.New(io.Discard, "", 0)}
		pc := n.ListenPacket(fakeAddr)
		served := make(chan error)
		go func() { served <- s.ServeQUIC(pc) }()
		r, err := Run(t.Context(), fakeURL, Options{NetDial: n.DialContext, NetDialUDP: n.DialUDP, TLSConfig: &tls.Config{RootCAs: roots}})
		if err != nil {
			t.Fatal(err)
		}
		wantResults(t, r, want{negotiate.Upgrade, "transport", 0}, want{negotiate.H3, Open, 2})
		if !r.Reached || r.TLS != "TLS 1.3" || r.Advice != "reached in 2 round trips by h3 alone; over TCP it is not: connecting to 10.0.0.2:443: dial tcp 10.0.0.2:443: connect: connection refused" {
			t.Errorf("reached %t by %q: %s", r.Reached, r.TLS, r.Advice)
		}
		s.Close()
		<-served
		time.Sleep(time.Minute)
	})
}

// An HTTPS record says where HTTP/3 is, if nothing else does.
func TestH3Record(t *testing.T) {
	record := func(alpn string) *resolver.Resolver {
		return &resolver.Resolver{Servers: []string{"10.0.0.53:53"}, Dial: func(context.Context, string, string) (net.Conn, error) {
			ours, theirs := net.Pipe()
			go serveRecord(theirs, alpn)
			return ours, nil
		}}
	}
	for name, c := range map[string]struct {
		alpn string
		want want
		say  string
	}{
		"h3":          {"h3", want{negotiate.H3, Open, 2}, "# HTTPS record names h3 at example.com:8443"},
		"another one": {"h2", want{negotiate.H3, silent, 0}, "# HTTPS record: none for h3"},
	} {
		t.Run(name, func(t *testing.T) {
			o := h3Origin{fake: newOrigin, udp: "10.0.0.2:8443", host: "example.com", srv: h3Echo(), opt: Options{Resolver: record(c.alpn)}}
			o.inquire(t, func(t *testing.T, r *Report, h3 *Result) {
				wantResults(t, r, c.want)
				if text := strings.Join(h3.Evidence, "\n"); !strings.Contains(text, c.say) {
					t.Errorf("evidence lacks %q", c.say)
				}
				if said := strings.Contains(r.Advice, "h3 would reach it in 2, once its HTTPS record is known"); said != (c.want.verdict == Open) {
					t.Errorf("advice %q", r.Advice)
				}
			})
		})
	}
}

// serveRecord answers one query: an HTTPS record for the same name, port 8443.
func serveRecord(nc net.Conn, alpn string) {
	defer nc.Close()
	query := make([]byte, 512)
	n, err := nc.Read(query)
	if err != nil {
		return
	}
	var m dnsmessage.Message
	if m.Unpack(query[:n]) != nil {
		return
	}
	const keyALPN, keyPort = 1, 3
	m.Response, m.Additionals = true, nil
	m.Answers = []dnsmessage.Resource{{
		Header: dnsmessage.ResourceHeader{Name: m.Questions[0].Name, Class: dnsmessage.ClassINET, TTL: 60},
		Body: &dnsmessage.HTTPSResource{SVCBResource: dnsmessage.SVCBResource{Priority: 1, Target: dnsmessage.MustNewName("."), Params: []dnsmessage.SVCParam{
			{Key: keyALPN, Value: append([]byte{byte(len(alpn))}, alpn...)},
			{Key: keyPort, Value: binary.BigEndian.AppendUint16(nil, 8443)},
		}}},
	}}
	b, err := m.Pack()
	if err == nil {
		nc.Write(b)
	}
}

// listenQUIC is a server that speaks no HTTP/3 by itself.
func listenQUIC(alpn string, serve func(*quic.Conn)) func(net.PacketConn, tls.Certificate) func() {
	return func(pc net.PacketConn, cert tls.Certificate) func() {
		tr := &quic.Transport{Conn: pc}
		ln, err := tr.Listen(&tls.Config{Certificates: []tls.Certificate{cert}, NextProtos: []string{alpn}}, nil)
		if err != nil {
			panic(err)
		}
		go func() {
			for {
				q, err := ln.Accept(context.Background())
				if err != nil {
					return
				}
				serve(q)
			}
		}()
		return func() { ln.Close(); tr.Close(); pc.Close() }
	}
}

func hold(*quic.Conn) {}

func lateSettings(q *quic.Conn) {
	<-q.HandshakeComplete()
	if s, err := q.OpenUniStream(); err == nil {
		s.Write([]byte{0x00, 0x04, 0x00}) // a control stream, SETTINGS without any
	}
}

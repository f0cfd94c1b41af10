package interop

import (
	"bufio"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/gobwas/ws"
	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"

	"github.com/weftws/weft"
)

// quic-go by hand as the client: an Extended CONNECT, and gobwas's frames on its stream.
func TestQUICGoClient(t *testing.T) {
	cert := newCertificate(t)
	srv := startWeftHTTP3(t, cert, nil)
	cc := dialQUICGo(t, cert, srv.port)
	k := talk{
		dial: func(t *testing.T, url string, o offer) socket {
			t.Helper()
			st, resp, err := connectQUICGo(t, cc, url, o)
			if err != nil || resp.StatusCode != http.StatusOK {
				t.Fatalf("CONNECT: %v, %v", resp, err)
			}
			return gobwasOn(t, quicGoConn{st, cc.LocalAddr(), cc.RemoteAddr()}, resp.Header.Get("Sec-Websocket-Protocol"), ws.StateClientSide)
		},
		url: fmt.Sprintf("wss://127.0.0.1:%d", srv.port), server: srv.record, carried: "version=HTTP/3.0 conn=",
	}
	k.run(t)
	t.Run("refusal", func(t *testing.T) {
		_, resp, err := connectQUICGo(t, cc, k.url+"/echo?id=x", offer{}, "Sec-Websocket-Version", "12")
		if err != nil || resp.StatusCode != http.StatusBadRequest && resp.StatusCode != http.StatusUpgradeRequired {
			t.Errorf("a CONNECT of version 12: %v, %v", resp, err)
		}
	})
	t.Run("another protocol", func(t *testing.T) {
		st, err := cc.OpenRequestStream(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		req := connectRequest(t, k.url+"/echo")
		req.Proto = "connect-udp"
		if err := st.SendRequestHeader(req); err != nil {
			t.Fatal(err)
		}
		if resp, err := st.ReadResponse(); err != nil || resp.StatusCode != http.StatusNotImplemented {
			t.Errorf("%v, %v; want 501", resp, err)
		}
	})
}

func dialQUICGo(t *testing.T, cert *certificate, port int) *http3.ClientConn {
	t.Helper()
	conn, err := quic.DialAddr(t.Context(), fmt.Sprintf("127.0.0.1:%d", port), &tls.Config{RootCAs: cert.roots, NextProtos: []string{http3.NextProtoH3}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.CloseWithError(0, "") })
	cc := new(http3.Transport).NewClientConn(conn)
	select {
	case <-cc.ReceivedSettings():
	case <-time.After(patience):
		t.Fatal("no SETTINGS")
	}
	if !cc.Settings().EnableExtendedConnect {
		t.Fatal("the server's SETTINGS do not have ENABLE_CONNECT_PROTOCOL")
	}
	return cc
}

func connectRequest(t *testing.T, rawURL string) *http.Request {
	t.Helper()
	u, err := url.Parse(strings.Replace(rawURL, "wss:", "https:", 1))
	if err != nil {
		t.Fatal(err)
	}
	return &http.Request{
		Method: http.MethodConnect, Proto: "websocket", ProtoMajor: 3, URL: u, Host: u.Host,
		Header: http.Header{"Sec-Websocket-Version": {"13"}},
	}
}

// connectQUICGo sends an Extended CONNECT. more are fields, names and values.
func connectQUICGo(t *testing.T, cc *http3.ClientConn, rawURL string, o offer, more ...string) (*http3.RequestStream, *http.Response, error) {
	t.Helper()
	req := connectRequest(t, rawURL)
	if len(o.subprotocols) > 0 {
		req.Header.Set("Sec-Websocket-Protocol", strings.Join(o.subprotocols, ", "))
	}
	for i := 0; i < len(more); i += 2 {
		req.Header.Set(more[i], more[i+1])
	}
	st, err := cc.OpenRequestStream(t.Context())
	if err != nil {
		return nil, nil, err
	}
	if err := st.SendRequestHeader(req); err != nil {
		return nil, nil, err
	}
	resp, err := st.ReadResponse()
	return st, resp, err
}

// gobwasOn is a WebSocket on a tunnel that is open.
func gobwasOn(t *testing.T, nc net.Conn, protocol string, side ws.State) *gobwasSocket {
	if t != nil {
		t.Cleanup(func() { nc.Close() })
	}
	return &gobwasSocket{c: nc, br: bufio.NewReader(nc), hs: ws.Handshake{Protocol: protocol}, side: side}
}

// A quicGoStream is a *http3.RequestStream or *http3.Stream.
type quicGoStream interface {
	io.ReadWriteCloser
	CancelRead(quic.StreamErrorCode)
	SetDeadline(time.Time) error
	SetReadDeadline(time.Time) error
	SetWriteDeadline(time.Time) error
}

// A quicGoConn is the stream as a net.Conn.
type quicGoConn struct {
	quicGoStream
	local, remote net.Addr
}

func (c quicGoConn) LocalAddr() net.Addr  { return c.local }
func (c quicGoConn) RemoteAddr() net.Addr { return c.remote }

// ---- As the server

// quic-go by hand as the server: its handler takes the stream, and gobwas's frames go on it.
func TestQUICGoServer(t *testing.T) {
	cert := newCertificate(t)
	rec := newRecord()
	l := library{name: "quic-go", accept: func(w http.ResponseWriter, r *http.Request, _ string) (socket, error) {
		if r.Method != http.MethodConnect || r.Proto != "websocket" || r.Header.Get("Sec-Websocket-Version") != "13" {
			w.WriteHeader(http.StatusBadRequest)
			return nil, fmt.Errorf("%s %s %v", r.Method, r.Proto, r.Header)
		}
		protocol := ""
		for _, p := range strings.Split(r.Header.Get("Sec-Websocket-Protocol"), ",") {
			if p = strings.TrimSpace(p); p == "first" || p == "second" {
				protocol = p
				w.Header().Set("Sec-Websocket-Protocol", p)
				break
			}
		}
		w.WriteHeader(http.StatusOK)
		st, err := w.(http3.HTTPStreamer).HTTPStream()
		if err != nil {
			return nil, err
		}
		return gobwasOn(nil, quicGoConn{st, nil, nil}, protocol, ws.StateServerSide), nil
	}}
	port := serveQUICGo(t, cert, l.echo(rec))
	k := talk{
		dial: dialWith(newDialer(t, cert, weft.H3), overHTTP3), url: fmt.Sprintf("wss://127.0.0.1:%d", port), server: rec, carried: "library=quic-go",
	}
	k.run(t)
	t.Run("ping", func(t *testing.T) { ping(t, dialWeft(t, newDialer(t, cert, weft.H3), k.url+"/echo?id=ping", offer{})) })
}

// weft.Accept and weft.Bridge in an http3.Server that knows nothing of weft.
func TestQUICGoServerWithWeft(t *testing.T) {
	cert := newCertificate(t)
	rec := newRecord()
	mux := http.NewServeMux()
	mux.Handle("/echo", weftEcho(rec, false))
	mux.Handle("/weft/echo", weft.Bridge(weftEcho(rec, false)))
	for _, l := range libraries {
		mux.Handle("/"+l.name+"/echo", weft.Bridge(l.echo(rec)))
	}
	url := fmt.Sprintf("wss://127.0.0.1:%d", serveQUICGo(t, cert, mux))
	weftModes := []string{"takeover", "no-takeover"}
	run := func(name, path, carried string, deflate []string, noFragments bool) {
		t.Run(name, func(t *testing.T) {
			k := talk{
				dial: dialWith(newDialer(t, cert, weft.H3), overHTTP3), url: url + path, server: rec,
				carried: carried, deflate: deflate, noFragments: noFragments,
			}
			k.run(t)
		})
	}
	run("Accept", "", "version=HTTP/3.0", weftModes, false)
	run("Accept in Bridge", "/weft", "version=HTTP/3.0", weftModes, false)
	for _, l := range libraries {
		run("Bridge of "+l.name, "/"+l.name, "library="+l.name, l.acceptDeflate, l.noFragments)
	}
	t.Run("refusal", func(t *testing.T) {
		_, resp, err := newDialer(t, cert, weft.H3).Dial(t.Context(), url+"/nothing", nil)
		if _, ok := errors.AsType[*weft.DialError](err); !ok || resp == nil || resp.StatusCode != http.StatusNotFound {
			t.Errorf("%v, %v; want the server's 404", resp, err)
		}
	})
}

// serveQUICGo serves h with quic-go and returns the UDP port.
func serveQUICGo(t *testing.T, cert *certificate, h http.Handler) int {
	t.Helper()
	pc, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &http3.Server{Handler: h, TLSConfig: &tls.Config{Certificates: []tls.Certificate{cert.Certificate}}}
	served := make(chan struct{})
	go func() {
		defer close(served)
		s.Serve(pc)
	}()
	t.Cleanup(func() {
		s.Close()
		pc.Close()
		<-served
	})
	return pc.LocalAddr().(*net.UDPAddr).Port
}

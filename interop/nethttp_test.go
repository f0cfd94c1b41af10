package interop

import (
	"crypto/tls"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"os/exec"
	"testing"

	"github.com/weftws/weft"
)

// weft.Accept in an http.Server that knows nothing of weft.
func TestNetHTTPServer1(t *testing.T) {
	cert := newCertificate(t)
	rec := newRecord()
	url := "wss://" + serveHTTP(t, weftEcho(rec, false), cert)
	k := talk{
		dial: dialWith(newDialer(t, cert), overHTTP1), url: url, server: rec,
		carried: "version=HTTP/1.1", deflate: []string{"takeover", "no-takeover"},
	}
	k.run(t)
}

// serveHTTP serves h with net/http over HTTP/1.1, with TLS if there is a certificate, and returns the address.
func serveHTTP(t *testing.T, h http.Handler, cert *certificate) string {
	t.Helper()
	s := &http.Server{Handler: h, ErrorLog: log.New(io.Discard, "", 0), Protocols: new(http.Protocols)}
	s.Protocols.SetHTTP1(true)
	l := listen(t)
	served := make(chan struct{})
	go func() {
		defer close(served)
		if cert != nil {
			s.TLSConfig = &tls.Config{Certificates: []tls.Certificate{cert.Certificate}}
			s.ServeTLS(l, "", "")
		} else {
			s.Serve(l)
		}
	}()
	t.Cleanup(func() {
		s.Close()
		<-served
	})
	return l.Addr().String()
}

// weft.Accept on net/http's own HTTP/2, which has Extended CONNECT where the process runs with GODEBUG=http2xconnect=1.
func TestNetHTTPServer2(t *testing.T) {
	cert := newCertificate(t)
	p, url := startNetHTTP(t, cert, "http2xconnect=1")
	k := talk{
		dial: dialWith(newDialer(t, cert), overHTTP2), url: url, server: p.record,
		carried: "version=HTTP/2.0", deflate: []string{"takeover", "no-takeover"},
	}
	k.run(t)
	t.Run("ends with the handler", func(t *testing.T) {
		s := dialWeft(t, newDialer(t, cert), url+"/return", offer{})
		exchange(t, s, true, []byte("while the handler runs"))
		if err := s.send(true, []byte("return")); err != nil {
			t.Fatal(err)
		}
		if _, _, err := s.receive(); weft.CloseStatus(err) != -1 || err == nil {
			t.Errorf("after the handler returned the client saw %v, want a lost connection", err)
		}
	})
}

// Without the GODEBUG setting net/http's HTTP/2 has no WebSockets: one more attempt over HTTP/1.1.
func TestNetHTTPServer2Without(t *testing.T) {
	cert := newCertificate(t)
	p, url := startNetHTTP(t, cert, "http2xconnect=0")
	k := talk{
		dial: dialWith(newDialer(t, cert), fallenToHTTP1), url: url, server: p.record, carried: "version=HTTP/1.1",
	}
	k.run(t)
}

const roleNetHTTP = "net/http"

// startNetHTTP runs this binary as an http.Server with the GODEBUG setting.
func startNetHTTP(t *testing.T, cert *certificate, godebug string) (p *peer, url string) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	port := freePort(t)
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), roleVariable+"="+roleNetHTTP, "GODEBUG="+godebug,
		fmt.Sprintf("ADDR=127.0.0.1:%d", port), "CERT="+cert.certFile, "KEY="+cert.keyFile)
	p = startCommand(t, cmd)
	p.wait(t, port)
	return p, fmt.Sprintf("wss://127.0.0.1:%d", port)
}

// serveNetHTTP is the process that startNetHTTP starts. Handlers stay until the WebSocket is over: they must.
func serveNetHTTP() int {
	mux := http.NewServeMux()
	rec := newRecordTo(os.Stdout)
	mux.Handle("/echo", weftEcho(rec, true))
	for _, l := range libraries {
		mux.Handle("/"+l.name+"/echo", weft.Bridge(l.echo(rec)))
	}
	mux.Handle("/weft/echo", weft.Bridge(weftEcho(rec, false)))
	mux.HandleFunc("/return", func(w http.ResponseWriter, r *http.Request) {
		c, err := weft.Accept(w, r, nil)
		if err != nil {
			return
		}
		for {
			typ, p, err := c.Read(r.Context())
			if err != nil || string(p) == "return" {
				return
			}
			c.Write(r.Context(), typ, p)
		}
	})
	err := http.ListenAndServeTLS(os.Getenv("ADDR"), os.Getenv("CERT"), os.Getenv("KEY"), mux)
	fmt.Fprintln(os.Stderr, err)
	return 1
}

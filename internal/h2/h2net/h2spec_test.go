package h2net

import (
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"testing"

	"github.com/weftws/weft/internal/h2"
	"github.com/weftws/weft/internal/simnet"
)

// TestH2Spec runs the h2spec conformance suite against the server, with and without TLS.
func TestH2Spec(t *testing.T) {
	path := os.Getenv("H2SPEC")
	if path == "" {
		t.Skip("the environment variable H2SPEC names no h2spec binary")
	}
	cert, _ := simnet.Certificate("127.0.0.1")
	for name, conf := range map[string]*tls.Config{
		"h2c": nil,
		"h2":  {Certificates: []tls.Certificate{cert}, NextProtos: []string{"h2"}},
	} {
		t.Run(name, func(t *testing.T) {
			ln, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			defer ln.Close()
			srv := &Server{Config: h2.Config{ConnectProtocol: true}}
			defer srv.Close()
			go serveListener(ln, conf, srv, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				io.Copy(io.Discard, r.Body)
				io.WriteString(w, "hello")
			}))
			args := []string{"-h", "127.0.0.1", "-p", strconv.Itoa(ln.Addr().(*net.TCPAddr).Port), "-o", "3"}
			if conf != nil {
				args = append(args, "-t", "-k")
			}
			if v := os.Getenv("H2SPEC_CASES"); v != "" {
				args = append([]string{v}, args...)
			}
			out, err := exec.Command(path, args...).CombinedOutput()
			if err != nil {
				t.Errorf("h2spec: %v\n%s", err, out)
			}
			m := regexp.MustCompile(`(\d+) tests, (\d+) passed, (\d+) skipped, (\d+) failed`).FindSubmatch(out)
			if m == nil {
				t.Fatalf("h2spec printed no summary:\n%s", out)
			}
			t.Logf("h2spec: %s", m[0])
			if string(m[1]) != string(m[2]) {
				t.Errorf("not all cases passed:\n%s", out)
			}
		})
	}
}

// serveListener serves what ln accepts, over TLS if conf is not nil.
func serveListener(ln net.Listener, conf *tls.Config, srv *Server, h http.Handler) {
	for {
		nc, err := ln.Accept()
		if err != nil {
			return
		}
		if conf != nil {
			nc = tls.Server(nc, conf)
		}
		go srv.ServeConn(nc, ConnOptions{Handler: h})
	}
}

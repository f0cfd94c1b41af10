package main

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/weftws/weft/internal/devcert"
)

func TestListenBoth(t *testing.T) {
	for _, addr := range []string{"127.0.0.1:0", "localhost:0"} {
		l, pc, err := listenBoth(addr)
		if err != nil {
			t.Fatal(err)
		}
		tcp, udp := l.Addr().(*net.TCPAddr), pc.LocalAddr().(*net.UDPAddr)
		if tcp.Port != udp.Port || !tcp.IP.Equal(udp.IP) {
			t.Errorf("%s: TCP on %v, UDP on %v; want the same", addr, tcp, udp)
		}
		l.Close()
		pc.Close()
	}
}

// A UDP port that is taken is an error that says so, and TCP is let go.
func TestUDPPortTaken(t *testing.T) {
	// Both ports are free, and then the UDP port is ours: another process may have the TCP port of any number.
	l, pc, err := listenBoth("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	defer pc.Close()
	addr := pc.LocalAddr().String()
	port := pc.LocalAddr().(*net.UDPAddr).Port
	u := up{addr: addr}
	_, err = u.listen()
	if want := fmt.Sprintf("--addr: HTTP/3 needs UDP port %d: ", port); err == nil || !strings.HasPrefix(err.Error(), want) || !strings.Contains(err.Error(), "--no-http3 does without") {
		t.Errorf("err = %v, want %q...", err, want)
	}
	u.noHTTP3 = true
	on, err := u.listen()
	if err != nil {
		t.Fatalf("the TCP port was not let go, or UDP is wanted: %v", err)
	}
	if on.quic != nil {
		t.Error("--no-http3 opens a UDP port")
	}
	on.close()
}

func TestAnnounce(t *testing.T) {
	on := &sockets{}
	var err error
	if on.secure, on.quic, err = listenBoth("127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	defer on.close()
	addr := on.secure.Addr().String()
	_, port, _ := net.SplitHostPort(addr)

	var b bytes.Buffer
	u := up{stdout: &b}
	u.announce(on, "cGlu")
	for _, want := range []string{
		"HTTP/1.1, HTTP/2 and HTTP/3 (UDP " + addr + ")", "weft cat wss://" + addr + "/echo --insecure --rungs h3",
		"--ignore-certificate-errors-spki-list=cGlu --enable-quic --origin-to-force-quic-on=localhost:" + port,
	} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("banner lacks %q:\n%s", want, b.String())
		}
	}
	b.Reset()
	u.json = true
	u.announce(on, "")
	var ready map[string]string
	if err := json.Unmarshal(b.Bytes(), &ready); err != nil || len(ready) != 2 || ready["tls"] != addr || ready["quic"] != addr {
		t.Errorf("%s, %v", b.String(), err)
	}
	b.Reset()
	u.announce(&sockets{secure: on.secure}, "")
	if strings.Contains(b.String(), "quic") {
		t.Errorf("without HTTP/3: %s", b.String())
	}
}

func TestKeyPin(t *testing.T) {
	cert, err := devcert.New(time.Now())
	if err != nil {
		t.Fatal(err)
	}
	spki, err := x509.MarshalPKIXPublicKey(&cert.PrivateKey.(*ecdsa.PrivateKey).PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(spki)
	want := base64.StdEncoding.EncodeToString(sum[:])
	for _, cfg := range []*tls.Config{
		{Certificates: []tls.Certificate{cert}},
		{GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return &cert, nil }},
	} {
		if got, err := keyPin(cfg); err != nil || got != want {
			t.Errorf("%q, %v; want %q", got, err, want)
		}
	}
	if _, err := keyPin(new(tls.Config)); err == nil {
		t.Error("a pin of nothing")
	}
}

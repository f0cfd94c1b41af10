package main

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"strconv"
)

// sockets are what up serves on.
type sockets struct {
	secure net.Listener
	quic   net.PacketConn // the UDP port of secure's number; nil: no HTTP/3
	plain  net.Listener   // nil: none
}

func (s *sockets) close() {
	for _, l := range []net.Listener{s.secure, s.plain} {
		if l != nil {
			l.Close()
		}
	}
	if s.quic != nil {
		s.quic.Close()
	}
}

// listen opens all that the flags ask for, or nothing.
func (u *up) listen() (s *sockets, err error) {
	s = &sockets{}
	if u.noHTTP3 {
		s.secure, err = listen("--addr", u.addr)
	} else {
		s.secure, s.quic, err = listenBoth(u.addr)
	}
	if err == nil && u.plain != "" {
		s.plain, err = listen("--plain", u.plain)
	}
	if err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

func listen(flag, addr string) (net.Listener, error) {
	if _, _, err := net.SplitHostPort(addr); err != nil {
		return nil, usagef("%s %q: want HOST:PORT, such as 127.0.0.1:8443", flag, addr)
	}
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", flag, err)
	}
	return l, nil
}

// pairAttempts is how many free TCP ports are tried until one is free for UDP too.
const pairAttempts = 20

// listenBoth opens a TCP and a UDP port of the same number.
func listenBoth(addr string) (net.Listener, net.PacketConn, error) {
	var first error
	for range pairAttempts {
		l, err := listen("--addr", addr)
		if err != nil {
			return nil, nil, err
		}
		host, port := udpAddr(l, addr)
		pc, err := net.ListenPacket("udp", net.JoinHostPort(host, port))
		if err == nil {
			return l, pc, nil
		}
		l.Close()
		if first == nil {
			first = fmt.Errorf("--addr: HTTP/3 needs UDP port %s: %w (--no-http3 does without)", port, err)
		}
		if _, asked, _ := net.SplitHostPort(addr); asked != "0" && asked != "" {
			break
		}
	}
	return nil, nil, first
}

// udpAddr is the host as it was asked for, and the port of l.
func udpAddr(l net.Listener, addr string) (host, port string) {
	host, _, _ = net.SplitHostPort(addr) // listen has checked it
	return host, strconv.Itoa(l.Addr().(*net.TCPAddr).Port)
}

// keyPin is the certificate's public key as Chromium's --ignore-certificate-errors-spki-list takes it.
func keyPin(cfg *tls.Config) (string, error) {
	cert := new(tls.Certificate)
	if len(cfg.Certificates) > 0 {
		cert = &cfg.Certificates[0]
	} else if cfg.GetCertificate != nil {
		var err error
		if cert, err = cfg.GetCertificate(new(tls.ClientHelloInfo)); err != nil {
			return "", err
		}
	}
	if len(cert.Certificate) == 0 {
		return "", errors.New("no certificate")
	}
	leaf, err := x509.ParseCertificate(cert.Certificate[0])
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(leaf.RawSubjectPublicKeyInfo)
	return base64.StdEncoding.EncodeToString(sum[:]), nil
}

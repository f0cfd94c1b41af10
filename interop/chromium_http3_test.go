package interop

import (
	"crypto/sha256"
	"crypto/tls"
	"encoding/base64"
	"fmt"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/weftws/weft"
)

// Chromium told to use QUIC. RFC 9220 is a feature of its that is off by default: without it the page comes over HTTP/3 and its
// WebSockets, for want of a connection of HTTP/2, over HTTP/1.1.
func TestChromiumHTTP3(t *testing.T) {
	cert := newCertificate(t)
	run := func(name string, feature bool, test func(t *testing.T, p *openedPage)) {
		t.Run(name, func(t *testing.T) {
			srv := startWeftHTTP3(t, cert, func(s *weft.Server) {
				servePage(s)
				recordHandshakes(s)
			})
			p := openPage(t, startChromium(t, quicFlags(cert, srv.port, feature)...), srv)
			p.wantVersion(t, "HTTP/3.0")
			test(t, p)
		})
	}
	run("with the feature", true, func(t *testing.T, p *openedPage) {
		p.converse(t, "HTTP/3.0")
		p.wantOneQUIC(t)
		if all := p.srv.record.lines("handshake"); len(all) != 1 {
			t.Errorf("it made other connections: %q", all)
		}
	})
	run("without the feature", false, func(t *testing.T, p *openedPage) { p.exchange(t, "HTTP/1.1") })
}

// Nobody forces QUIC: the first load comes over HTTP/2 and brings Alt-Svc. Without the feature the WebSockets stay there.
func TestChromiumAltSvc(t *testing.T) {
	cert := newCertificate(t)
	for _, c := range []struct {
		name, version string
		feature       bool
	}{{"with the feature", "HTTP/3.0", true}, {"without the feature", "HTTP/2.0", false}} {
		t.Run(c.name, func(t *testing.T) {
			srv := startWeftHTTP3(t, cert, func(s *weft.Server) {
				servePage(s)
				recordHandshakes(s)
			})
			// The port is nobody's: naming the host lets it have a certificate over QUIC that no public root has signed.
			p := openPage(t, startChromium(t, quicFlags(cert, 1, c.feature)...), srv)
			p.wantVersion(t, "HTTP/2.0")
			page := p.line
			p.loadByAltSvc(t)
			p.exchange(t, c.version)
			if c.feature {
				p.wantOneQUIC(t)
			} else {
				p.wantTogether(t, page)
			}
		})
	}
}

// recordHandshakes adds a line to the record for each connection, by TCP and by QUIC.
func recordHandshakes(s *weft.Server) {
	rec := s.ErrorLog.Writer()
	s.TLSConfig.GetConfigForClient = func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
		fmt.Fprintf(rec, "handshake alpn=%v\n", hello.SupportedProtos)
		return nil, nil
	}
}

// wantOneQUIC: there was one connection of QUIC, and the WebSockets are on it. Addresses do not tell: Chromium takes another port where
// it finds the path slow.
func (p *openedPage) wantOneQUIC(t *testing.T) {
	t.Helper()
	if made := p.srv.record.lines("handshake alpn=[h3]"); len(made) != 1 {
		t.Errorf("it made %d connections of QUIC", len(made))
	}
	p.wantOneConnection(t)
}

// loadByAltSvc loads the page until it comes over HTTP/3: browsers make the QUIC connection beside a load over HTTP/2.
func (p *openedPage) loadByAltSvc(t *testing.T) {
	t.Helper()
	for loads := 1; loads < 20 && !strings.Contains(p.line, "HTTP/3.0"); loads++ {
		p.load(t)
	}
	p.wantVersion(t, "HTTP/3.0")
}

// wantOneConnection: the WebSockets are on one.
func (p *openedPage) wantOneConnection(t *testing.T) {
	t.Helper()
	conns := make(map[string]bool)
	for _, line := range p.srv.record.lines("open id=") {
		conns[strings.Fields(line)[3]] = true
	}
	if len(conns) != 1 {
		t.Errorf("the WebSockets came on connections %v", conns)
	}
}

// quicFlags have Chromium use QUIC for localhost at the port, and elsewhere where it is offered. QUIC does not heed
// ignore-certificate-errors.
func quicFlags(cert *certificate, port int, webSockets bool) []chromedp.ExecAllocatorOption {
	feature := "disable-features"
	if webSockets {
		feature = "enable-features"
	}
	spki := sha256.Sum256(cert.Leaf.RawSubjectPublicKeyInfo)
	return []chromedp.ExecAllocatorOption{
		chromedp.Flag("enable-quic", true), chromedp.Flag("origin-to-force-quic-on", fmt.Sprintf("localhost:%d", port)),
		chromedp.Flag("ignore-certificate-errors-spki-list", base64.StdEncoding.EncodeToString(spki[:])),
		chromedp.Flag(feature, "EnableWebsocketsOverHttp3"),
	}
}

package interop

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net"
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
				recordTCP(s)
			})
			p := openPage(t, startChromium(t, quicFlags(cert, srv.port, feature)...), srv)
			p.wantVersion(t, "HTTP/3.0")
			test(t, p)
		})
	}
	run("with the feature", true, func(t *testing.T, p *openedPage) {
		p.converse(t, "HTTP/3.0")
		p.wantTogether(t, p.line)
		if tcp := p.srv.record.lines("tcp connection"); len(tcp) > 0 {
			t.Errorf("it made TCP connections: %q", tcp)
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
			srv := startWeftHTTP3(t, cert, servePage)
			// The port is nobody's: naming the host lets it have a certificate over QUIC that no public root has signed.
			p := openPage(t, startChromium(t, quicFlags(cert, 1, c.feature)...), srv)
			p.wantVersion(t, "HTTP/2.0")
			page := p.line
			// It makes the QUIC connection beside a load over HTTP/2.
			for loads := 1; loads < 20 && !strings.Contains(p.line, "HTTP/3.0"); loads++ {
				p.load(t)
			}
			p.wantVersion(t, "HTTP/3.0")
			if c.feature {
				page = p.line
			}
			p.exchange(t, c.version)
			p.wantTogether(t, page)
		})
	}
}

// recordTCP adds a line to the record for each TCP connection.
func recordTCP(s *weft.Server) {
	rec := s.ErrorLog.Writer()
	s.ConnContext = func(ctx context.Context, c net.Conn) context.Context {
		fmt.Fprintf(rec, "tcp connection from %s\n", c.RemoteAddr())
		return ctx
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

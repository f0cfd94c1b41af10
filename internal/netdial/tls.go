package netdial

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/weftws/weft/negotiate"
)

// handshake makes a TLS client of nc. It closes nc when it fails.
func (a *attempt) handshake(ctx context.Context, nc net.Conn, addr string, alpn []string) (*tls.Conn, error) {
	cfg := a.d.TLSConfig.Clone()
	if cfg == nil {
		cfg = new(tls.Config)
	}
	cfg.NextProtos = alpn
	switch {
	case addr != a.target.Addr: // a proxy
		cfg.ServerName = hostOf(addr)
	case cfg.ServerName == "" && a.target.ServerName != "":
		cfg.ServerName = a.target.ServerName
	case cfg.ServerName == "":
		cfg.ServerName = hostOf(addr)
	}
	start := time.Now()
	tc := tls.Client(nc, cfg)
	if err := tc.HandshakeContext(ctx); err != nil {
		nc.Close()
		doing := "TLS handshake with " + addr
		if len(alpn) > 0 {
			doing += ", offering " + strings.Join(alpn, ", ")
		}
		if _, ok := errors.AsType[tls.RecordHeaderError](err); ok {
			err = fmt.Errorf("server does not speak TLS there: %w", err)
		}
		failed := fail(ctx, tlsStep(err), addr, doing, err)
		a.step(negotiate.StepTLS, start, "", failed)
		return nil, failed
	}
	state := tc.ConnectionState()
	a.roundTrips += handshakeCost(&state)
	a.step(negotiate.StepTLS, start, describe(&state), nil)
	return tc, nil
}

// handshakeCost is the round trips of a client's handshake. RFC 8446, Sections 2 and 4.1.4; RFC 5246, Section 7.3.
func handshakeCost(s *tls.ConnectionState) int {
	n := 1
	if s.Version < tls.VersionTLS13 && !s.DidResume || s.HelloRetryRequest {
		n++
	}
	return n
}

func describe(s *tls.ConnectionState) string {
	d := tls.VersionName(s.Version)
	if s.NegotiatedProtocol != "" {
		d += ", ALPN " + s.NegotiatedProtocol
	} else {
		d += ", no ALPN"
	}
	if s.DidResume {
		d += ", resumed"
	}
	return d
}

// hostOf is the host of host:port, as TLS wants it. A name's final dot is not part of it (RFC 6066, Section 3).
func hostOf(addr string) string {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		host = addr
	}
	return strings.TrimSuffix(host, ".")
}

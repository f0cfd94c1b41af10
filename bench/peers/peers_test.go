package peers_test

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/weftws/weft/internal/devcert"

	"github.com/weftws/weft/bench/load"
	"github.com/weftws/weft/bench/peers"
)

// The standard library reads this switch of GODEBUG's once, before main, and knows no other way to set it.
func TestMain(m *testing.M) {
	const xconnect = "http2xconnect=1"
	if g := os.Getenv("GODEBUG"); !strings.Contains(g, xconnect) {
		os.Setenv("GODEBUG", strings.Trim(g+","+xconnect, ","))
		exe, err := os.Executable()
		if err == nil {
			err = syscall.Exec(exe, os.Args, os.Environ())
		}
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// Every peer answers what the benchmark sends it, and the load accepts the answers. Node is measured in a process of its own
// only.
func TestPeersEcho(t *testing.T) {
	specs := []load.Spec{
		{Proto: load.H2, TLS: true, Conns: 2, Streams: 50, InFlight: 16, Size: 125},
		{Proto: load.H2, TLS: true, Conns: 1, Streams: 3, InFlight: 2, Size: 1 << 20},
		{Proto: load.H2, Conns: 1, Streams: 3, InFlight: 2, Size: 64 << 10},
		{Proto: load.H1, TLS: true, Conns: 10, Streams: 1, InFlight: 16, Size: 125},
		{Proto: load.H1, TLS: true, Conns: 2, Streams: 1, InFlight: 2, Size: 1 << 20},
		{Proto: load.H1, Conns: 2, Streams: 1, InFlight: 1, Size: 64 << 10},
		{Proto: load.Raw, TLS: true, Conns: 2, Streams: 10, InFlight: 16, Size: 125},
		{Proto: load.Raw, Conns: 1, Streams: 3, InFlight: 1, Size: 1 << 20},
	}
	for _, p := range peers.All {
		for _, s := range specs {
			if p.Serve == nil || !p.Serves(s.Proto, s.TLS) {
				continue
			}
			t.Run(fmt.Sprintf("%s/%+v", p.Name, s), func(t *testing.T) {
				count := 40
				if s.Size > 1<<10 {
					count = 4
				}
				f := open(t, p, s)
				for range 2 { // a fleet can be used again
					n, err := f.Echo(load.Limit{Count: count})
					if err != nil {
						t.Fatal(err)
					}
					want := int64(s.WebSockets() * count)
					if s.Proto == load.Raw {
						want = int64(s.Conns * count)
					}
					if n != want {
						t.Errorf("%d echoes, want %d", n, want)
					}
				}
			})
		}
	}
}

func TestPeersOpenAndClose(t *testing.T) {
	const count = 20
	for _, p := range peers.All {
		for _, s := range []load.Spec{
			{Proto: load.H2, TLS: true, Conns: 1, Streams: 8},
			{Proto: load.H1, TLS: true, Conns: 2},
		} {
			if p.Serve == nil || !p.Serves(s.Proto, s.TLS) {
				continue
			}
			t.Run(p.Name+"/"+string(s.Proto), func(t *testing.T) {
				n, err := open(t, p, s).Churn(load.Limit{Count: count})
				if err != nil {
					t.Fatal(err)
				}
				if want := int64(s.Conns * count); n != want {
					t.Errorf("%d openings, want %d", n, want)
				}
			})
		}
	}
}

func open(t *testing.T, p *peers.Peer, s load.Spec) *load.Fleet {
	t.Helper()
	o := peers.Options{Proto: s.Proto}
	target := load.Target{}
	if s.TLS {
		cert, err := devcert.New(time.Now())
		if err != nil {
			t.Fatal(err)
		}
		o.TLS = &tls.Config{Certificates: []tls.Certificate{cert}}
		target.Roots = x509.NewCertPool()
		target.Roots.AddCert(cert.Leaf)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	target.Addr = l.Addr().String()
	go p.Serve(l, o)
	f, err := load.Open(t.Context(), target, s)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(f.Close)
	return f
}

package peers_test

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"os"
	"runtime"
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
		{Proto: load.H3, TLS: true, Conns: 2, Streams: 50, InFlight: 16, Size: 125},
		{Proto: load.H3, TLS: true, Conns: 1, Streams: 3, InFlight: 2, Size: 64 << 10},
		{Proto: load.H2, TLS: true, Conns: 2, Streams: 50, InFlight: 16, Size: 125},
		{Proto: load.H2, TLS: true, Conns: 1, Streams: 3, InFlight: 2, Size: 1 << 20},
		{Proto: load.H2, Conns: 1, Streams: 3, InFlight: 2, Size: 64 << 10},
		{Proto: load.H1, TLS: true, Conns: 10, Streams: 1, InFlight: 16, Size: 125},
		{Proto: load.H1, TLS: true, Conns: 2, Streams: 1, InFlight: 2, Size: 1 << 20},
		{Proto: load.H1, Conns: 2, Streams: 1, InFlight: 1, Size: 64 << 10},
		{Proto: load.H2, TLS: true, Conns: 2, Streams: 3, InFlight: 2, Size: 1000, Deflate: true},
		{Proto: load.H1, Conns: 3, Streams: 1, InFlight: 2, Size: 1000, Deflate: true},
		{Proto: load.Raw, TLS: true, Conns: 2, Streams: 10, InFlight: 16, Size: 125},
		{Proto: load.Raw, Conns: 1, Streams: 3, InFlight: 1, Size: 1 << 20},
	}
	for _, p := range peers.All {
		for _, s := range specs {
			if p.Serve == nil || p.Broadcast || p.Deflate != s.Deflate || !p.Serves(s.Proto, s.TLS) {
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
			if p.Serve == nil || p.Broadcast || p.Deflate || !p.Serves(s.Proto, s.TLS) {
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

// Everybody hears everything once.
func TestPeersBroadcast(t *testing.T) {
	const count = 20
	for _, p := range peers.All {
		for _, s := range []load.Spec{
			{Proto: load.H2, TLS: true, Conns: 3, Streams: 8, InFlight: 1, Size: 125},
			{Proto: load.H1, TLS: true, Conns: 5, Streams: 1, InFlight: 1, Size: 125},
		} {
			if !p.Broadcast || !p.Serves(s.Proto, s.TLS) {
				continue
			}
			t.Run(p.Name+"/"+string(s.Proto), func(t *testing.T) {
				room := new(peers.Room)
				target := serve(t, p, s, room)
				one := s
				one.Conns, one.Streams = 1, 1
				speaker, audience := connect(t, target, one), connect(t, target, s)
				all := int64(1 + s.WebSockets())
				for room.Members.Load() < all {
					runtime.Gosched()
				}
				n, err := audience.Broadcast(speaker, load.Limit{Count: count})
				if err != nil || n != count*all {
					t.Errorf("%d deliveries, error %v, want %d", n, err, count*all)
				}
			})
		}
	}
}

// Every client opens WebSockets and has its messages echoed.
func TestClients(t *testing.T) {
	for _, p := range peers.All {
		if p.Client == nil {
			continue
		}
		t.Run(p.Name, func(t *testing.T) {
			target := serve(t, peers.Named("weft-callbacks"), load.Spec{Proto: p.Protos[0], TLS: true}, nil)
			dial := p.Client(target.Addr, &tls.Config{RootCAs: target.Roots, ServerName: "localhost"})
			for range 5 {
				if _, err := dial(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}

// Both ways to measure time get an echo for every message, in a plausible time.
func TestPeersLatency(t *testing.T) {
	for _, s := range []load.Spec{
		{Proto: load.H3, TLS: true, Conns: 1, Streams: 1, InFlight: 1, Size: 125},
		{Proto: load.H2, TLS: true, Conns: 1, Streams: 1, InFlight: 1, Size: 125},
		{Proto: load.H2, TLS: true, Conns: 2, Streams: 7, InFlight: 1, Size: 125},
		{Proto: load.H1, TLS: true, Conns: 13, Streams: 1, InFlight: 1, Size: 125},
	} {
		t.Run(fmt.Sprintf("%+v", s), func(t *testing.T) {
			f := open(t, peers.Named("weft-callbacks"), s)
			h := load.NewLatencies()
			n, err := int64(0), error(nil)
			if s.WebSockets() == 1 {
				n, err = f.PingPong(load.Limit{Count: 50}, h)
			} else {
				n, err = f.Paced(load.Limit{For: 50 * time.Millisecond}, 1000, h)
			}
			if err != nil || n != 50 || h.TotalCount() != 50 {
				t.Fatalf("%d echoes, %d recorded, error %v, want 50", n, h.TotalCount(), err)
			}
			if least := time.Duration(h.Min()); least < time.Microsecond {
				t.Errorf("an echo came after %v", least)
			}
		})
	}
}

func open(t *testing.T, p *peers.Peer, s load.Spec) *load.Fleet {
	t.Helper()
	return connect(t, serve(t, p, s, nil), s)
}

// serve runs p's server and returns where it is.
func serve(t *testing.T, p *peers.Peer, s load.Spec, room *peers.Room) load.Target {
	t.Helper()
	o := peers.Options{Proto: s.Proto, Room: room}
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
	if s.Proto == load.H3 {
		pc, err := net.ListenPacket("udp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { pc.Close() })
		o.Packets, target.Addr = pc, pc.LocalAddr().String()
		go p.Serve(nil, o)
		return target
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	target.Addr = l.Addr().String()
	go p.Serve(l, o)
	return target
}

func connect(t *testing.T, target load.Target, s load.Spec) *load.Fleet {
	t.Helper()
	f, err := load.Open(t.Context(), target, s)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(f.Close)
	return f
}

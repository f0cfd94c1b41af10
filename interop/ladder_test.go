package interop

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/weftws/weft"
)

// netDial returns d's connection to the host of rawURL, on which a library makes its opening handshake.
func netDial(ctx context.Context, d *weft.Dialer, rawURL string) (net.Conn, error) {
	u, err := url.Parse(rawURL)
	if err != nil {
		return nil, err
	}
	if u.Scheme == "wss" {
		return d.NetDialTLSContext(ctx, "tcp", u.Host)
	}
	return d.NetDialContext(ctx, "tcp", u.Host)
}

// Clients made with other libraries, unmodified, take weft's ladder to a weft server.
func TestLibraryClientsOnTheLadder(t *testing.T) {
	cert := newCertificate(t)
	srv := startWeft(t, cert, nil)
	quic := startWeftHTTP3(t, cert, nil)
	plain := startWeft(t, nil, nil)
	for _, l := range libraries {
		for _, c := range []struct {
			name, url, carried string
			server             *weftServer
			rungs              []weft.Rung
		}{
			{"HTTP3", fmt.Sprintf("wss://127.0.0.1:%d", quic.port), "version=HTTP/3.0", quic, []weft.Rung{weft.H3}},
			{"HTTP2", fmt.Sprintf("wss://127.0.0.1:%d", srv.port), "version=HTTP/2.0", srv, nil},
			{"HTTP1", fmt.Sprintf("wss://127.0.0.1:%d", srv.port), "version=HTTP/1.1", srv, []weft.Rung{weft.Upgrade}},
			{"plain", fmt.Sprintf("ws://127.0.0.1:%d", plain.port), "version=HTTP/1.1", plain, nil},
		} {
			t.Run(l.name+"/"+c.name, func(t *testing.T) {
				k := talk{
					dial: l.by(newDialer(t, cert, c.rungs...)), url: c.url, server: c.server.record, carried: c.carried, deflate: l.dialDeflate,
				}
				k.run(t)
			})
		}
	}
}

// Many WebSockets of each library share one connection of HTTP/2 or HTTP/3, and every one works.
func TestLibraryClientsShare(t *testing.T) { overEach(t, libraryClientsShare) }

func libraryClientsShare(t *testing.T, v version) {
	const n = 200
	cert := newCertificate(t)
	for _, l := range libraries {
		t.Run(l.name, func(t *testing.T) {
			srv := v.start(t, cert, nil)
			k := talk{
				dial: l.by(v.dialer(t, cert)), url: fmt.Sprintf("wss://127.0.0.1:%d", srv.port), server: srv.record, carried: "version=" + v.want.version,
			}
			sockets := make([]socket, n)
			ids := make([]string, n)
			each := func(f func(i int)) { eachOf(t, n, f) }
			each(func(i int) { sockets[i], ids[i] = k.open(t, offer{}, "api=callbacks") })
			// All are open at the same time; each has its own messages.
			for round := range 3 {
				each(func(i int) {
					exchange(t, sockets[i], round%2 == 0, fmt.Appendf(nil, "round %d of socket %d", round, i))
				})
			}
			conns := make(map[string]int)
			for _, line := range srv.record.lines("open id=") {
				conns[strings.Fields(line)[3]]++
			}
			t.Logf("%d WebSockets on connections %v", n, conns)
			if len(conns) > 2 {
				t.Errorf("%d connections carry them", len(conns))
			}
			each(func(i int) { k.clientCloses(t, sockets[i], ids[i], 1000, "done") })
		})
	}
}

// The same with weft up, whose lines tell the connections.
func TestLibraryClientsOnUp(t *testing.T) {
	const n = 200
	command := buildWeft(t)
	for _, l := range libraries {
		t.Run(l.name, func(t *testing.T) {
			_, p, port := startUp(t, command)
			d := &weft.Dialer{TLSConfig: &tls.Config{InsecureSkipVerify: true}} // the certificate is the command's own
			t.Cleanup(func() { d.Close() })
			dial := l.by(d)
			sockets := make([]socket, n)
			eachOf(t, n, func(i int) { sockets[i] = dial(t, "wss://127.0.0.1:"+port+"/echo", offer{}) })
			eachOf(t, n, func(i int) { exchange(t, sockets[i], true, fmt.Appendf(nil, "socket %d", i)) })
			conns := make(map[string]int)
			for _, line := range p.record.lines("open  /echo HTTP/2.0 ") {
				conns[regexp.MustCompile(`conn=\d+`).FindString(line)]++
			}
			t.Logf("%d WebSockets on connections %v", n, conns)
			total := 0
			for _, k := range conns {
				total += k
			}
			if total != n || len(conns) > 2 {
				t.Errorf("HTTP/2 carries %d of %d WebSockets, on %d connections", total, n, len(conns))
			}
			eachOf(t, n, func(i int) {
				if err := sockets[i].close(1000, "done"); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

// eachOf runs f for 0 to n-1, all at once.
func eachOf(t *testing.T, n int, f func(i int)) {
	t.Helper()
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() { f(i) })
	}
	wg.Wait()
	if t.Failed() {
		t.FailNow()
	}
}

// A server whose HTTP/2 has no WebSockets gets the libraries' Upgrade by HTTP/1.1.
func TestLibraryClientsFallBack(t *testing.T) {
	path := program(t, "nginx", "nginx-light")
	cert := newCertificate(t)
	behind := startWeft(t, nil, nil)
	port := freePort(t)
	conf := configure(t, "nginx.conf", map[string]any{"Port": port, "Cert": cert.certFile, "Key": cert.keyFile, "Behind": behind.port})
	start(t, path, "-e", "stderr", "-c", conf).wait(t, port)
	for _, l := range libraries {
		t.Run(l.name, func(t *testing.T) {
			d := newDialer(t, cert)
			var assumed, upgraded atomic.Int32
			d.Trace = func(ev weft.TraceEvent) {
				switch {
				case strings.HasPrefix(ev.Detail, "send-connect"):
					assumed.Add(1)
				case strings.HasPrefix(ev.Detail, "send-upgrade"):
					upgraded.Add(1)
				}
			}
			k := talk{
				dial: l.by(d), url: fmt.Sprintf("wss://127.0.0.1:%d", port), server: behind.record, carried: "version=HTTP/1.1", deflate: l.dialDeflate,
			}
			k.run(t)
			if assumed.Load() != 1 || upgraded.Load() < 5 {
				t.Errorf("%d Extended CONNECTs and %d Upgrades were sent", assumed.Load(), upgraded.Load())
			}
		})
	}
}

package interop

import (
	"fmt"
	"testing"
)

// HAProxy translates between versions: each side of it is another HTTP.
func TestHAProxy(t *testing.T) {
	haproxy := program(t, "haproxy", "haproxy")
	cert := newCertificate(t)
	secure, plain := startWeft(t, cert, nil), startWeft(t, nil, nil)
	ports := map[string]any{
		"H2ToH1": freePort(t), "H2ToH2": freePort(t), "H1ToH2": freePort(t),
		"Plain": plain.port, "TLS": secure.port, "Both": cert.both,
	}
	p := start(t, haproxy, "-db", "-f", configure(t, "haproxy.cfg", ports))
	p.wait(t, ports["H2ToH1"].(int))
	for _, c := range []struct {
		front   string
		want    carriage
		behind  *weftServer
		carried string
	}{
		{"H2ToH1", overHTTP2, plain, "version=HTTP/1.1"},
		{"H2ToH2", overHTTP2, secure, "version=HTTP/2.0"},
		{"H1ToH2", overHTTP1, secure, "version=HTTP/2.0"},
	} {
		t.Run(c.front, func(t *testing.T) {
			k := talk{
				dial: dialWith(newDialer(t, cert), c.want), url: fmt.Sprintf("wss://127.0.0.1:%d", ports[c.front]),
				server: c.behind.record, carried: c.carried, deflate: []string{"takeover", "no-takeover"},
			}
			k.run(t)
		})
	}
}

package interop

import (
	"fmt"
	"testing"
)

// lighttpd takes an Extended CONNECT, here without TLS, and sends an Upgrade to what is behind it.
func TestLighttpd(t *testing.T) {
	lighttpd := program(t, "lighttpd", "lighttpd")
	behind := startWeft(t, nil, nil)
	port := freePort(t)
	conf := configure(t, "lighttpd.conf", map[string]any{"Port": port, "Behind": behind.port})
	start(t, lighttpd, "-D", "-f", conf).wait(t, port)
	d := newDialer(t, newCertificate(t))
	d.PriorKnowledge = true
	k := talk{
		dial: dialWith(d, overHTTP2), url: fmt.Sprintf("ws://127.0.0.1:%d", port),
		server: behind.record, carried: "version=HTTP/1.1", deflate: []string{"takeover", "no-takeover"},
	}
	k.run(t)
}

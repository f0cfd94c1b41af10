package interop

import (
	"fmt"
	"testing"
)

// nginx has no WebSockets on HTTP/2: the client finds out by its SETTINGS and takes HTTP/1.1.
func TestNginx(t *testing.T) {
	nginx := program(t, "nginx", "nginx-light")
	cert := newCertificate(t)
	behind := startWeft(t, nil, nil)
	port := freePort(t)
	conf := configure(t, "nginx.conf", map[string]any{
		"Port": port, "Cert": cert.certFile, "Key": cert.keyFile, "Behind": behind.port,
	})
	p := start(t, nginx, "-e", "stderr", "-c", conf)
	p.wait(t, port)
	k := talk{
		dial: dialWith(newDialer(t, cert), fallenToHTTP1), url: fmt.Sprintf("wss://127.0.0.1:%d", port),
		server: behind.record, carried: "version=HTTP/1.1", deflate: []string{"takeover", "no-takeover"},
	}
	k.run(t)
}

package interop

import (
	"fmt"
	"testing"
)

// Servers whose HTTP/2 has no WebSockets: the client finds out by their SETTINGS and takes HTTP/1.1.
func TestOldServers(t *testing.T) {
	cert := newCertificate(t)
	for _, c := range []struct {
		name, debian, conf string
		args               []string // before the path of the configuration
	}{
		{"nginx", "nginx-light", "nginx.conf", []string{"-e", "stderr", "-c"}},
		{"caddy", "caddy", "Caddyfile", []string{"run", "--adapter", "caddyfile", "--config"}},
		{"h2o", "h2o", "h2o.conf", []string{"-c"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			path := program(t, c.name, c.debian)
			behind := startWeft(t, nil, nil)
			port := freePort(t)
			conf := configure(t, c.conf, map[string]any{
				"Port": port, "Cert": cert.certFile, "Key": cert.keyFile, "Behind": behind.port,
			})
			start(t, path, append(c.args, conf)...).wait(t, port)
			k := talk{
				dial: dialWith(newDialer(t, cert), fallenToHTTP1), url: fmt.Sprintf("wss://127.0.0.1:%d", port),
				server: behind.record, carried: "version=HTTP/1.1", deflate: []string{"takeover", "no-takeover"},
			}
			k.run(t)
		})
	}
}

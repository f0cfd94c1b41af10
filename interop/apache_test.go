package interop

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

// Apache is an old server or, with H2WebSockets, a new one.
func TestApache(t *testing.T) {
	apache := program(t, "apache2", "apache2")
	const modules = "/usr/lib/apache2/modules"
	cert := newCertificate(t)
	for _, c := range []struct {
		name string
		on   bool
		want carriage
	}{
		{"fallback", false, fallenToHTTP1},
		{"settings", true, overHTTP2},
	} {
		t.Run(c.name, func(t *testing.T) {
			behind := startWeft(t, nil, nil)
			port := freePort(t)
			conf := configure(t, "apache.conf", map[string]any{
				"Modules": modules, "Port": port, "Cert": cert.certFile, "Key": cert.keyFile, "Behind": behind.port, "WebSockets": c.on,
			})
			t.Cleanup(func() {
				if log, err := os.ReadFile(filepath.Join(filepath.Dir(conf), "error.log")); t.Failed() && err == nil {
					t.Logf("apache2's error log:\n%s", log)
				}
			})
			p := start(t, apache, "-DFOREGROUND", "-f", conf)
			p.wait(t, port)
			k := talk{
				dial: dialWith(newDialer(t, cert), c.want), url: fmt.Sprintf("wss://127.0.0.1:%d", port),
				server: behind.record, carried: "version=HTTP/1.1", deflate: []string{"takeover", "no-takeover"},
			}
			k.run(t)
		})
	}
}

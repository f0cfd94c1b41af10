package interop

import (
	"fmt"
	"testing"
)

// nghttpx has HTTP/2 in front and either HTTP behind.
func TestNghttpx(t *testing.T) {
	nghttpx := program(t, "nghttpx", "nghttp2-proxy")
	cert := newCertificate(t)
	for _, c := range []struct {
		name    string
		carried string
		secure  bool
		backend string // nghttpx's parameters for it
	}{
		{"H2ToH1", "version=HTTP/1.1", false, ""},
		{"H2ToH2", "version=HTTP/2.0", true, ";;proto=h2;tls"},
	} {
		t.Run(c.name, func(t *testing.T) {
			behind := startWeft(t, nil, nil)
			if c.secure {
				behind = startWeft(t, cert, nil)
			}
			port := freePort(t)
			p := start(t, nghttpx, "--conf=/dev/null", "-k", "--workers=1", "--no-ocsp",
				fmt.Sprintf("--frontend=127.0.0.1,%d", port),
				fmt.Sprintf("--backend=127.0.0.1,%d%s", behind.port, c.backend),
				cert.keyFile, cert.certFile)
			p.wait(t, port)
			k := talk{
				dial: dialWith(newDialer(t, cert), overHTTP2), url: fmt.Sprintf("wss://127.0.0.1:%d", port),
				server: behind.record, carried: c.carried, deflate: []string{"takeover", "no-takeover"},
			}
			k.run(t)
		})
	}
}

package interop

import (
	"fmt"
	"testing"
)

// Node's http2 module as the server, with Extended CONNECT and without.
func TestNodeServer(t *testing.T) {
	node := program(t, "node", "nodejs")
	cert := newCertificate(t)
	for _, c := range []struct {
		name, connect string
		want          carriage
		carried       string
	}{
		{"settings", "on", overHTTP2, "version=HTTP/2.0"},
		{"fallback", "off", fallenToHTTP1, "version=HTTP/1.1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			port := freePort(t)
			p := start(t, node, "testdata/server.js", fmt.Sprint(port), cert.keyFile, cert.certFile, c.connect)
			p.wait(t, port)
			k := talk{
				dial: dialWith(newDialer(t, cert), c.want), url: fmt.Sprintf("wss://127.0.0.1:%d", port),
				server: p.record, carried: c.carried,
			}
			k.run(t)
			if found := p.record.lines("violation"); len(found) > 0 {
				t.Errorf("the server complains: %q", found)
			}
		})
	}
}

// Node's http2 module as the client. Its second WebSocket sends a Sec-WebSocket-Key, which HTTP/2 does not need.
func TestNodeClient(t *testing.T) {
	node := program(t, "node", "nodejs")
	srv := startWeft(t, newCertificate(t), nil)
	p := start(t, node, "testdata/client.js", fmt.Sprint(srv.port))
	if err := p.waitExit(t); err != nil {
		t.Fatalf("client: %v", err)
	}
	for _, want := range []string{
		"connect protocol true",
		"node-1 status 200 subprotocol second stream 1", "node-2 status 200 subprotocol second stream 3",
		"node-1 accept absent", "node-2 accept matches",
		"node-1 pong ping", "node-2 pong ping",
		"node-1 message 5 same", "node-2 message 5 same",
		"node-1 close 1000", "node-2 close 4000",
		"node-1 end", "node-2 end", "done",
	} {
		p.record.await(t, want)
	}
	for _, bad := range []string{"different", "unexpected", "error"} {
		if found := p.record.lines(bad); len(found) > 0 {
			t.Errorf("the client complains: %q", found)
		}
	}
	srv.record.await(t, `close id=node-1 code=1000 reason="from node"`)
	srv.record.await(t, `close id=node-2 code=4000 reason="from node"`)
}

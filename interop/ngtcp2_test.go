package interop

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

// ngtcp2 and nghttp3 as the client. As Debian has it, it knows ordinary requests and no Extended CONNECT.
func TestNgtcp2Client(t *testing.T) {
	path := program(t, "gtlsclient", "ngtcp2-client")
	srv := startWeftHTTP3(t, newCertificate(t), servePage)
	origin := fmt.Sprintf("https://localhost:%d", srv.port)
	p := start(t, path, "--exit-on-all-streams-close", "-n", "3", "127.0.0.1", fmt.Sprint(srv.port), origin+"/", origin+"/", origin+"/nothing")
	if err := p.waitExit(t); err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{"stream 0x0 [:status: 200]", "stream 0x4 [:status: 200]", "stream 0x8 [:status: 404]"} {
		p.record.await(t, line)
	}
	page, err := os.Stat(filepath.Join("testdata", "page.html"))
	if err != nil {
		t.Fatal(err)
	}
	for _, stream := range []string{"0x0", "0x4"} {
		var size, n int64
		for _, line := range p.record.lines("http: stream " + stream + " body ") {
			fmt.Sscanf(line, "http: stream "+stream+" body %d bytes", &n)
			size += n
		}
		if size != page.Size() {
			t.Errorf("stream %s brought %d bytes, want %d", stream, size, page.Size())
		}
	}
	if pages := srv.record.lines("page version=HTTP/3.0"); len(pages) != 2 {
		t.Errorf("the server was asked for %q", pages)
	}
}

package interop

import (
	"fmt"
	"os/exec"
	"testing"
)

// python-h2 and wsproto as the client, also with permessage-deflate.
func TestPythonClient(t *testing.T) {
	python := python(t)
	srv := startWeft(t, newCertificate(t), nil)
	p := start(t, python, "-u", "testdata/client.py", fmt.Sprint(srv.port))
	if err := p.waitExit(t); err != nil {
		t.Fatalf("client: %v", err)
	}
	want := []string{"connect protocol 1", "done"}
	for i, code := range []int{1000, 4000, 4001} {
		name := fmt.Sprintf("python-%d ", i+1)
		want = append(want, name+"status 200", name+"message hello", name+"message in pieces", name+"pong ping",
			name+"message text", name+"message binary", fmt.Sprintf("%sclose %d", name, code), name+"end")
		srv.record.await(t, fmt.Sprintf(`close id=%scode=%d reason="from python"`, name, code))
	}
	// What is compressed is less on the wire than the messages are.
	want = append(want, "python-1 close 1000 raw more", "python-2 close 4000 raw less", "python-3 close 4001 raw less")
	for _, line := range want {
		p.record.await(t, line)
	}
	for _, bad := range []string{"different", "reset"} {
		if found := p.record.lines(bad); len(found) > 0 {
			t.Errorf("the client complains: %q", found)
		}
	}
}

// python returns an interpreter that has h2 and wsproto: Debian's packages are for Debian's, which may not be first in PATH.
func python(t *testing.T) string {
	t.Helper()
	for _, path := range []string{"/usr/bin/python3", "python3"} {
		if exec.Command(path, "-c", "import h2, wsproto").Run() == nil {
			return path
		}
	}
	t.Skip("no python3 with h2 and wsproto is installed: apt-get install python3-h2 python3-wsproto")
	return ""
}

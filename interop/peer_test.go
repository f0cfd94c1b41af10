package interop

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"text/template"
	"time"

	"github.com/weftws/weft/internal/devcert"
)

// patience bounds every wait in these tests. Nothing should come near it on a machine that is not overloaded.
const patience = 20 * time.Second

// A peer is a process that a test started.
type peer struct {
	name   string
	record *record // its standard output and error
	exited chan struct{}
	err    error // how it ended; set before exited is closed
}

// program returns the path of a program that Debian's package debian has, or skips the test.
func program(t *testing.T, name, debian string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		path, err = exec.LookPath(filepath.Join("/usr/sbin", name)) // not in everybody's PATH
	}
	if err != nil {
		t.Skipf("%s is not installed: apt-get install %s", name, debian)
	}
	return path
}

// start runs a program until the test ends, and shows what it printed if the test failed.
func start(t *testing.T, path string, args ...string) *peer {
	t.Helper()
	return startCommand(t, exec.Command(path, args...))
}

func startCommand(t *testing.T, cmd *exec.Cmd) *peer {
	t.Helper()
	p := &peer{name: filepath.Base(cmd.Path), record: newRecord(), exited: make(chan struct{})}
	cmd.Stdout, cmd.Stderr = p.record, p.record
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // its own children end with it
	cmd.WaitDelay = time.Second
	if err := cmd.Start(); err != nil {
		t.Fatalf("start %s: %v", p.name, err)
	}
	go func() {
		p.err = cmd.Wait()
		close(p.exited)
	}()
	t.Cleanup(func() {
		syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		<-p.exited
		if t.Failed() {
			t.Logf("%s printed:\n%s", p.name, p.record)
		}
	})
	return p
}

// wait returns when p accepts TCP connections on port.
func (p *peer) wait(t *testing.T, port int) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for {
		c, err := net.DialTimeout("tcp", fmt.Sprintf("127.0.0.1:%d", port), time.Second)
		if err == nil {
			c.Close()
			return
		}
		select {
		case <-p.exited:
			t.Fatalf("%s ended before it listened: %v", p.name, p.err)
		case <-time.After(20 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s does not listen on port %d after %v: %v", p.name, port, patience, err)
		}
	}
}

// waitExit waits for p to end by itself and returns how.
func (p *peer) waitExit(t *testing.T) error {
	t.Helper()
	select {
	case <-p.exited:
		return p.err
	case <-time.After(patience):
		t.Fatalf("%s still runs after %v", p.name, patience)
		return nil
	}
}

var ports = struct {
	sync.Mutex
	given map[int]bool
}{given: map[int]bool{}}

// freePort returns a loopback port that nobody listens on, from below those that the kernel gives to outgoing
// connections: a peer takes some time until it listens.
func freePort(t *testing.T) int {
	t.Helper()
	ports.Lock()
	defer ports.Unlock()
	for range 1000 {
		port := 20000 + rand.IntN(12000)
		if ports.given[port] {
			continue
		}
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err != nil {
			continue
		}
		l.Close()
		ports.given[port] = true
		return port
	}
	t.Fatal("no free port found")
	return 0
}

// A certificate is for localhost and 127.0.0.1, and signed by itself.
type certificate struct {
	tls.Certificate
	roots                   *x509.CertPool
	certFile, keyFile, both string // PEM
}

var makeCertificate = sync.OnceValues(func() (tls.Certificate, error) { return devcert.New(time.Now()) })

// newCertificate returns the certificate of this run, in files that the test owns.
func newCertificate(t *testing.T) *certificate {
	t.Helper()
	cert, err := makeCertificate()
	if err != nil {
		t.Fatal(err)
	}
	key, err := x509.MarshalPKCS8PrivateKey(cert.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	certPEM := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Certificate[0]})
	keyPEM := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key})
	dir := t.TempDir()
	c := &certificate{Certificate: cert, roots: x509.NewCertPool()}
	c.roots.AddCert(cert.Leaf)
	c.certFile = writeFile(t, dir, "cert.pem", certPEM)
	c.keyFile = writeFile(t, dir, "key.pem", keyPEM)
	c.both = writeFile(t, dir, "both.pem", append(certPEM, keyPEM...))
	return c
}

func writeFile(t *testing.T, dir, name string, text []byte) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// configure fills in the template testdata/name and returns the path of the result, which lies in a directory of its own.
func configure(t *testing.T, name string, values map[string]any) string {
	t.Helper()
	tmpl, err := template.New(name).Option("missingkey=error").ParseFiles(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	values["Dir"] = dir
	var b strings.Builder
	if err := tmpl.Execute(&b, values); err != nil {
		t.Fatal(err)
	}
	return writeFile(t, dir, name, []byte(b.String()))
}

// A record is lines that a server or process wrote, for tests to wait for.
type record struct {
	mu      sync.Mutex
	text    strings.Builder
	copy    io.Writer     // gets the same; nil: nobody
	changed chan struct{} // closed, and made anew, with each addition
}

func newRecord() *record { return &record{changed: make(chan struct{})} }

// newRecordTo returns a record that also writes to w.
func newRecordTo(w io.Writer) *record {
	r := newRecord()
	r.copy = w
	return r
}

func (r *record) Write(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.text.Write(p)
	if r.copy != nil {
		r.copy.Write(p)
	}
	close(r.changed)
	r.changed = make(chan struct{})
	return len(p), nil
}

func (r *record) printf(format string, args ...any) { fmt.Fprintf(r, format+"\n", args...) }

func (r *record) String() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.text.String()
}

// lines returns the complete lines that contain every one of parts.
func (r *record) lines(parts ...string) (found []string) {
	lines := strings.Split(r.String(), "\n")
	for _, line := range lines[:len(lines)-1] {
		if containsAll(line, parts) {
			found = append(found, line)
		}
	}
	return found
}

func containsAll(line string, parts []string) bool {
	for _, part := range parts {
		if !strings.Contains(line, part) {
			return false
		}
	}
	return true
}

// await returns the first line that contains every one of parts, waiting for it.
func (r *record) await(t *testing.T, parts ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for {
		r.mu.Lock()
		changed := r.changed
		r.mu.Unlock()
		if found := r.lines(parts...); len(found) > 0 {
			return found[0]
		}
		select {
		case <-changed:
		case <-ctx.Done():
			t.Fatalf("no line with %q in the record:\n%s", parts, r)
		}
	}
}

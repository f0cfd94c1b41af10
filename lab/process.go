package lab

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"text/template"
	"time"
)

// A behind is what a peer's configuration is made of: where it listens, and what is behind it.
type behind struct {
	Dir             string // its own
	Port            int
	Cert, Key, Both string // PEM files
	Behind          int    // the port of a server without TLS
	Modules         string // Apache's
	WebSockets      bool   // on HTTP/2, where that can be chosen
}

// A process is a peer that runs.
type process struct {
	cmd    *exec.Cmd
	output *tail
	stop   context.CancelFunc
	exited chan struct{}
	err    error // valid when exited is closed
}

// run starts p and returns when it accepts connections.
func (p Peer) run(ctx context.Context, b *behind) (*process, error) {
	path, err := p.find()
	if err != nil {
		return nil, err
	}
	config := ""
	if p.config != "" {
		if config, err = p.configure(b); err != nil {
			return nil, err
		}
	}
	ctx, stop := context.WithCancel(ctx)
	proc := &process{cmd: exec.CommandContext(ctx, path, p.args(b, config)...), output: new(tail), stop: stop, exited: make(chan struct{})}
	proc.cmd.Stdout, proc.cmd.Stderr = proc.output, proc.output
	// A parent that is asked to end ends its children.
	proc.cmd.Cancel = func() error {
		if err := proc.cmd.Process.Signal(syscall.SIGTERM); err != nil {
			return proc.cmd.Process.Kill()
		}
		return nil
	}
	proc.cmd.WaitDelay = 2 * time.Second
	if err := proc.cmd.Start(); err != nil {
		stop()
		return nil, err
	}
	go func() {
		proc.err = proc.cmd.Wait()
		close(proc.exited)
	}()
	if err := proc.await(ctx, b.Port); err != nil {
		proc.close()
		return nil, fmt.Errorf("%w%s", err, proc.output)
	}
	return proc, nil
}

func (p *process) close() {
	p.stop()
	<-p.exited
}

// await returns when somebody speaks TLS on port. The kernel accepts connections as soon as a server listens, which may be some time
// before the server looks at them: the first measurement would have that in it.
func (p *process) await(ctx context.Context, port int) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	for {
		d := tls.Dialer{Config: &tls.Config{InsecureSkipVerify: true}} // it is only asked whether it is there
		c, err := d.DialContext(ctx, "tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err == nil {
			return c.Close()
		}
		select {
		case <-p.exited:
			return fmt.Errorf("ended before it listened: %w", p.err)
		case <-ctx.Done():
			return fmt.Errorf("does not answer: %w", err)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

const startTimeout = 10 * time.Second

// configure writes p's configuration and returns its path.
func (p Peer) configure(b *behind) (string, error) {
	b.WebSockets = p.on
	text, err := peerFiles.ReadFile("peers/" + p.config)
	if err != nil {
		return "", err
	}
	if filepath.Ext(p.config) != ".js" {
		tmpl, err := template.New(p.config).Option("missingkey=error").Parse(string(text))
		if err != nil {
			return "", err
		}
		var out bytes.Buffer
		if err := tmpl.Execute(&out, b); err != nil {
			return "", err
		}
		text = out.Bytes()
	}
	path := filepath.Join(b.Dir, p.config)
	return path, os.WriteFile(path, text, 0o600)
}

// freePort returns a loopback port that nobody listens on, from below those that the kernel gives to outgoing connections: a
// peer takes some time until it listens.
func freePort() (int, error) {
	for range 1000 {
		port := 20000 + rand.IntN(12000)
		if l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port)); err == nil {
			return port, l.Close()
		}
	}
	return 0, errors.New("no free port found")
}

// A tail keeps the last lines that a process wrote.
type tail struct {
	mu   sync.Mutex
	text []byte
}

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.text = append(t.text, p...)
	if len(t.text) > 2*maxTail {
		t.text = append(t.text[:0], t.text[len(t.text)-maxTail:]...)
	}
	return len(p), nil
}

const maxTail = 1 << 10

// String is ": " and the text in one line, or "".
func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	if s := strings.Join(strings.Fields(string(t.text)), " "); s != "" {
		return ": " + s
	}
	return ""
}

package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"sync"
	"time"
)

// A process is a server process.
type process struct {
	hello
	cmd    *exec.Cmd
	mu     sync.Mutex // of a question and its answer
	stdin  io.WriteCloser
	stdout *bufio.Reader
}

// start runs this program as a server.
func start(args ...string) (*process, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(self, append([]string{"serve"}, args...)...)
	cmd.Env = append(os.Environ(), quietQUIC)
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	p := &process{cmd: cmd, stdin: stdin, stdout: bufio.NewReader(stdout)}
	if err := p.answer(&p.hello); err != nil {
		p.kill()
		return nil, err
	}
	return p, nil
}

// quietQUIC spares standard error what quic-go has to say about the size of the kernel's buffers.
const quietQUIC = "QUIC_GO_DISABLE_RECEIVE_BUFFER_WARNING=true"

// ask sends a command and takes the answer into to.
func (p *process) ask(command string, to any) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if _, err := fmt.Fprintln(p.stdin, command); err != nil {
		return fmt.Errorf("server process: %s: %w", command, err)
	}
	return p.answer(to)
}

func (p *process) answer(to any) error {
	defer time.AfterFunc(time.Minute, func() { p.cmd.Process.Kill() }).Stop()
	line, err := p.stdout.ReadBytes('\n')
	if err != nil {
		return fmt.Errorf("server process is gone: %w", err)
	}
	return json.Unmarshal(line, to)
}

// kill ends the process, if it has not ended, and waits for it.
func (p *process) kill() {
	p.stdin.Close()
	p.cmd.Process.Kill()
	p.cmd.Wait()
}

package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"github.com/weftws/weft/bench/load"
	"github.com/weftws/weft/bench/peers"
)

// A process is a running server.
type process struct {
	cmd    *exec.Cmd
	stdin  io.WriteCloser
	stdout *bufio.Reader
	addr   string
}

// start runs p's server in a fresh process.
func (l *lab) start(p *peers.Peer, s load.Spec) (*process, error) {
	var args []string
	if p.Command != nil {
		args = append(append(args, p.Command...), string(s.Proto), "127.0.0.1:0")
		if s.TLS {
			args = append(args, l.cert.cert, l.cert.key)
		}
	} else {
		self, err := os.Executable()
		if err != nil {
			return nil, err
		}
		args = []string{self, "serve", p.Name, "-proto", string(s.Proto)}
		if s.TLS {
			args = append(args, "-cert", l.cert.cert, "-key", l.cert.key)
		}
	}
	return l.run(p, l.pinned(args))
}

// startClient runs the client p in a fresh process.
func (l *lab) startClient(p *peers.Peer, addr string) (*process, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	return l.run(p, l.pinned([]string{self, "hold", p.Name, "-addr", addr, "-cert", l.cert.cert}))
}

// pinned is the command on the servers' core.
func (l *lab) pinned(args []string) []string {
	if l.core < 0 {
		return args
	}
	return append([]string{"taskset", "-c", strconv.Itoa(l.core)}, args...)
}

// run starts a process of p's, and waits until it is ready.
func (l *lab) run(p *peers.Peer, args []string) (*process, error) {
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Env = append(os.Environ(), "GOMAXPROCS=1", "GODEBUG="+l.debug(p), quietQUIC)
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
	pr := &process{cmd: cmd, stdin: stdin, stdout: bufio.NewReader(stdout)}
	line, err := pr.readLine()
	if err != nil {
		pr.stop()
		return nil, fmt.Errorf("%s did not start: %w", p.Name, err)
	}
	addr, ok := strings.CutPrefix(line, "ready ")
	if !ok {
		pr.stop()
		return nil, fmt.Errorf("%s said %q", p.Name, line)
	}
	pr.addr = strings.TrimSpace(addr)
	return pr, nil
}

// quietQUIC spares standard error what quic-go has to say about the size of the kernel's buffers.
const quietQUIC = "QUIC_GO_DISABLE_RECEIVE_BUFFER_WARNING=true"

// debug is GODEBUG for p's process.
func (l *lab) debug(p *peers.Peer) string {
	if l.memProfile == "" {
		return p.Debug
	}
	return strings.TrimPrefix(p.Debug+",memprofilerate=512", ",") // every allocation of some size; costs time
}

func (p *process) readLine() (string, error) {
	defer time.AfterFunc(answerTime, func() { p.cmd.Process.Kill() }).Stop()
	return p.stdout.ReadString('\n')
}

const answerTime = 30 * time.Second

// ask sends a command and returns the answer.
func (p *process) ask(cmd string) (s stats, err error) {
	if _, err := fmt.Fprintln(p.stdin, cmd); err != nil {
		return s, err
	}
	line, err := p.readLine()
	if err != nil {
		return s, fmt.Errorf("the server is gone: %w", err)
	}
	if err := json.Unmarshal([]byte(line), &s); err != nil {
		return s, err
	}
	if s.Error != "" {
		return s, errors.New(s.Error)
	}
	return s, nil
}

// stop ends the process and waits for it.
func (p *process) stop() {
	p.stdin.Close()
	defer time.AfterFunc(2*time.Second, func() { p.cmd.Process.Kill() }).Stop()
	p.cmd.Wait()
}

// pin puts this process on one core and returns another for the servers, or -1 and why that was not possible.
func pin() (core int, how string) {
	cores, err := allowedCores()
	if err != nil {
		return -1, "not pinned: " + err.Error()
	}
	if len(cores) < 2 {
		return -1, "not pinned: there is only one core"
	}
	if _, err := exec.LookPath("taskset"); err != nil {
		return -1, "not pinned: taskset is not installed"
	}
	ctx, cancel := context.WithTimeout(context.Background(), answerTime)
	defer cancel()
	out, err := exec.CommandContext(ctx, "taskset", "-a", "-p", "-c", strconv.Itoa(cores[1]), strconv.Itoa(os.Getpid())).CombinedOutput()
	if err != nil {
		return -1, fmt.Sprintf("not pinned: taskset: %s", strings.TrimSpace(string(out)))
	}
	return cores[0], fmt.Sprintf("servers pinned to core %d, load to core %d, with taskset", cores[0], cores[1])
}

// allowedCores reads Linux's list, such as "0-1,4".
func allowedCores() ([]int, error) {
	b, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return nil, errors.New("no /proc")
	}
	for line := range strings.Lines(string(b)) {
		if list, ok := strings.CutPrefix(line, "Cpus_allowed_list:"); ok {
			return parseCores(strings.TrimSpace(list))
		}
	}
	return nil, errors.New("no Cpus_allowed_list in /proc")
}

func parseCores(list string) (cores []int, err error) {
	for part := range strings.SplitSeq(list, ",") {
		from, to, isRange := strings.Cut(part, "-")
		lo, err := strconv.Atoi(from)
		if err != nil {
			return nil, err
		}
		hi := lo
		if isRange {
			if hi, err = strconv.Atoi(to); err != nil {
				return nil, err
			}
		}
		for c := lo; c <= hi; c++ {
			cores = append(cores, c)
		}
	}
	return cores, nil
}

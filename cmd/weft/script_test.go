package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"io"
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

var update = flag.Bool("update", false, "rewrite what the scripts compare with")

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"weft": main})
}

// TestScripts runs testdata/script. Beside testscript's own commands there are
//
//	up FLAGS        start weft up on free ports; $TLS, $QUIC and $PLAIN are its addresses
//	logged REGEXP   wait until a line of its standard error matches
//	down            interrupt it, want exit status 0; the file up.log has its standard error
//	status N ARGS   run weft, want exit status N
//	until RE ARGS   run weft, up to 20 times, until a line of its standard error matches
func TestScripts(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("the scripts interrupt processes, which Windows cannot")
	}
	testscript.Run(t, testscript.Params{
		Dir:           "testdata/script",
		UpdateScripts: *update,
		Setup: func(env *testscript.Env) error {
			env.Setenv("XDG_CACHE_HOME", env.WorkDir+"/cache")
			env.Setenv("HOME", env.WorkDir)
			env.Values[serverKey{}] = new(server)
			return nil
		},
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"up":     scriptUp,
			"logged": scriptLogged,
			"down":   scriptDown,
			"status": scriptStatus,
			"until":  scriptUntil,
		},
	})
}

const scriptPatience = 20 * time.Second

type serverKey struct{}

// A server is the weft up of a script.
type server struct {
	cmd *exec.Cmd
	log logBuffer
}

func scriptUp(ts *testscript.TestScript, neg bool, args []string) {
	s := ts.Value(serverKey{}).(*server)
	if neg || s.cmd != nil {
		ts.Fatalf("usage: up [flags], once until down")
	}
	s.log.reset()
	s.cmd = exec.Command("weft", append([]string{"up", "--addr", "127.0.0.1:0", "--plain", "127.0.0.1:0", "--json"}, args...)...)
	s.cmd.Env = append(os.Environ(), "XDG_CACHE_HOME="+ts.Getenv("XDG_CACHE_HOME"))
	s.cmd.Stderr = &s.log
	stdout, err := s.cmd.StdoutPipe()
	ts.Check(err)
	ts.Check(s.cmd.Start())
	cmd := s.cmd
	ts.Defer(func() { cmd.Process.Kill(); cmd.Wait() })
	kill := time.AfterFunc(scriptPatience, func() { s.cmd.Process.Kill() })
	defer kill.Stop()
	out := bufio.NewReader(stdout)
	line, err := out.ReadBytes('\n')
	if err != nil {
		ts.Fatalf("weft up did not get ready: %v\n%s", err, s.log.String())
	}
	var ready struct{ TLS, QUIC, Plain string }
	ts.Check(json.Unmarshal(line, &ready))
	ts.Setenv("TLS", ready.TLS)
	ts.Setenv("QUIC", ready.QUIC)
	ts.Setenv("PLAIN", ready.Plain)
	go io.Copy(io.Discard, out)
}

func scriptLogged(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: logged regexp")
	}
	s := ts.Value(serverKey{}).(*server)
	want := regexp.MustCompile("(?m)" + args[0])
	late := time.After(scriptPatience)
	for !want.MatchString(s.log.String()) {
		select {
		case <-s.log.changed:
		case <-late:
			ts.Fatalf("weft up did not log %q:\n%s", args[0], s.log.String())
		}
	}
}

func scriptDown(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 0 {
		ts.Fatalf("usage: down")
	}
	s := ts.Value(serverKey{}).(*server)
	ts.Check(s.cmd.Process.Signal(os.Interrupt))
	kill := time.AfterFunc(scriptPatience, func() { s.cmd.Process.Kill() })
	defer kill.Stop()
	err := s.cmd.Wait()
	ts.Logf("[weft up]\n%s", s.log.String())
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs("up.log"), []byte(s.log.String()), 0o600))
	s.cmd = nil
}

func scriptStatus(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 1 {
		ts.Fatalf("usage: status N args")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	got := 0
	if err := ts.Exec("weft", args[1:]...); err != nil {
		exit, ok := errors.AsType[*exec.ExitError](err)
		if !ok {
			ts.Fatalf("weft: %v", err)
		}
		got = exit.ExitCode()
	}
	if got != want {
		ts.Fatalf("exit status %d, want %d", got, want)
	}
}

func scriptUntil(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: until regexp args")
	}
	want := regexp.MustCompile("(?m)" + args[0])
	for range 20 {
		ts.Check(ts.Exec("weft", args[1:]...))
		if want.MatchString(ts.ReadFile("stderr")) {
			return
		}
	}
	ts.Fatalf("no line of 20 times matches %q", args[0])
}

// A logBuffer is what a process has written so far.
type logBuffer struct {
	mu      sync.Mutex
	b       bytes.Buffer
	changed chan struct{}
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	select {
	case l.changed <- struct{}{}:
	default:
	}
	return l.b.Write(p)
}

func (l *logBuffer) reset() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.b.Reset()
	l.changed = make(chan struct{}, 1)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

package memory

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/weftws/weft/negotiate"
)

// A process that finds these in its environment is one of TestProcesses'.
const (
	envPath = "WEFT_MEMORY_TEST_PATH"
	envRung = "WEFT_MEMORY_TEST_RUNG"
)

const putsEach = 40

func TestMain(m *testing.M) {
	if path := os.Getenv(envPath); path != "" {
		n, _ := strconv.Atoi(os.Getenv(envRung))
		hammer(path, n)
		return
	}
	goleak.VerifyTestMain(m)
}

// hammer writes to the same few origins as all the others do, each with a rung of its own, and reads in between.
func hammer(path string, n int) {
	f := NewFile(path, FileOptions{OnError: func(err error) {
		os.Stderr.WriteString(err.Error() + "\n")
		os.Exit(1)
	}})
	r := negotiate.Rungs()[n]
	for i := range putsEach {
		k := key(i % 4)
		f.Put(k, said(r, i))
		e, _ := f.Get(k)
		if e.Findings[r].Since.Before(epoch.Add(time.Duration(i) * time.Second)) {
			os.Stderr.WriteString("what was put is not there\n")
			os.Exit(1)
		}
	}
	f.Flush()
}

// Many processes at once: nobody's word is lost, and whenever somebody looks the file is whole.
func TestProcesses(t *testing.T) {
	path := filepath.Join(t.TempDir(), "memory")
	const processes = 6
	var commands []*exec.Cmd
	var stderr [processes]bytes.Buffer
	for n := range processes {
		c := exec.Command(os.Args[0])
		c.Env = append(os.Environ(), envPath+"="+path, envRung+"="+strconv.Itoa(n))
		c.Stderr = &stderr[n]
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		commands = append(commands, c)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for n, c := range commands {
			if err := c.Wait(); err != nil {
				t.Errorf("process %d: %v: %s", n, err, stderr[n].String())
			}
		}
	}()
	f := NewFile(path, FileOptions{OnError: func(err error) { t.Error(err) }})
	for running := true; running; {
		select {
		case <-done:
			running = false
		default:
			f.List()
			runtime.Gosched()
		}
	}
	for i := range 4 {
		e, _ := f.Get(key(i))
		if len(e.Findings) != processes {
			t.Errorf("%s: %d of %d processes are remembered", key(i), len(e.Findings), processes)
		}
		for r, f := range e.Findings {
			if want := epoch.Add(time.Duration(putsEach-4+i) * time.Second); !f.Since.Equal(want) {
				t.Errorf("%s: %s since %v, want the last word, %v", key(i), r, f.Since, want)
			}
		}
	}
	noLitter(t, filepath.Dir(path))
}

// noLitter: a memory leaves its file and its lock.
func noLitter(t *testing.T, dir string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if n := e.Name(); n != "memory" && n != "memory.lock" {
			t.Errorf("%s was left behind", n)
		}
	}
}

func TestMode(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("file modes mean nothing on Windows")
	}
	path := filepath.Join(t.TempDir(), "memory")
	f := NewFile(path, FileOptions{})
	f.Put(key(1), said(negotiate.Settings, 1))
	f.Flush()
	info, err := os.Stat(path)
	if err != nil || info.Mode() != 0o600 {
		t.Errorf("mode %v, %v, want 0600", info.Mode(), err)
	}
}

// A file that is something else is not destroyed, and not an obstacle.
func TestForeignFile(t *testing.T) {
	for name, content := range map[string]string{
		"empty":   "",
		"foreign": "alias ll='ls -l'\n",
		"cut off": `{"format":"weft memory","version":1,"items":[{"key":"wss://a`,
		"other":   `{"format":"weft memory","version":2,"items":[]}`,
		"bad key": `{"format":"weft memory","version":1,"items":[{"key":"no key","entry":{}}]}`,
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "memory")
			if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
				t.Fatal(err)
			}
			var errs []error
			f := NewFile(path, FileOptions{OnError: func(err error) { errs = append(errs, err) }})
			for range 3 {
				if _, ok := f.Get(key(1)); ok {
					t.Error("found something")
				}
			}
			f.Put(key(1), said(negotiate.Settings, 1))
			if err := f.Flush(); err != nil {
				t.Error(err)
			}
			if len(errs) != 1 || !strings.Contains(errs[0].Error(), "is no memory") {
				t.Errorf("errors %v, want one", errs)
			}
			if _, ok := NewFile(path, FileOptions{}).Get(key(1)); !ok {
				t.Error("nothing was stored")
			}
			if b, err := os.ReadFile(path + ".bad"); err != nil || string(b) != content {
				t.Errorf("the file that was there: %q, %v", b, err)
			}
		})
	}
}

// Another process's change is seen, although reading is cached.
func TestSeesChanges(t *testing.T) {
	path := filepath.Join(t.TempDir(), "memory")
	a, b := NewFile(path, FileOptions{}), NewFile(path, FileOptions{})
	for i := range 20 {
		a.Put(key(1), said(negotiate.Settings, i))
		a.Flush()
		if e, ok := b.Get(key(1)); !ok || !e.Used.Equal(epoch.Add(time.Duration(i)*time.Second)) {
			t.Fatalf("change %d: %+v", i, e)
		}
	}
	a.Delete(key(1))
	if _, ok := b.Get(key(1)); ok {
		t.Error("deleting is not seen")
	}
	a.Put(key(1), said(negotiate.Settings, 1))
	a.Flush()
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if _, ok := b.Get(key(1)); ok {
		t.Error("removing the file is not seen")
	}
}

// What cannot be written is kept in the process, and written when it can be.
func TestUnwritable(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "later")
	path := filepath.Join(dir, "memory")
	var errs []error
	f := NewFile(path, FileOptions{OnError: func(err error) { errs = append(errs, err) }})
	f.Put(key(1), said(negotiate.Settings, 1))
	if err := f.Flush(); !errors.Is(err, fs.ErrNotExist) || len(errs) != 1 || !errors.Is(errs[0], fs.ErrNotExist) {
		t.Errorf("%v; errors %v, want one", err, errs)
	}
	if _, ok := f.Get(key(1)); !ok {
		t.Error("forgotten")
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	f.Put(key(2), said(negotiate.Settings, 2))
	if err := f.Flush(); err != nil {
		t.Error(err)
	}
	if got := NewFile(path, FileOptions{}).List(); len(got) != 2 || len(errs) != 1 {
		t.Errorf("stored %+v, errors %v", got, errs)
	}
	noLitter(t, dir)
}

package transcript

import (
	"fmt"
	"iter"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"
)

// A Step carries out one command and returns its output. A command that makes no sense fails t.
type Step func(t testing.TB, d *datadriven.TestData) string

// Run runs every script that matches pattern ("testdata/*.txt"), each as a subtest of its own. start makes what the
// script talks to; it hands input on in pieces of at most chunk bytes (see Split).
func Run(t *testing.T, pattern string, start func(chunk int) Step) {
	paths, err := filepath.Glob(pattern)
	if err != nil || len(paths) == 0 {
		t.Fatalf("no script matches %s (%v)", pattern, err)
	}
	for _, path := range paths {
		name := strings.TrimSuffix(filepath.Base(path), filepath.Ext(path))
		t.Run(name, func(t *testing.T) {
			steps := record(t, path, start(whole))
			if t.Failed() {
				return
			}
			if err := replay(t, steps, start(1)); err != nil {
				t.Errorf("chunk law: %v", err)
			}
		})
	}
}

// Split cuts b into pieces of at most chunk bytes. No bytes: no piece.
func Split(b []byte, chunk int) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		for len(b) > 0 {
			n := min(chunk, len(b))
			if !yield(b[:n:n]) {
				return
			}
			b = b[n:]
		}
	}
}

// A recorded step is a command and the output that it had.
type recorded struct {
	command datadriven.TestData
	output  string
}

func record(t *testing.T, path string, step Step) []recorded {
	var steps []recorded
	datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
		command := *d
		out := step(t, d)
		steps = append(steps, recorded{command, out})
		return out
	})
	return steps
}

func replay(t testing.TB, steps []recorded, step Step) error {
	for _, s := range steps {
		if out := step(t, &s.command); out != s.output {
			return fmt.Errorf("%s: %s: byte by byte the output is\n%sall at once it was\n%s", s.command.Pos, s.command.Cmd, out, s.output)
		}
	}
	return nil
}

const whole = 1 << 30

package transcript

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"
)

// counter is a machine that reports lines. lawful: it waits for the rest of a line that came in pieces.
func counter(lawful bool) func(chunk int) Step {
	return func(chunk int) Step {
		lines, partial := 0, ""
		return func(t testing.TB, d *datadriven.TestData) string {
			if d.Cmd != "recv" {
				t.Fatalf("%s: unknown command %s", d.Pos, d.Cmd)
			}
			var out strings.Builder
			for piece := range Split([]byte(d.Input+"\n"), chunk) {
				partial += string(piece)
				for {
					line, rest, ok := strings.Cut(partial, "\n")
					if !ok && (lawful || line == "") {
						break
					}
					partial = rest
					lines++
					fmt.Fprintf(&out, "line %d: %s\n", lines, line)
				}
			}
			return out.String()
		}
	}
}

func TestRun(t *testing.T) { Run(t, "testdata/*.txt", counter(true)) }

func TestChunkLaw(t *testing.T) {
	steps := record(t, "testdata/lines.txt", counter(false)(whole))
	if len(steps) != 2 {
		t.Fatalf("%d steps, want 2", len(steps))
	}
	if err := replay(t, steps, counter(true)(1)); err != nil {
		t.Error(err)
	}
	err := replay(t, steps, counter(false)(1))
	if err == nil || !strings.Contains(err.Error(), "lines.txt:2: recv: byte by byte") {
		t.Errorf("a machine that breaks the chunk law: %v", err)
	}
}

func TestSplit(t *testing.T) {
	var got []string
	for p := range Split([]byte("abcdefg"), 3) {
		got = append(got, string(p))
	}
	if want := []string{"abc", "def", "g"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

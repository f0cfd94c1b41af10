package lint

import (
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"

	"github.com/weftws/weft/internal/transcript"
)

// The exported API of the packages that users import, so that a change to it shows in review. go test -rewrite writes it.
func TestAPI(t *testing.T) {
	transcript.Run(t, "testdata/api/*.txt", func(int) transcript.Step {
		return func(t testing.TB, d *datadriven.TestData) string {
			if d.Cmd != "api" || len(d.CmdArgs) != 1 {
				t.Fatalf("%s: not \"api DIRECTORY\"", d.Pos)
			}
			lines, err := API("../../" + d.CmdArgs[0].Key)
			if err != nil {
				t.Fatal(err)
			}
			return strings.Join(lines, "\n") + "\n"
		}
	})
}

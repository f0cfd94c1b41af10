package lint

import (
	"path"
	"slices"
	"strings"
	"testing"
)

// A layer is the place of one package. Imports point down only: to a package of a lower rank.
type layer struct {
	rank int
	pure bool // no goroutine, clock, socket, lock or context

	// testOnly: imported by tests, and by no other package than these.
	testOnly   bool
	exceptions []string
}

// layers is the architecture. The key is the directory; "" is the root package.
var layers = map[string]layer{
	"internal/invariant":  {rank: 0},
	"internal/transcript": {rank: 0, testOnly: true},
	"internal/fuzzing":    {rank: 0, testOnly: true},
	"internal/lint":       {rank: 0, testOnly: true},

	"internal/bucket":    {rank: 10, pure: true},
	"internal/fields":    {rank: 10, pure: true},
	"internal/frame":     {rank: 10, pure: true},
	"internal/h2/wire":   {rank: 10, pure: true},
	"internal/deflate":   {rank: 11, pure: true},
	"internal/handshake": {rank: 12, pure: true},
	"internal/altsvc":    {rank: 12, pure: true},
	"negotiate":          {rank: 13, pure: true},

	"internal/proto": {rank: 20, pure: true},
	"internal/h2":    {rank: 20, pure: true},

	"internal/transport":  {rank: 30},
	"internal/netdial":    {rank: 30},
	"internal/memory":     {rank: 30},
	"internal/devcert":    {rank: 30},
	"resolver":            {rank: 30},
	"internal/simnet":     {rank: 30, testOnly: true, exceptions: []string{"lab", "internal/fakeorigin"}},
	"internal/fakeorigin": {rank: 31, testOnly: true},

	"internal/semantics": {rank: 35},

	"internal/h1":       {rank: 40},
	"internal/h2/h2net": {rank: 40},
	"internal/h3":       {rank: 40},
	"internal/stock":    {rank: 40},

	"": {rank: 50},

	"gateway": {rank: 60},
	"gorilla": {rank: 60},
	"probe":   {rank: 60},
	"lab":     {rank: 60},
	"metrics": {rank: 60},

	"internal/load": {rank: 60},

	"cmd/weft": {rank: 70},
}

// forTests are the packages that a test of any layer may import.
var forTests = map[string]bool{
	"internal/invariant": true, "internal/transcript": true, "internal/fuzzing": true, "internal/simnet": true, "internal/fakeorigin": true, "internal/devcert": true,
	"metrics": true, // counts the attacks on the root package
}

// owners are the packages that alone may import a dependency, outside of tests.
var owners = map[string][]string{
	"golang.org/x/net/http2/hpack":     {"internal/h2", "internal/h2/wire"},
	"golang.org/x/net/http2":           {},
	"golang.org/x/net/dns/":            {"resolver"},
	"github.com/quic-go/":              {"internal/h3"},
	"github.com/klauspost/compress/":   {"internal/deflate"},
	"github.com/spf13/cobra":           {"cmd/weft"},
	"github.com/prometheus/":           {"metrics"},
	"github.com/cockroachdb/":          {"internal/transcript"},
	"github.com/google/go-cmp/":        {},
	"github.com/rogpeppe/go-internal/": {},
	"go.uber.org/goleak":               {},
}

func TestLayers(t *testing.T) {
	for _, f := range moduleFiles(t) {
		report(t, checkLayers(f))
	}
}

func TestOwners(t *testing.T) {
	for _, f := range moduleFiles(t) {
		report(t, checkOwners(f))
	}
}

func checkLayers(f *file) (problems []problem) {
	own, ok := layers[f.dir]
	if !ok {
		return []problem{f.at(f.ast.Package, "package %q has no layer: give it one in internal/lint/layers_test.go", f.dir)}
	}
	for _, imp := range f.ast.Imports {
		dir, ok := f.moduleDir(imp)
		if !ok || dir == f.dir {
			continue
		}
		to := layers[dir] // a package without a layer complains by itself
		switch {
		case f.test:
			if to.rank >= own.rank && !forTests[dir] {
				problems = append(problems, f.at(imp.Pos(),
					"a test of layer %d imports %s of layer %d: move the test up, or drive %s by its own interface", own.rank, dir, to.rank, f.dir))
			}
		case to.testOnly && !slices.Contains(to.exceptions, f.dir):
			problems = append(problems, f.at(imp.Pos(), "%s is for tests only: import it from a _test.go file", dir))
		case to.rank >= own.rank:
			problems = append(problems, f.at(imp.Pos(),
				"%s (layer %d) imports %s (layer %d): imports point down only; pass a function or an interface of the lower layer instead",
				f.dir, own.rank, dir, to.rank))
		}
	}
	return problems
}

func checkOwners(f *file) (problems []problem) {
	if f.test {
		return nil
	}
	for _, imp := range f.ast.Imports {
		for dep, dirs := range owners {
			name := importPath(imp)
			if name != dep && !(strings.HasSuffix(dep, "/") && strings.HasPrefix(name, dep)) || slices.Contains(dirs, f.dir) {
				continue
			}
			instead := "keep it in tests"
			if len(dirs) > 0 {
				instead = "go through " + strings.Join(dirs, " or ")
			}
			problems = append(problems, f.at(imp.Pos(), "%s imports %s: %s", f.dir, name, instead))
		}
		// The engine's own use of HPACK and the notation's are apart: the codec stays free of it.
		if importPath(imp) == "golang.org/x/net/http2/hpack" && f.dir == "internal/h2/wire" && !strings.HasPrefix(path.Base(f.path), "text") {
			problems = append(problems, f.at(imp.Pos(), "the frame codec knows nothing of HPACK: field blocks are bytes here, fields in internal/h2"))
		}
	}
	return problems
}

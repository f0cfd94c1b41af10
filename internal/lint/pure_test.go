package lint

import (
	"go/ast"
	"strings"
	"testing"
)

func TestPure(t *testing.T) {
	for _, f := range moduleFiles(t) {
		if layers[f.dir].pure && !f.test {
			report(t, checkPure(f))
		}
	}
}

// impure are imports that a pure package cannot have, and what it does instead.
var impure = map[string]string{
	"sync":         "the driver holds the lock",
	"sync/atomic":  "the driver holds the lock",
	"context":      "return an event or an error; the driver knows the context",
	"net":          "take and return bytes; addresses are strings or netip",
	"net/http":     "take a Pseudo and fields",
	"os":           "take bytes",
	"crypto/rand":  "randomness is an argument",
	"math/rand":    "randomness is an argument",
	"math/rand/v2": "randomness is an argument",
	"testing":      "this is no test",
	"log":          "return an event",
}

// allowed are exceptions from impure: directory, import, and the names that may be used from it.
var allowed = map[[2]string][]string{
	// The header fields of a handshake are the http.Header of whoever answers it. http.Status... and http.Method... are constants.
	{"internal/handshake", "net/http"}: {"Header", "Status*", "Method*", "CanonicalHeaderKey"},
	{"negotiate", "net/http"}:          {"Status*"},
	// Compressors are dear: one is shared by many connections. What is pooled carries no state from one message to the next.
	{"internal/deflate", "sync"}: {"Pool"},
}

// clock are the names in package time that read the clock or wait for it.
var clock = map[string]bool{
	"Now": true, "Since": true, "Until": true, "After": true, "AfterFunc": true, "NewTimer": true, "NewTicker": true, "Tick": true, "Sleep": true,
}

func checkPure(f *file) (problems []problem) {
	for _, imp := range f.ast.Imports {
		name := importPath(imp)
		if instead, bad := impure[name]; bad && allowed[[2]string{f.dir, name}] == nil {
			problems = append(problems, f.at(imp.Pos(), "%s is pure and imports %s: %s", f.dir, name, instead))
		}
	}
	ast.Inspect(f.ast, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.GoStmt:
			problems = append(problems, f.at(n.Pos(), "%s is pure and starts a goroutine: leave that to the driver", f.dir))
		case *ast.ChanType, *ast.SelectStmt:
			problems = append(problems, f.at(n.Pos(), "%s is pure and uses channels: return an event", f.dir))
		case *ast.SelectorExpr:
			pkg, name := f.qualified(n)
			if pkg == "time" && clock[name] {
				problems = append(problems, f.at(n.Pos(), "%s is pure and uses time.%s: take now as an argument, return the next timeout", f.dir, name))
			}
			if names := allowed[[2]string{f.dir, pkg}]; names != nil && !matches(names, name) {
				problems = append(problems, f.at(n.Pos(), "%s is pure and uses %s.%s: %s", f.dir, pkg, name, impure[pkg]))
			}
		}
		return true
	})
	return problems
}

// matches reports whether name is in the list, in which "Status*" stands for every name with that prefix.
func matches(list []string, name string) bool {
	for _, l := range list {
		if prefix, ok := strings.CutSuffix(l, "*"); l == name || ok && strings.HasPrefix(name, prefix) {
			return true
		}
	}
	return false
}

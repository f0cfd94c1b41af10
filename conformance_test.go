package weft_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// TestConformance checks that docs/conformance.md is true as far as a program can tell: each row names a test that exists, or says why
// there is none, and no test of the root package that is named after a section is left out.
func TestConformance(t *testing.T) {
	doc, err := os.ReadFile("docs/conformance.md")
	if err != nil {
		t.Fatal(err)
	}
	packages := make(map[string]*testFiles)
	in := func(dir string) *testFiles {
		if packages[dir] == nil {
			packages[dir] = parseTestFiles(t, dir)
		}
		return packages[dir]
	}
	named := make(map[string]bool)
	rows := 0
	for i, line := range strings.Split(string(doc), "\n") {
		cells := strings.Split(strings.Trim(line, "|"), " | ")
		if !strings.HasPrefix(line, "| ") || strings.HasPrefix(line, "| ---") || strings.HasPrefix(line, "| sentence") {
			continue
		}
		rows++
		if len(cells) != 3 {
			t.Errorf("line %d has %d cells", i+1, len(cells))
			continue
		}
		if binds := strings.TrimSpace(cells[1]); binds != "both" && binds != "client" && binds != "server" && binds != "intermediary" {
			t.Errorf("line %d binds %q", i+1, binds)
		}
		cover := strings.TrimSpace(cells[2])
		if reason, ok := strings.CutPrefix(cover, "no test: "); ok {
			if reason == "" {
				t.Errorf("line %d has no reason", i+1)
			}
			continue
		}
		found := 0
		for _, m := range regexp.MustCompile("`([^`]+)`").FindAllStringSubmatch(cover, -1) {
			name := m[1]
			switch {
			case strings.HasPrefix(name, "h2/testdata/"):
				if _, err := os.Stat(filepath.Join("internal", filepath.FromSlash(name))); err != nil {
					t.Errorf("line %d: %v", i+1, err)
				}
				found++
			case strings.Contains(name, "Test"):
				pkg, test, ok := strings.Cut(name, ".Test")
				dir := conformanceDirs[pkg]
				if !ok {
					dir, test = ".", strings.TrimPrefix(name, "Test")
					function, _, _ := strings.Cut(name, "/")
					named[function] = true
				}
				if dir == "" {
					t.Errorf("line %d: there is no package %s", i+1, pkg)
					continue
				}
				if why := in(dir).lacks("Test" + test); why != "" {
					t.Errorf("line %d: %s: %s", i+1, name, why)
				}
				found++
			}
		}
		if found == 0 {
			t.Errorf("line %d names no test and no reason: %s", i+1, cover)
		}
	}
	if rows < 150 {
		t.Errorf("the table has %d rows", rows)
	}
	for test := range in(".").functions {
		if strings.HasPrefix(test, "TestRFC") && !named[test] {
			t.Errorf("%s is not in docs/conformance.md", test)
		}
	}
}

// conformanceDirs are the packages that the table names.
var conformanceDirs = map[string]string{
	"frame": "internal/frame", "proto": "internal/proto", "deflate": "internal/deflate", "handshake": "internal/handshake",
	"netdial": "internal/netdial", "h1": "internal/h1", "h2": "internal/h2", "h2net": "internal/h2/h2net", "negotiate": "negotiate",
}

// testFiles are the tests in one directory: the file of each function, and the strings in each file.
type testFiles struct {
	functions map[string]string
	strings   map[string]map[string]bool
}

func parseTestFiles(t *testing.T, dir string) *testFiles {
	files := &testFiles{functions: make(map[string]string), strings: make(map[string]map[string]bool)}
	names, err := filepath.Glob(filepath.Join(filepath.FromSlash(dir), "*_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		f, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		literals := make(map[string]bool)
		ast.Inspect(f, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.FuncDecl:
				files.functions[n.Name.Name] = name
			case *ast.BasicLit:
				if s, err := strconv.Unquote(n.Value); n.Kind == token.STRING && err == nil {
					literals[s] = true
				}
			}
			return true
		})
		files.strings[name] = literals
	}
	return files
}

// lacks says why there is no test "TestX" or "TestX/case"; "": there is.
func (files *testFiles) lacks(name string) string {
	test, sub, isSub := strings.Cut(name, "/")
	file, ok := files.functions[test]
	switch {
	case !ok:
		return "there is no such test"
	case isSub && !files.strings[file][sub]:
		return "its file has no case of that name"
	}
	return ""
}

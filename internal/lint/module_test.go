package lint

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
)

const modulePath = "github.com/weftws/weft"

// A file is one Go file of the module, whatever its build constraints say.
type file struct {
	path string // from the module's root, with slashes
	dir  string // "" is the root package
	test bool
	fset *token.FileSet
	ast  *ast.File

	// runners are the functions of tests that run another one in a bubble of fake time, "dir:name"; shared by all files.
	runners map[string]bool
}

// A problem is one complaint: "dir/file.go:12: text".
type problem string

func (f *file) at(pos token.Pos, format string, args ...any) problem {
	return problem(fmt.Sprintf("%s:%d: ", f.path, f.fset.Position(pos).Line) + fmt.Sprintf(format, args...))
}

func report(t *testing.T, problems []problem) {
	t.Helper()
	for _, p := range problems {
		t.Error(p)
	}
}

// moduleFiles returns all Go files of the module; modules inside it (bench, interop) are others.
func moduleFiles(t *testing.T) []*file {
	t.Helper()
	files, err := load()
	if err != nil {
		t.Fatal(err)
	}
	return files
}

var load = sync.OnceValues(func() (files []*file, err error) {
	root := filepath.Join("..", "..")
	err = filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, name)
		if err != nil {
			return err
		}
		if d.IsDir() {
			_, err := os.Stat(filepath.Join(name, "go.mod"))
			if base := d.Name(); rel != "." && (err == nil || base == "testdata" || base == "node_modules" || base[0] == '.' || base[0] == '_') {
				return filepath.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(name, ".go") {
			return nil
		}
		src, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		f, err := parse(filepath.ToSlash(rel), src)
		files = append(files, f)
		return err
	})
	runners := make(map[string]bool)
	for known := -1; known < len(runners); { // until one that calls another is found no more
		known = len(runners)
		for _, f := range files {
			f.runners = runners
			f.findRunners()
		}
	}
	return files, err
})

func parse(name string, src []byte) (*file, error) {
	f := &file{path: name, dir: path.Dir(name), test: strings.HasSuffix(name, "_test.go"), fset: token.NewFileSet()}
	if f.dir == "." {
		f.dir = ""
	}
	var err error
	f.ast, err = parser.ParseFile(f.fset, name, src, parser.ParseComments|parser.SkipObjectResolution)
	return f, err
}

func importPath(imp *ast.ImportSpec) string {
	name, _ := strconv.Unquote(imp.Path.Value)
	return name
}

// moduleDir returns the directory of an import from this module.
func (f *file) moduleDir(imp *ast.ImportSpec) (dir string, ok bool) {
	name := importPath(imp)
	if name == modulePath {
		return "", true
	}
	return strings.CutPrefix(name, modulePath+"/")
}

func (f *file) imports(name string) bool {
	return slices.ContainsFunc(f.ast.Imports, func(imp *ast.ImportSpec) bool { return importPath(imp) == name })
}

// qualified returns the import path and the name of x.Name where x is an imported package.
func (f *file) qualified(sel *ast.SelectorExpr) (pkg, name string) {
	x, ok := sel.X.(*ast.Ident)
	if !ok {
		return "", ""
	}
	for _, imp := range f.ast.Imports {
		p := importPath(imp)
		local := path.Base(p)
		if imp.Name != nil {
			local = imp.Name.Name
		}
		if local == x.Name {
			return p, sel.Sel.Name
		}
	}
	return "", ""
}

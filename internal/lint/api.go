package lint

import (
	"bytes"
	"encoding/json"
	"fmt"
	"go/ast"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// API returns the exported API of the package in dir, one line for each name, field and method, sorted. Names of parameters are left
// out. It needs the go command.
func API(dir string) ([]string, error) {
	cmd := exec.Command("go", "list", "-deps", "-export", "-json=ImportPath,Export,Dir,GoFiles,DepOnly", ".")
	cmd.Dir = dir
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("go list in %s: %w: %s", dir, err, stderr.Bytes())
	}
	exports := make(map[string]string)
	var own listed
	for dec := json.NewDecoder(bytes.NewReader(out)); ; {
		var p listed
		if err := dec.Decode(&p); err == io.EOF {
			break
		} else if err != nil {
			return nil, err
		}
		exports[p.ImportPath] = p.Export
		if !p.DepOnly {
			own = p
		}
	}
	fset := token.NewFileSet()
	var files []*ast.File
	for _, name := range own.GoFiles {
		f, err := parser.ParseFile(fset, filepath.Join(own.Dir, name), nil, parser.SkipObjectResolution)
		if err != nil {
			return nil, err
		}
		files = append(files, f)
	}
	config := types.Config{
		Importer: importer.ForCompiler(fset, "gc", func(path string) (io.ReadCloser, error) { return os.Open(exports[path]) }),
	}
	pkg, err := config.Check(own.ImportPath, fset, files, nil)
	if err != nil {
		return nil, err
	}
	return apiOf(pkg), nil
}

type listed struct {
	ImportPath, Export, Dir string
	GoFiles                 []string
	DepOnly                 bool
}

func apiOf(pkg *types.Package) (lines []string) {
	qualifier := func(p *types.Package) string {
		if p == pkg {
			return ""
		}
		return p.Name()
	}
	add := func(format string, a ...any) { lines = append(lines, fmt.Sprintf(format, a...)) }
	typeString := func(t types.Type) string {
		return strings.ReplaceAll(types.TypeString(withoutNames(t), qualifier), "interface{}", "any")
	}
	for _, name := range pkg.Scope().Names() {
		obj := pkg.Scope().Lookup(name)
		if !obj.Exported() {
			continue
		}
		switch obj := obj.(type) {
		case *types.Const:
			add("const %s %s = %s", name, typeString(obj.Type()), obj.Val().ExactString())
		case *types.Var:
			add("var %s %s", name, typeString(obj.Type()))
		case *types.Func:
			add("func %s%s", name, strings.TrimPrefix(typeString(obj.Type()), "func"))
		case *types.TypeName:
			if obj.IsAlias() {
				add("type %s = %s", name, typeString(types.Unalias(obj.Type())))
				continue
			}
			lines = append(lines, membersOf(name, obj.Type().(*types.Named), typeString)...)
		}
	}
	slices.Sort(lines)
	return lines
}

// membersOf is a type with its fields and methods.
func membersOf(name string, t *types.Named, typeString func(types.Type) string) (lines []string) {
	add := func(format string, a ...any) { lines = append(lines, fmt.Sprintf(format, a...)) }
	switch u := t.Underlying().(type) {
	case *types.Struct:
		add("type %s struct", name)
		for f := range u.Fields() {
			if f.Exported() {
				add("type %s struct, %s %s", name, f.Name(), typeString(f.Type()))
			}
		}
	case *types.Interface:
		add("type %s interface", name)
		for m := range u.Methods() {
			add("type %s interface, %s%s", name, m.Name(), strings.TrimPrefix(typeString(m.Type()), "func"))
		}
	default:
		add("type %s %s", name, typeString(u))
	}
	for m := range t.Methods() {
		if !m.Exported() {
			continue
		}
		receiver := name
		if _, ok := m.Signature().Recv().Type().(*types.Pointer); ok {
			receiver = "*" + name
		}
		add("method (%s) %s%s", receiver, m.Name(), strings.TrimPrefix(typeString(m.Type()), "func"))
	}
	return lines
}

// withoutNames is t without names of parameters.
func withoutNames(t types.Type) types.Type {
	sig, ok := t.(*types.Signature)
	if !ok {
		return t
	}
	unnamed := func(tuple *types.Tuple) *types.Tuple {
		var vars []*types.Var
		for v := range tuple.Variables() {
			vars = append(vars, types.NewParam(token.NoPos, nil, "", withoutNames(v.Type())))
		}
		return types.NewTuple(vars...)
	}
	return types.NewSignatureType(nil, nil, nil, unnamed(sig.Params()), unnamed(sig.Results()), sig.Variadic())
}

package lint

import (
	"go/ast"
	"path"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

func TestStyle(t *testing.T) {
	for _, f := range moduleFiles(t) {
		report(t, checkNames(f))
		report(t, checkLength(f))
		report(t, checkCitations(f))
		if f.test {
			report(t, checkSleep(f))
			report(t, checkSkip(f))
			report(t, checkPort(f))
		}
	}
}

func TestPackageComments(t *testing.T) {
	first := make(map[string]*file)
	documented := make(map[string]bool)
	for _, f := range moduleFiles(t) {
		if f.test {
			continue
		}
		if first[f.dir] == nil {
			first[f.dir] = f
		}
		if doc := f.ast.Doc.Text(); strings.HasPrefix(doc, "Package ") || strings.HasPrefix(doc, "Command ") {
			documented[f.dir] = true
		}
	}
	for dir, f := range first {
		if !documented[dir] {
			report(t, []problem{f.at(f.ast.Package, "package %s has no package comment: write doc.go, \"// Package x ...\"", dir)})
		}
	}
}

// checkNames looks for names that say nothing.
func checkNames(f *file) (problems []problem) {
	for _, name := range append(strings.Split(strings.TrimSuffix(path.Base(f.path), ".go"), "_"), f.ast.Name.Name) {
		if vague[name] {
			problems = append(problems, f.at(f.ast.Package, "%q is a name for anything: name the file or package by the RFC's noun for what is in it", name))
		}
	}
	return problems
}

var vague = map[string]bool{
	"util": true, "utils": true, "common": true, "helper": true, "helpers": true, "manager": true, "misc": true, "base": true,
}

func checkLength(f *file) []problem {
	lines := f.fset.File(f.ast.Pos()).LineCount()
	if f.test || lines <= maxLines || ast.IsGenerated(f.ast) {
		return nil
	}
	return []problem{f.at(f.ast.Package, "%d lines, more than %d: split it by its concepts", lines, maxLines)}
}

const maxLines = 500

// checkCitations wants one form of citing an RFC in comments: "RFC 9113, Section 6.9.1".
func checkCitations(f *file) (problems []problem) {
	for _, group := range f.ast.Comments {
		for _, c := range group.List {
			for _, bad := range citations {
				if m := bad.re.FindString(c.Text); m != "" {
					problems = append(problems, f.at(c.Pos(), "%q: %s", m, bad.instead))
				}
			}
		}
	}
	return problems
}

var citations = []struct {
	re      *regexp.Regexp
	instead string
}{
	{regexp.MustCompile(`(^|[^\[\w])(RFC-?[0-9]+|rfc ?[0-9]{4})\b`), `cite as "RFC 9113, Section 6.9.1"`},
	{regexp.MustCompile(`\bRFC [0-9]{4},? ([Ss]ec\.|section\b)|\bRFC [0-9]{4} Section\b|§`), `cite as "RFC 9113, Section 6.9.1"`},
	{regexp.MustCompile(`\bRFC (7540|723[0-5])\b`), `obsolete: cite RFC 9113 for 7540, RFC 9110 or 9112 for 7230 to 7235`},
}

// checkSleep looks for time.Sleep in tests outside a bubble of fake time.
func checkSleep(f *file) (problems []problem) {
	for _, decl := range f.ast.Decls {
		fn, ok := decl.(*ast.FuncDecl)
		if !ok || realSleeps[f.path+":"+fn.Name.Name] != "" {
			continue
		}
		// A function that a test calls may be called in a bubble if the file has any.
		if !isTest(fn.Name.Name) && (f.imports("testing/synctest") || f.imports(modulePath+"/internal/simnet")) {
			continue
		}
		inspectOutsideBubbles(f, fn, func(n ast.Node) {
			sel, ok := n.(*ast.SelectorExpr)
			if !ok {
				return
			}
			if pkg, name := f.qualified(sel); pkg == "time" && name == "Sleep" {
				problems = append(problems, f.at(n.Pos(),
					"%s sleeps in real time: wait for the event itself, or run in fake time (synctest.Test, simnet.Run)", fn.Name.Name))
			}
		})
	}
	return problems
}

// realSleeps are the tests that may sleep, "dir/file_test.go:TestName", each with its reason.
var realSleeps = map[string]string{}

func inspectOutsideBubbles(f *file, root ast.Node, visit func(ast.Node)) {
	ast.Inspect(root, func(n ast.Node) bool {
		if call, ok := n.(*ast.CallExpr); ok && f.runsBubble(call) {
			return false
		}
		if n != nil {
			visit(n)
		}
		return true
	})
}

// runsBubble reports whether call hands a function to a bubble, by itself or through a function of its package.
func (f *file) runsBubble(call *ast.CallExpr) bool {
	switch fun := call.Fun.(type) {
	case *ast.SelectorExpr:
		pkg, name := f.qualified(fun)
		return pkg == "testing/synctest" && name == "Test" || pkg == modulePath+"/internal/simnet" && name == "Run"
	case *ast.Ident:
		return f.runners[f.dir+":"+fun.Name]
	}
	return false
}

// findRunners adds the functions of f that call runsBubble's to f.runners.
func (f *file) findRunners() {
	for _, decl := range f.ast.Decls {
		fn, ok := decl.(*ast.FuncDecl)
		if !ok || !f.test || isTest(fn.Name.Name) {
			continue
		}
		ast.Inspect(fn, func(n ast.Node) bool {
			if call, ok := n.(*ast.CallExpr); ok && f.runsBubble(call) {
				f.runners[f.dir+":"+fn.Name.Name] = true
			}
			return true
		})
	}
}

func isTest(name string) bool {
	for _, prefix := range []string{"Test", "Benchmark", "Fuzz", "Example"} {
		if strings.HasPrefix(name, prefix) {
			return true
		}
	}
	return false
}

// checkSkip wants a reason for every case that is skipped.
func checkSkip(f *file) (problems []problem) {
	ast.Inspect(f.ast, func(n ast.Node) bool {
		if call, ok := n.(*ast.CallExpr); ok && len(call.Args) == 0 {
			if sel, ok := call.Fun.(*ast.SelectorExpr); ok && (sel.Sel.Name == "Skip" || sel.Sel.Name == "SkipNow") {
				problems = append(problems, f.at(n.Pos(), "skips without a reason: t.Skip(\"why\")"))
			}
		}
		return true
	})
	return problems
}

// checkPort looks for listeners on a fixed port.
func checkPort(f *file) (problems []problem) {
	ast.Inspect(f.ast, func(n ast.Node) bool {
		call, ok := n.(*ast.CallExpr)
		if !ok || len(call.Args) < 2 {
			return true
		}
		sel, ok := call.Fun.(*ast.SelectorExpr)
		if !ok {
			return true
		}
		pkg, name := f.qualified(sel)
		lit, ok := call.Args[1].(*ast.BasicLit)
		if !ok || pkg != "net" || name != "Listen" && name != "ListenPacket" {
			return true
		}
		if addr, err := strconv.Unquote(lit.Value); err == nil && strings.Contains(addr, ":") && !strings.HasSuffix(addr, ":0") {
			problems = append(problems, f.at(n.Pos(), "listens on the fixed port of %s: use 127.0.0.1:0", addr))
		}
		return true
	})
	return problems
}

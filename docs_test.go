package weft

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/weftws/weft/internal/h2"
	"github.com/weftws/weft/internal/h3"
	"github.com/weftws/weft/internal/proto"
)

// The guides stay true: what they link to is there, what they quote is printed, and what they configure is tested.

// documents are the files for readers, from the module's root.
func documents(t *testing.T) []string {
	t.Helper()
	var files []string
	for _, pattern := range []string{"*.md", "docs/*.md", "docs/decisions/*.md", "bench/*.md", "examples/*.md"} {
		found, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, found...)
	}
	if len(files) < 10 {
		t.Fatalf("documents: %v", files)
	}
	return files
}

var (
	fence      = regexp.MustCompile("(?ms)^```.*?^```")
	inlineLink = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	namedLink  = regexp.MustCompile(`(?m)^\[[^\]]+\]: (\S+)`)
	heading    = regexp.MustCompile(`(?m)^#+ (.*)$`)
	notAnchor  = regexp.MustCompile(`[^\p{L}\p{N} _-]`)
)

func TestDocumentLinks(t *testing.T) {
	for _, file := range documents(t) {
		text := fence.ReplaceAllString(readDocument(t, file), "")
		for _, m := range append(inlineLink.FindAllStringSubmatch(text, -1), namedLink.FindAllStringSubmatch(text, -1)...) {
			if strings.Contains(m[1], "://") {
				continue
			}
			name, anchor, _ := strings.Cut(m[1], "#")
			to := file
			if name != "" {
				to = filepath.Join(filepath.Dir(file), filepath.FromSlash(name))
			}
			if _, err := os.Stat(to); err != nil {
				t.Errorf("%s links to %s, which is not there", file, m[1])
			} else if anchor != "" && !hasAnchor(readDocument(t, to), anchor) {
				t.Errorf("%s links to %s, which has no such heading", file, m[1])
			}
		}
	}
}

func hasAnchor(text, anchor string) bool {
	for _, m := range heading.FindAllStringSubmatch(fence.ReplaceAllString(text, ""), -1) {
		if strings.ReplaceAll(notAnchor.ReplaceAllString(strings.ToLower(m[1]), ""), " ", "-") == anchor {
			return true
		}
	}
	return false
}

// A block of configuration behind a link to a file of the interop tests has that file's lines, but for those that say so.
func TestDocumentedConfigurations(t *testing.T) {
	block := regexp.MustCompile("(?ms)\\]\\(\\.\\./(interop/testdata/[^)]+)\\)[^\n]*\n\n```[^\n]*\n(.*?)^```")
	text := readDocument(t, "docs/behind-proxies.md")
	blocks := block.FindAllStringSubmatch(text, -1)
	if len(blocks) < 4 {
		t.Fatalf("%d configurations", len(blocks))
	}
	value := regexp.MustCompile(`\\\{\\\{.*?\\\}\\\}`)
	action := regexp.MustCompile(`\{\{(if|else|end).*?\}\}`)
	for _, b := range blocks {
		var lines []string
		for line := range strings.Lines(action.ReplaceAllString(readDocument(t, b[1]), "")) {
			lines = append(lines, value.ReplaceAllString(regexp.QuoteMeta(strings.TrimSpace(line)), `\S+`))
		}
		tested := regexp.MustCompile("^(" + strings.Join(lines, "|") + ")$")
		for line := range strings.Lines(b[2]) {
			if !strings.HasSuffix(line, "# not in the test\n") && !tested.MatchString(strings.TrimSpace(line)) {
				t.Errorf("not in %s: %s", b[1], line)
			}
		}
	}
}

// ---- Error texts

var (
	errorRow = regexp.MustCompile("(?m)^\\| (`.*?`) \\|")
	codeSpan = regexp.MustCompile("`([^`]+)`")
	verb     = regexp.MustCompile(`%[-+#0-9.]*[a-zA-Z]`)
)

// Every text in the first column of a table of docs/troubleshooting.md is in a string of the source; … stands for a value. Those
// below "From Go" are in the standard library.
func TestTroubleshootingQuotes(t *testing.T) {
	own, foreign, ok := strings.Cut(readDocument(t, "docs/troubleshooting.md"), "\n## From Go")
	if !ok {
		t.Fatal(`no section "From Go"`)
	}
	ours := moduleStrings(t)
	quoted := 0
	for _, row := range errorRow.FindAllStringSubmatch(own, -1) {
		for _, span := range codeSpan.FindAllStringSubmatch(row[1], -1) {
			quoted++
			if !containsText(ours, span[1]) {
				t.Errorf("no source has the text %q", span[1])
			}
		}
	}
	if quoted < 50 {
		t.Errorf("%d texts are quoted", quoted)
	}
	theirs := standardSource(t)
	for _, row := range errorRow.FindAllStringSubmatch(foreign, -1) {
		for _, span := range codeSpan.FindAllStringSubmatch(row[1], -1) {
			if !containsText(theirs, span[1]) {
				t.Errorf("Go's source does not have the text %q", span[1])
			}
		}
	}
}

func containsText(texts []string, part string) bool {
	for _, s := range texts {
		if strings.Contains(s, part) {
			return true
		}
	}
	return false
}

// Every rule that a peer can break is explained.
func TestTroubleshootingNamesViolations(t *testing.T) {
	text := readDocument(t, "docs/troubleshooting.md")
	for _, v := range proto.Violations() {
		if !strings.Contains(text, "`"+v.Name+"`") {
			t.Errorf("internal/proto's %s is not there", v.Name)
		}
	}
	for _, v := range h2.Violations() {
		if !strings.Contains(text, "`"+v.Name+"`") {
			t.Errorf("internal/h2's %s is not there", v.Name)
		}
	}
	for _, r := range h3.Rules() {
		if !strings.Contains(text, "`"+r.Name+"`") {
			t.Errorf("internal/h3's %s is not there", r.Name)
		}
	}
}

// moduleStrings returns the strings in the module's code, what formats leave open as …. Tests and other modules are left out.
func moduleStrings(t *testing.T) []string {
	t.Helper()
	texts, err := loadStrings()
	if err != nil {
		t.Fatal(err)
	}
	return texts
}

var loadStrings = sync.OnceValues(func() (texts []string, err error) {
	fset := token.NewFileSet()
	err = filepath.WalkDir(".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			_, err := os.Stat(filepath.Join(name, "go.mod"))
			if name != "." && (err == nil || d.Name() == "testdata" || d.Name()[0] == '.') {
				return filepath.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") {
			return nil
		}
		f, err := parser.ParseFile(fset, name, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		ast.Inspect(f, func(n ast.Node) bool {
			if lit, ok := n.(*ast.BasicLit); ok && lit.Kind == token.STRING {
				if s, err := strconv.Unquote(lit.Value); err == nil {
					texts = append(texts, verb.ReplaceAllString(s, "…"))
				}
			}
			return true
		})
		return nil
	})
	return texts, err
})

// standardSource returns files of Go's library in which errors have their texts.
func standardSource(t *testing.T) (texts []string) {
	t.Helper()
	root, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		t.Skipf("where Go's source is cannot be found out: %v", err)
	}
	src := filepath.Join(strings.TrimSpace(string(root)), "src")
	for _, pattern := range []string{
		"context/*.go", "crypto/tls/*.go", "crypto/x509/*.go", "internal/oserror/*.go", "internal/poll/*.go", "io/*.go", "net/*.go",
		"net/http/*.go", "os/*.go", "syscall/zerrors_linux_*.go",
	} {
		files, err := filepath.Glob(filepath.Join(src, filepath.FromSlash(pattern)))
		if err != nil || len(files) == 0 {
			t.Fatalf("%s: %v", pattern, err)
		}
		for _, name := range files {
			texts = append(texts, readDocument(t, name))
		}
	}
	return texts
}

func readDocument(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.FromSlash(name))
	if err != nil {
		t.Fatal(err)
	}
	return strings.ReplaceAll(string(b), "\r\n", "\n")
}

// ---- Tests

var testName = regexp.MustCompile("`(Test\\w+)`")

// Every test that docs/security.md names exists.
func TestSecurityNamesTests(t *testing.T) {
	declared := make(map[string]bool)
	declaration := regexp.MustCompile(`(?m)^func (Test\w+)\(`)
	err := filepath.WalkDir(".", func(name string, d fs.DirEntry, err error) error {
		if err == nil && strings.HasSuffix(name, "_test.go") {
			for _, m := range declaration.FindAllStringSubmatch(readDocument(t, name), -1) {
				declared[m[1]] = true
			}
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	named := testName.FindAllStringSubmatch(readDocument(t, "docs/security.md"), -1)
	for _, m := range named {
		if !declared[m[1]] {
			t.Errorf("no test is called %s", m[1])
		}
	}
	if len(named) < 4 {
		t.Errorf("%d tests are named", len(named))
	}
}

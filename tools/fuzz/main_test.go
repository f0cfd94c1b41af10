package main

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

func TestFind(t *testing.T) {
	root := t.TempDir()
	for name, text := range map[string]string{
		"go.mod":                        "module a",
		"a_test.go":                     "func FuzzA(f *testing.F) {\n}\nfunc TestA(t *testing.T) {}\n// func FuzzNo(f *testing.F) {\n",
		"b/b.go":                        "func FuzzNo(f *testing.F) {}",
		"b/c/b_test.go":                 "func FuzzB(f *testing.F) {}\nfunc FuzzC(f *testing.F) {}",
		"b/c/testdata/x_test.go":        "func FuzzNo(f *testing.F) {}",
		".cache/x_test.go":              "func FuzzNo(f *testing.F) {}",
		"other/go.mod":                  "module b",
		"other/frames/frames_test.go":   "func FuzzFrames(f *testing.F) {}",
		"other/frames/messages_test.go": "func fuzz(f *testing.F) {}",
	} {
		file := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	t.Chdir(root)
	for pattern, want := range map[string][]target{
		"":       {{".", ".", "FuzzA"}, {".", "b/c", "FuzzB"}, {".", "b/c", "FuzzC"}, {"other", "frames", "FuzzFrames"}},
		"^other": {{"other", "frames", "FuzzFrames"}},
		"b/c.*C": {{".", "b/c", "FuzzC"}},
	} {
		if got, err := find(".", regexp.MustCompile(pattern)); err != nil || !slices.Equal(got, want) {
			t.Errorf("%q: %v, %v, want %v", pattern, got, err, want)
		}
	}
}

func TestRead(t *testing.T) {
	r := read(strings.NewReader(`fuzz: elapsed: 0s, gathering baseline coverage: 0/192 completed
fuzz: elapsed: 3s, execs: 325017 (108336/sec), new interesting: 11 (total: 202)
fuzz: elapsed: 6s, execs: 680218 (118402/sec), new interesting: 12 (total: 203)
--- FAIL: FuzzX (3.76s)
    --- FAIL: FuzzX (0.00s)
        x_test.go:138: wrong

    Failing input written to testdata/fuzz/FuzzX/285a07f919af8295
    To re-run:`))
	if r.execs != 680218 || r.fresh != 12 || r.total != 203 || r.failed != "testdata/fuzz/FuzzX/285a07f919af8295" || !strings.Contains(r.text, "x_test.go:138: wrong") {
		t.Errorf("%+v", r)
	}
}

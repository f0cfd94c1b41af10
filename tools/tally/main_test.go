package main

import (
	"strings"
	"testing"
)

const events = `go: downloading something
{"Action":"run","Package":"p","Test":"TestA"}
{"Action":"output","Package":"p","Test":"TestA","Output":"=== RUN   TestA\n"}
{"Action":"pass","Package":"p","Test":"TestA"}
{"Action":"output","Package":"p","Test":"TestB","Output":"    b_test.go:3: no peer here\n"}
{"Action":"output","Package":"p","Test":"TestB","Output":"--- SKIP: TestB (0.00s)\n"}
{"Action":"skip","Package":"p","Test":"TestB"}
{"Action":"output","Package":"p","Test":"TestC","Output":"    c_test.go:3: boom\n"}
{"Action":"fail","Package":"p","Test":"TestC"}
{"Action":"fail","Package":"p"}
{"Action":"skip","Package":"empty"}
{"Action":"build-output","ImportPath":"q","Output":"q.go:1: syntax error\n"}
{"Action":"build-fail","ImportPath":"q"}
{"Action":"output","Package":"q","Output":"FAIL\tq [build failed]\n"}
{"Action":"fail","Package":"q"}
`

func TestTally(t *testing.T) {
	dir := t.TempDir()
	var out strings.Builder
	if err := command([]string{"run", "unit", dir}, strings.NewReader(events), &out); err == nil {
		t.Error("a failing run returned no error")
	}
	for _, want := range []string{"go: downloading something\n", "FAIL p TestC\n    c_test.go:3: boom\n", "q.go:1: syntax error", "unit: 1 passed, 2 failed, 1 skipped\n"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is not in\n%s", want, out.String())
		}
	}
	for _, args := range []string{"add vet " + dir + " passed", "add linux/arm64 " + dir + " skipped nothing there"} {
		if err := command(strings.Fields(args), nil, &out); err != nil {
			t.Errorf("%s: %v", args, err)
		}
	}
	out.Reset()
	if err := command([]string{"sum", dir}, nil, &out); err == nil {
		t.Error("a failing sum returned no error")
	}
	for _, want := range []string{"  no peer here: unit TestB\n", "  nothing there: linux/arm64\n", "FAILED unit p TestC\n", "\n2 passed, 2 failed, 2 skipped\n"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is not in\n%s", want, out.String())
		}
	}
}

func TestNothingRan(t *testing.T) {
	var out strings.Builder
	if err := command([]string{"run", "unit", t.TempDir()}, strings.NewReader("{\"Action\":\"skip\",\"Package\":\"empty\"}\n"), &out); err == nil {
		t.Error("a run without a test returned no error")
	}
	if err := command([]string{"sum", t.TempDir()}, nil, &out); err == nil {
		t.Error("a sum of nothing returned no error")
	}
}

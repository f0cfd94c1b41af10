// Command tally adds up the results of go test -json.
//
//	go test -json ./... | tally run NAME DIR    prints failures as they come, keeps the results in DIR/NAME.json
//	tally add NAME DIR passed|failed [WHY]      one more check, which is no Go test
//	tally sum DIR                               what was skipped and why, and the closing line
//
// run and sum exit with status 1 if anything failed.
package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// A result is one test, or one package that has failed without a failing test, or one other check.
type result struct {
	Suite, Package, Test string
	Action               string // "pass", "fail" or "skip"
	Output               string // of a failure or a skip
}

func main() {
	if err := command(os.Args[1:], os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "tally:", err)
		os.Exit(1)
	}
}

func command(args []string, in io.Reader, out io.Writer) error {
	switch {
	case len(args) == 3 && args[0] == "run":
		results, err := collect(args[1], in, out)
		if err != nil {
			return err
		}
		if err := store(args[2], args[1], results); err != nil {
			return err
		}
		fmt.Fprintf(out, "%s: %s\n", args[1], closingLine(results))
		return failure(results)
	case len(args) >= 4 && args[0] == "add":
		action := map[string]string{"passed": "pass", "failed": "fail", "skipped": "skip"}[args[3]]
		if action == "" {
			return fmt.Errorf("%q is neither passed, failed nor skipped", args[3])
		}
		return store(args[2], args[1], []result{{Suite: args[1], Action: action, Output: strings.Join(args[4:], " ")}})
	case len(args) == 2 && args[0] == "sum":
		results, err := load(args[1])
		if err != nil {
			return err
		}
		summarize(results, out)
		return failure(results)
	}
	return errors.New("usage: tally run NAME DIR | add NAME DIR passed|failed|skipped [WHY] | sum DIR")
}

// An event is a line of go test -json; see go doc test2json.
type event struct {
	Action, Package, Test, Output, ImportPath string
}

// collect reads the events of one go test. What fails is printed with its output.
func collect(suite string, in io.Reader, out io.Writer) ([]result, error) {
	var results []result
	output := make(map[[2]string]*strings.Builder) // by package and test
	failed := make(map[string]bool)                // packages with a failing test
	text := func(e event) *strings.Builder {
		key := [2]string{e.Package + e.ImportPath, e.Test}
		if output[key] == nil {
			output[key] = new(strings.Builder)
		}
		return output[key]
	}
	lines := bufio.NewReader(in)
	for {
		line, err := lines.ReadString('\n')
		if line == "" && err != nil {
			break
		}
		var e event
		if json.Unmarshal([]byte(line), &e) != nil {
			fmt.Fprint(out, line) // not go test's
			continue
		}
		switch e.Action {
		case "output", "build-output":
			text(e).WriteString(e.Output)
		case "pass", "fail", "skip":
			r := result{Suite: suite, Package: e.Package, Test: e.Test, Action: e.Action}
			if e.Test == "" && (e.Action != "fail" || failed[e.Package]) {
				continue // the package's own line
			}
			if e.Action != "pass" {
				r.Output = text(e).String()
			}
			if e.Action == "fail" {
				failed[e.Package] = true
				fmt.Fprintf(out, "FAIL %s %s\n%s", e.Package, e.Test, r.Output)
			}
			results = append(results, r)
			delete(output, [2]string{e.Package, e.Test})
		case "build-fail":
			fmt.Fprintf(out, "FAIL to build %s\n%s", e.ImportPath, text(e))
		}
	}
	if len(results) == 0 {
		return nil, errors.New(suite + ": no test ran")
	}
	return results, nil
}

func summarize(results []result, out io.Writer) {
	var reasons []string
	tests := make(map[string][]string) // by reason
	for _, r := range results {
		if r.Action != "skip" {
			continue
		}
		why := reason(r.Output)
		if tests[why] == nil {
			reasons = append(reasons, why)
		}
		tests[why] = append(tests[why], strings.TrimSpace(r.Suite+" "+r.Test))
	}
	if len(reasons) > 0 {
		fmt.Fprintln(out, "\nskipped:")
	}
	for _, why := range reasons {
		names := tests[why]
		more := ""
		if len(names) > 3 {
			more = fmt.Sprintf(" and %d more", len(names)-3)
			names = names[:3]
		}
		fmt.Fprintf(out, "  %s: %s%s\n", why, strings.Join(names, ", "), more)
	}
	suites := make(map[string][]result)
	var order []string
	for _, r := range results {
		if suites[r.Suite] == nil {
			order = append(order, r.Suite)
		}
		suites[r.Suite] = append(suites[r.Suite], r)
	}
	fmt.Fprintln(out)
	for _, suite := range order {
		fmt.Fprintf(out, "  %-12s %s\n", suite, closingLine(suites[suite]))
	}
	for _, r := range results {
		if r.Action == "fail" {
			fmt.Fprintf(out, "  FAILED %s %s %s\n", r.Suite, r.Package, r.Test)
		}
	}
	fmt.Fprintf(out, "\n%s\n", closingLine(results))
}

// reason finds what t.Skip said: the line before "--- SKIP", or all of a check's own words.
func reason(output string) string {
	var why string
	for line := range strings.Lines(output) {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "===") || strings.HasPrefix(line, "---") {
			continue
		}
		if file, text, ok := strings.Cut(line, ": "); ok && strings.Contains(file, ".go:") {
			line = text
		}
		why = line
	}
	if why == "" {
		return "no reason given"
	}
	return why
}

func closingLine(results []result) string {
	count := make(map[string]int)
	for _, r := range results {
		count[r.Action]++
	}
	return fmt.Sprintf("%d passed, %d failed, %d skipped", count["pass"], count["fail"], count["skip"])
}

func failure(results []result) error {
	if slices.ContainsFunc(results, func(r result) bool { return r.Action == "fail" }) {
		return errors.New("there are failures")
	}
	return nil
}

// store adds results to dir. Files are numbered so that sum has them in order.
func store(dir, suite string, results []result) error {
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return err
	}
	old, err := filepath.Glob(filepath.Join(dir, "*.json"))
	if err != nil {
		return err
	}
	b, err := json.Marshal(results)
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, fmt.Sprintf("%03d-%s.json", len(old), strings.ReplaceAll(suite, "/", "-"))), b, 0o666)
}

func load(dir string) (results []result, err error) {
	names, err := filepath.Glob(filepath.Join(dir, "*.json"))
	if err != nil {
		return nil, err
	}
	slices.Sort(names)
	for _, name := range names {
		b, err := os.ReadFile(name)
		if err != nil {
			return nil, err
		}
		var part []result
		if err := json.Unmarshal(b, &part); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		results = append(results, part...)
	}
	if len(results) == 0 {
		return nil, errors.New("no results in " + dir)
	}
	return results, nil
}

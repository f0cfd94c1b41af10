// Command fuzz runs the fuzz targets of all modules below the directory that it is called in, one after the other, with a line for
// each, and says where the inputs are that fail.
//
//	fuzz [-time 60s] [-run regexp] [-parallel 2]
package main

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"
)

func main() {
	duration := flag.Duration("time", time.Minute, "for each target")
	pattern := flag.String("run", "", "the targets whose \"directory.Name\" matches this regular expression; default: all")
	parallel := flag.Int("parallel", 2, "workers of a target")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, *duration, *pattern, *parallel, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "fuzz:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, duration time.Duration, pattern string, parallel int, out io.Writer) error {
	re, err := regexp.Compile(pattern)
	if err != nil {
		return err
	}
	targets, err := find(".", re)
	if err != nil {
		return err
	}
	if len(targets) == 0 {
		return fmt.Errorf("no target matches %q", pattern)
	}
	start, execs, done := time.Now(), 0, 0
	defer func() {
		fmt.Fprintf(out, "%d of %d targets, %v, %d execs\n", done, len(targets), time.Since(start).Round(time.Second), execs)
	}()
	var failures []error
	for i, t := range targets {
		fmt.Fprintf(out, "%d of %d  %-40s ", i+1, len(targets), t)
		begun := time.Now()
		r, err := t.fuzz(ctx, duration, parallel)
		execs += r.execs
		switch {
		case ctx.Err() != nil:
			fmt.Fprintln(out, "interrupted")
			return ctx.Err()
		case err != nil:
			fmt.Fprintf(out, "FAILED\n%s", r.text)
			failures = append(failures, err)
			continue
		}
		done++
		fmt.Fprintf(out, "%10d execs, %4d new interesting of %4d, %v\n", r.execs, r.fresh, r.total, time.Since(begun).Round(time.Second))
	}
	return errors.Join(failures...)
}

// A target is one fuzz target.
type target struct {
	module string // its directory
	dir    string // of the package, below module
	name   string
}

func (t target) String() string { return filepath.Join(t.module, t.dir) + "." + t.name }

var declaration = regexp.MustCompile(`(?m)^func (Fuzz\w*)\(\w+ \*testing\.F\)`)

// find lists the targets below root that match re, in the order of their files.
func find(root string, re *regexp.Regexp) (targets []target, err error) {
	modules := map[string]string{} // by directory: its module
	err = filepath.WalkDir(root, func(name string, d os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if base := d.Name(); name != root && (base == "testdata" || base == "node_modules" || base[0] == '.' || base[0] == '_') {
				return filepath.SkipDir
			}
			modules[name] = modules[filepath.Dir(name)]
			if _, err := os.Stat(filepath.Join(name, "go.mod")); err == nil {
				modules[name] = name
			}
			return nil
		}
		if !strings.HasSuffix(name, "_test.go") {
			return nil
		}
		text, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		for _, m := range declaration.FindAllSubmatch(text, -1) {
			dir, err := filepath.Rel(modules[filepath.Dir(name)], filepath.Dir(name))
			if err != nil {
				return err
			}
			if t := (target{modules[filepath.Dir(name)], dir, string(m[1])}); re.MatchString(t.String()) {
				targets = append(targets, t)
			}
		}
		return nil
	})
	return targets, err
}

// A result is what go test has said of a target.
type result struct {
	execs, fresh, total int
	failed              string // the file with the input that fails, from the package's directory
	text                string // all but the lines of progress
}

// fuzz runs t. The error says which input fails.
func (t target) fuzz(ctx context.Context, duration time.Duration, parallel int) (result, error) {
	cmd := exec.CommandContext(ctx, "go", "test", "-tags", "invariants", "-run", "^$", "-fuzz", "^"+t.name+"$", "-fuzztime", duration.String(),
		"-fuzzminimizetime", minimizeFor.String(), "-parallel", strconv.Itoa(parallel), "./"+filepath.ToSlash(t.dir))
	cmd.Dir = t.module
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 10 * time.Second
	pipe, err := cmd.StdoutPipe()
	if err != nil {
		return result{}, err
	}
	cmd.Stderr = cmd.Stdout
	if err := cmd.Start(); err != nil {
		return result{}, err
	}
	r := read(pipe)
	err = cmd.Wait()
	switch {
	case r.failed != "":
		return r, fmt.Errorf("%v fails with %s", t, filepath.Join(t.module, t.dir, r.failed))
	case err != nil && !strings.Contains(r.text, lateForItsOwnEnd):
		return r, fmt.Errorf("%v: %v", t, err)
	}
	return r, nil
}

const (
	// minimizeFor bounds the time that goes into making one input smaller; go test's own minute is all that a target has.
	minimizeFor = 5 * time.Second
	// lateForItsOwnEnd is what go test fails with where the time is over while it makes an input smaller; nothing is wrong.
	lateForItsOwnEnd = "context deadline exceeded"
)

var (
	progress = regexp.MustCompile(`^fuzz: elapsed: .*execs: (\d+) .*new interesting: (\d+) \(total: (\d+)\)`)
	failing  = regexp.MustCompile(`^\s*Failing input written to (\S+)`)
)

// read takes what go test says.
func read(out io.Reader) (r result) {
	var text strings.Builder
	lines := bufio.NewReader(out)
	for {
		line, err := lines.ReadString('\n')
		if m := progress.FindStringSubmatch(line); m != nil {
			r.execs, _ = strconv.Atoi(m[1])
			r.fresh, _ = strconv.Atoi(m[2])
			r.total, _ = strconv.Atoi(m[3])
		} else if !strings.HasPrefix(line, "fuzz: ") {
			text.WriteString(line)
		}
		if m := failing.FindStringSubmatch(line); m != nil {
			r.failed = m[1]
		}
		if err != nil {
			r.text = text.String()
			return r
		}
	}
}

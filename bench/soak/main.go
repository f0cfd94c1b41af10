// Command soak puts a weft server under mixed load for a long time and fails if anything leaks or breaks: every message that comes back is
// compared, protocol errors must be none, memory and goroutines must stay flat and go when all is closed. Server and clients are processes of their own.
//
//	soak -time 30m       mixed load over HTTP/1.1 with and without TLS, HTTP/2 and HTTP/3
//	soak restart         10,000 WebSockets whose server restarts: all are told 1001 and come back spread over the first wait
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"time"

	"github.com/weftws/weft"
)

func main() {
	var err error
	switch {
	case len(os.Args) > 1 && os.Args[1] == "serve":
		err = serve(os.Args[2:])
	case len(os.Args) > 1 && os.Args[1] == "restart":
		err = restart(os.Args[2:])
	default:
		err = soak(os.Args[1:])
	}
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "FAIL:", err)
		os.Exit(1)
	}
}

func soak(args []string) error {
	fs := flag.NewFlagSet("soak", flag.ContinueOnError)
	total := fs.Duration("time", 5*time.Minute, "how long")
	every := fs.Duration("sample", 0, "time between samples of memory; 0: a tenth of -time, a minute at most")
	cores := fs.Float64("cores", 0.8, "processor time to use, of both processes together")
	workers := fs.Int("workers", 16, "WebSockets under way for each version of HTTP that come and go, and as many that stay")
	profiles := fs.String("memprofile", "", "write heap profiles of both processes into this directory with each sample")
	only := fs.String("only", "", "run this scenario only")
	over := fs.String("over", "", "use this version only: h1, h1+tls, h2 or h3")
	if err := fs.Parse(args); err != nil {
		return err
	}
	if *every == 0 {
		*every = min(*total/10, time.Minute)
	}
	if *over != "" {
		rungs, ok := versions[*over]
		if !ok {
			return fmt.Errorf("-over %s is no version", *over)
		}
		versions = map[string][]weft.Rung{*over: rungs}
	}
	r, err := newRun(*cores, *only)
	if err != nil {
		return err
	}
	defer r.server.kill()
	r.profiles = *profiles
	r.drive(*total, *every, *workers)
	return r.verdict()
}

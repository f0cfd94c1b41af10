package main

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"runtime"
	"runtime/debug"
	"runtime/pprof"
	"strconv"
	"strings"
	"syscall"

	"github.com/weftws/weft/bench/load"
	"github.com/weftws/weft/bench/peers"
)

// stats is what a server process says of itself, since it began.
type stats struct {
	CPU     int64  `json:"cpu_ns"`  // user and system time
	Mallocs uint64 `json:"mallocs"` // Go only
	Heap    int64  `json:"heap"`    // bytes: heap in use and stacks; Node: RSS
	RSS     int64  `json:"rss"`     // bytes
	Members int64  `json:"members,omitempty"`
	Dropped int64  `json:"dropped,omitempty"`
	Error   string `json:"error,omitempty"`
}

// room is the one of a server that broadcasts.
var room = new(peers.Room)

// serve is the server process: one peer on one address. Commands come on stdin, a line each, and every one is answered
// by a line of JSON: "stats", "gc", "profile FILE", "profile" (ends it), "heap FILE". The end of stdin ends the process.
func serve(args []string) error {
	fs := flag.NewFlagSet("serve", flag.ContinueOnError)
	addr := fs.String("addr", "127.0.0.1:0", "listen `address`")
	proto := fs.String("proto", "h2", "h3, h2, h1 or raw")
	cert := fs.String("cert", "", "certificate `file`; empty: without TLS")
	key := fs.String("key", "", "private key `file`")
	if len(args) == 0 {
		return errors.New("serve: which peer?")
	}
	if err := fs.Parse(args[1:]); err != nil {
		return err
	}
	p := peers.Named(args[0])
	if p == nil || p.Serve == nil {
		return fmt.Errorf("serve: no peer %q in this program", args[0])
	}
	o := peers.Options{Proto: load.Proto(*proto), Room: room}
	if *cert != "" {
		c, err := tls.LoadX509KeyPair(*cert, *key)
		if err != nil {
			return err
		}
		o.TLS = &tls.Config{Certificates: []tls.Certificate{c}}
	}
	l, err := listen(*addr, &o)
	if err != nil {
		return err
	}
	go func() {
		err := p.Serve(l, o)
		fmt.Fprintln(os.Stderr, "bench serve:", err)
		os.Exit(1)
	}()
	return obey(os.Stdin, os.Stdout, nil)
}

// listen opens the socket that o asks for and says where it is.
func listen(addr string, o *peers.Options) (l net.Listener, err error) {
	if o.Proto == load.H3 {
		if o.Packets, err = net.ListenPacket("udp", addr); err == nil {
			fmt.Println("ready", o.Packets.LocalAddr())
		}
		return nil, err
	}
	if l, err = net.Listen("tcp", addr); err == nil {
		fmt.Println("ready", l.Addr())
	}
	return l, err
}

// obey carries out the commands on in, and those that only this process knows.
func obey(in io.Reader, out io.Writer, own map[string]func(arg string) error) error {
	enc := json.NewEncoder(out)
	for sc := bufio.NewScanner(in); sc.Scan(); {
		var s stats
		var err error
		switch cmd, arg, _ := strings.Cut(sc.Text(), " "); cmd {
		case "stats":
			s, err = ownStats()
		case "gc":
			// Twice, so that what pools hold is dropped; then pages go back to the kernel for RSS.
			runtime.GC()
			runtime.GC()
			debug.FreeOSMemory()
		case "profile":
			err = profile(arg)
		case "heap":
			err = heapProfile(arg)
		default:
			if f := own[cmd]; f != nil {
				err = f(arg)
			} else {
				err = fmt.Errorf("unknown command %q", cmd)
			}
		}
		if err != nil {
			s.Error = err.Error()
		}
		if err := enc.Encode(s); err != nil {
			return err
		}
	}
	return nil
}

func ownStats() (s stats, err error) {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	s.Mallocs = m.Mallocs
	s.Members, s.Dropped = room.Members.Load(), room.Dropped.Load()
	s.Heap = int64(m.HeapInuse + m.StackInuse)
	if s.RSS, err = residentBytes(); err != nil {
		return s, err
	}
	s.CPU, err = cpuTime()
	return s, err
}

// cpuTime is this process's user and system time in nanoseconds. The kernel derives the sum from its scheduler's clock, so it
// is exact even where the split is sampled.
func cpuTime() (int64, error) {
	var ru syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &ru); err != nil {
		return 0, err
	}
	return ru.Utime.Nano() + ru.Stime.Nano(), nil
}

func residentBytes() (int64, error) {
	b, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0, nil // not Linux: not reported
	}
	f := bytes.Fields(b)
	if len(f) < 2 {
		return 0, fmt.Errorf("statm reads %q", b)
	}
	pages, err := strconv.ParseInt(string(f[1]), 10, 64)
	return pages * int64(os.Getpagesize()), err
}

var profileFile *os.File

// profile begins a CPU profile in file, or ends it if file is "".
func profile(file string) (err error) {
	if file == "" {
		pprof.StopCPUProfile()
		return profileFile.Close()
	}
	if profileFile, err = os.Create(file); err != nil {
		return err
	}
	return pprof.StartCPUProfile(profileFile)
}

// heapProfile writes what was allocated since the process began, and what is in use; and into a second file, .txt, what the profile
// does not say: spans in part unused, stacks, and objects by size class.
func heapProfile(file string) error {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	f, err := os.Create(file)
	if err != nil {
		return err
	}
	return errors.Join(pprof.Lookup("heap").WriteTo(f, 0), f.Close(),
		os.WriteFile(strings.TrimSuffix(file, ".pprof")+".txt", classes(&m), 0o666))
}

// classes is m's heap, stacks and objects in use, a size class on a line.
func classes(m *runtime.MemStats) []byte {
	b := fmt.Appendf(nil, "heap in use %d\nin objects %d\nstacks %d\ngoroutines %d\n\n%8s %8s %10s\n",
		m.HeapInuse, m.HeapAlloc, m.StackInuse, runtime.NumGoroutine(), "class", "objects", "bytes")
	for _, c := range m.BySize {
		if n := c.Mallocs - c.Frees; n > 0 {
			b = fmt.Appendf(b, "%8d %8d %10d\n", c.Size, n, n*uint64(c.Size))
		}
	}
	return b
}

package h2

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"testing"
	"time"
)

// TestH2Spec runs the h2spec conformance suite against the engine behind a plain TCP loop.
func TestH2Spec(t *testing.T) {
	path := os.Getenv("H2SPEC")
	if path == "" {
		t.Skip("the environment variable H2SPEC names no h2spec binary")
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	go func() {
		for {
			nc, err := ln.Accept()
			if err != nil {
				return
			}
			go serveHello(nc)
		}
	}()

	port := strconv.Itoa(ln.Addr().(*net.TCPAddr).Port)
	args := []string{"-S", "-h", "127.0.0.1", "-p", port, "-o", "3"}
	if v := os.Getenv("H2SPEC_CASES"); v != "" {
		args = append([]string{v}, args...)
	}
	out, err := exec.Command(path, args...).CombinedOutput()
	if err != nil {
		t.Errorf("h2spec: %v\n%s", err, out)
	}
	m := regexp.MustCompile(`(\d+) tests, (\d+) passed, (\d+) skipped, (\d+) failed`).FindSubmatch(out)
	if m == nil {
		t.Fatalf("h2spec printed no summary:\n%s", out)
	}
	t.Logf("h2spec: %s", m[0])
	if string(m[1]) != string(m[2]) {
		t.Errorf("not all cases passed:\n%s", out)
	}
}

// serveHello answers every request on nc with "hello".
func serveHello(nc net.Conn) {
	defer nc.Close()
	c := New(time.Now(), Config{Side: Server, ConnectProtocol: true})
	buf := make([]byte, 0, 64<<10)
	for {
		for c.HasOutput() {
			if _, err := nc.Write(c.AppendOutput(nil, 64<<10)); err != nil {
				return
			}
		}
		if c.Failed() {
			nc.(*net.TCPConn).CloseWrite()
			nc.SetReadDeadline(time.Now().Add(time.Second))
			for {
				if _, err := nc.Read(buf[:1]); err != nil {
					return
				}
			}
		}
		n, err := nc.Read(buf[len(buf):cap(buf)])
		if err != nil {
			return
		}
		buf = buf[:len(buf)+n]
		taken := c.Recv(time.Now(), buf)
		for ev := c.NextEvent(); ev != nil; ev = c.NextEvent() {
			answerHello(c, ev)
		}
		buf = buf[:copy(buf, buf[taken:])]
	}
}

func answerHello(c *Conn, ev *Event) {
	switch ev.Kind {
	case EventHeaders, EventTrailers:
	case EventData:
		c.Consume(ev.Stream, ev.Size)
	case EventReset:
		c.Release(ev.Stream)
		return
	default:
		return
	}
	if ev.End {
		c.SendHeaders(ev.Stream, Pseudo{Status: 200}, []Field{{"content-length", fmt.Sprint(len("hello"))}}, false)
		c.SendData(ev.Stream, nil, []byte("hello"), true)
		c.Release(ev.Stream)
	}
}

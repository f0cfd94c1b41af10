package weft_test

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"log"
	"net"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"sync"
	"sync/atomic"
	"time"

	"github.com/weftws/weft"
)

// beside runs attack beside a well-behaved WebSocket on a connection of its own, and holds the process to maxHeap bytes more than before.
// What the bystander waits is compared with the same on a server of this process that nobody attacks: both have as little of the machine.
func (a *arena) beside(maxHeap int64, attack func()) {
	a.Helper()
	d := &weft.Dialer{TLSConfig: a.tls, Policy: weft.Policy{Rungs: []weft.Rung{weft.Settings}}}
	defer d.Close()
	bystander, control := a.bystander(d, a.addr), a.bystander(d, a.quietServer())
	defer bystander.CloseNow()
	defer control.CloseNow()
	// What waits for the collector counts as well: let that be little.
	defer debug.SetGCPercent(debug.SetGCPercent(25))
	runtime.GC()
	before := heapBytes()
	var peak atomic.Int64
	var echoes atomic.Int64
	var slowest, all, elsewhere time.Duration
	stop := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		tick := time.NewTicker(2 * time.Millisecond)
		defer tick.Stop()
		for n := 0; ; n++ {
			message := fmt.Sprintf("message %d", n)
			took, err := echoTime(bystander, message)
			if err != nil {
				a.Errorf("the bystander's echo %d: %v", n, err)
				return
			}
			quiet, err := echoTime(control, message)
			if err != nil {
				a.Errorf("the echo %d of a server that nobody attacks: %v", n, err)
				return
			}
			slowest, all, elsewhere = max(slowest, took), all+took, elsewhere+quiet
			echoes.Add(1)
			peak.Store(max(peak.Load(), heapBytes()))
			select {
			case <-tick.C:
			case <-stop:
				return
			}
		}
	})
	attack()
	after := echoes.Load()
	a.await("the bystander's echoes", func() bool { return a.Failed() || echoes.Load() >= after+3 })
	close(stop)
	wg.Wait()
	grown := peak.Load() - before
	n := time.Duration(max(echoes.Load(), 1))
	a.Logf("bystander: %d echoes, the slowest %v, on average %v, %v elsewhere; heap grew by %d KiB", n, slowest, all/n, elsewhere/n, grown>>10)
	// Choice: the mean. A single one may take seconds on a machine that is busy with something else.
	if all > 4*elsewhere+n*250*time.Millisecond {
		a.Errorf("the bystander waited %v for %d echoes, %v on a server that nobody attacks", all, n, elsewhere)
	}
	if grown > maxHeap {
		a.Errorf("the heap grew by %d bytes, want at most %d", grown, maxHeap)
	}
}

// bystander opens a WebSocket that echoes.
func (a *arena) bystander(d *weft.Dialer, addr string) *weft.Conn {
	a.Helper()
	c, _, err := d.Dial(a.Context(), "wss://"+addr+"/ws", nil)
	if err != nil {
		a.Fatalf("bystander: %v", err)
	}
	return c
}

// quietServer starts a server that nobody attacks.
func (a *arena) quietServer() (addr string) {
	a.Helper()
	s := &weft.Server{
		Handler: echoCallbacks1MiB(nil), TLSConfig: &tls.Config{Certificates: []tls.Certificate{attackCertificate().Certificate}}, ErrorLog: log.New(io.Discard, "", 0),
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		a.Fatal(err)
	}
	served := make(chan struct{})
	go func() {
		defer close(served)
		s.ServeTLS(l, "", "")
	}()
	a.Cleanup(func() {
		s.Close()
		<-served
	})
	return l.Addr().String()
}

// echoTime is how long the echo of message takes.
func echoTime(c *weft.Conn, message string) (time.Duration, error) {
	ctx, cancel := context.WithTimeout(context.Background(), attackPatience)
	defer cancel()
	start := time.Now()
	if err := c.Write(ctx, weft.MessageText, []byte(message)); err != nil {
		return 0, err
	}
	_, p, err := c.Read(ctx)
	if err == nil && string(p) != message {
		err = fmt.Errorf("the echo of %q is %q", message, p)
	}
	return time.Since(start), err
}

// heapBytes is what objects take, those that wait for the garbage collector included.
func heapBytes() int64 {
	s := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
	metrics.Read(s)
	return int64(s[0].Value.Uint64())
}

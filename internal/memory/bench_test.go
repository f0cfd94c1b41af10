package memory

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/weftws/weft/negotiate"
)

// What a dial waits for.
func BenchmarkFilePut(b *testing.B) {
	for name, origins := range map[string]int{"1": 1, "1000": 1000} {
		b.Run("origins="+name, func(b *testing.B) {
			f := NewFile(filepath.Join(b.TempDir(), "memory"), FileOptions{OnError: func(err error) { b.Error(err) }})
			for i := range origins {
				f.Put(key(i), said(negotiate.Settings, 1))
			}
			f.Flush()
			entry := said(negotiate.Settings, 2)
			longest := time.Duration(0)
			for b.Loop() {
				began := time.Now()
				f.Put(key(0), entry)
				longest = max(longest, time.Since(began))
			}
			b.ReportMetric(float64(longest.Microseconds()), "longest-us")
			f.Flush()
		})
	}
}

// What a program waits for at its end, and the file costs each time that it is written.
func BenchmarkFileFlush(b *testing.B) {
	for name, origins := range map[string]int{"1": 1, "1000": 1000} {
		b.Run("origins="+name, func(b *testing.B) {
			f := NewFile(filepath.Join(b.TempDir(), "memory"), FileOptions{OnError: func(err error) { b.Error(err) }})
			for i := range origins {
				f.Put(key(i), said(negotiate.Settings, 1))
			}
			entry := said(negotiate.Settings, 2)
			for b.Loop() {
				f.Put(key(0), entry)
				f.Flush()
			}
		})
	}
}

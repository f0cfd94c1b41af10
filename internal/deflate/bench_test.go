package deflate

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/klauspost/compress/flate"
)

var benchCases = []struct {
	size     int
	takeover bool
}{{125, false}, {125, true}, {4096, false}, {4096, true}}

// BenchmarkCompress reports pct, the compressed size in percent.
func BenchmarkCompress(b *testing.B) {
	for _, bc := range benchCases {
		b.Run(fmt.Sprintf("size=%d/takeover=%v", bc.size, bc.takeover), func(b *testing.B) {
			c := NewCompressor(15, bc.takeover)
			messages := benchMessages(bc.size)
			var out []byte
			n := 0
			b.SetBytes(int64(bc.size))
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				out = c.AppendMessage(out[:0], messages[i%len(messages)])
				n += len(out)
			}
			b.ReportMetric(100*float64(n)/float64(b.N)/float64(bc.size), "pct")
		})
	}
}

func BenchmarkInflate(b *testing.B) {
	for _, bc := range benchCases {
		b.Run(fmt.Sprintf("size=%d/takeover=%v", bc.size, bc.takeover), func(b *testing.B) {
			c, d := NewCompressor(15, bc.takeover), NewDecompressor(15, bc.takeover)
			var out, payload []byte
			for range 3 { // the same message again and again fits the window every time
				for _, msg := range benchMessages(bc.size)[:8] {
					payload = c.AppendMessage(nil, msg)
					out, _ = d.AppendMessage(out[:0], payload, 0)
				}
			}
			payload = c.AppendMessage(nil, out)
			b.SetBytes(int64(bc.size))
			b.ReportAllocs()
			for b.Loop() {
				out, _ = d.AppendMessage(out[:0], payload, 0)
			}
		})
	}
}

func benchMessages(size int) (messages [][]byte) {
	for i := range uint64(1024) {
		messages = append(messages, jsonText(i+1000, size))
	}
	return messages
}

// BenchmarkHistory is behind the choices of maxHistory.
func BenchmarkHistory(b *testing.B) {
	for _, size := range []int{125, 4096} {
		for _, history := range []int{1 << 10, 2 << 10, 4 << 10, 8 << 10, 32 << 10} {
			b.Run(fmt.Sprintf("size=%d/history=%d", size, history), func(b *testing.B) {
				c := NewCompressor(15, true)
				c.window.size = int32(history)
				messages := benchMessages(size)
				c.window.push(bytes.Join(messages, nil))
				var out []byte
				n := 0
				for i := 0; b.Loop(); i++ {
					out = c.AppendMessage(out[:0], messages[i%len(messages)])
					n += len(out)
				}
				b.ReportMetric(100*float64(n)/float64(b.N)/float64(size), "pct")
			})
		}
	}
}

// BenchmarkLevels is behind the choice of NewWriterWindow: 4 KiB without history.
func BenchmarkLevels(b *testing.B) {
	messages := benchMessages(4096)
	run := func(name string, w *flate.Writer) {
		b.Run(name, func(b *testing.B) {
			var out appender
			n := 0
			for i := 0; b.Loop(); i++ {
				out.b = out.b[:0]
				w.Reset(&out)
				_, err := w.Write(messages[i%len(messages)])
				must(err)
				must(w.Flush())
				n += len(out.b)
			}
			b.ReportMetric(100*float64(n)/float64(b.N)/4096, "pct")
		})
	}
	for level := 1; level <= 9; level++ {
		w, err := flate.NewWriter(nil, level)
		must(err)
		run(fmt.Sprint("level=", level), w)
	}
	w, err := flate.NewWriterWindow(nil, 1<<15)
	must(err)
	run("window", w)
}

// BenchmarkDeflateTakeover and BenchmarkDeflateNoTakeover send 1 KiB of text from one end to the other, on 100 connections in turn.
func BenchmarkDeflateTakeover(b *testing.B)   { benchmarkDeflate(b, 12, true) }
func BenchmarkDeflateNoTakeover(b *testing.B) { benchmarkDeflate(b, 15, false) }

func benchmarkDeflate(b *testing.B, bits int, takeover bool) {
	const size = 1 << 10
	ends := newEnds(100, bits, takeover)
	messages := benchMessages(size)
	var payload, out []byte
	n := 0
	b.SetBytes(size)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		e := ends[i%len(ends)]
		payload = e.c.AppendMessage(payload[:0], messages[i%len(messages)])
		var err error
		if out, err = e.d.AppendMessage(out[:0], payload, 0); err != nil {
			b.Fatal(err)
		}
		n += len(payload)
	}
	b.ReportMetric(100*float64(n)/float64(b.N)/size, "pct")
}

// BenchmarkIdleMemory reports what an idle connection holds, both directions, after 64 KiB of 125-byte messages each way.
func BenchmarkIdleMemory(b *testing.B) {
	for _, bc := range []struct {
		bits     int
		takeover bool
	}{{15, false}, {12, true}, {15, true}} {
		b.Run(fmt.Sprintf("bits=%d/takeover=%v", bc.bits, bc.takeover), func(b *testing.B) {
			for b.Loop() {
				b.ReportMetric(heldEach(b, bc.bits, bc.takeover, 512, 125), "B/conn")
			}
		})
	}
}

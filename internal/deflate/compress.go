package deflate

import (
	"sync"

	"github.com/klauspost/compress/flate"
)

// A Compressor compresses the messages of one direction. While idle it holds its window with context takeover (up to
// 3 KiB) and nothing without; the codec comes from a pool for the length of a call. RFC 7692, Section 7.2.1.
type Compressor struct {
	bits     int
	takeover bool
	window   window
	out      appender // here and not on the stack: it escapes into the codec
}

// NewCompressor returns a Compressor that refers back at most 2^windowBits bytes: 8 to 15, 0 means 15. takeover keeps the
// window between messages.
func NewCompressor(windowBits int, takeover bool) *Compressor {
	bits := checkBits(windowBits)
	return &Compressor{bits: bits, takeover: takeover, window: window{size: min(1<<bits, maxHistory)}}
}

// maxHistory is how many bytes of earlier messages a Compressor keeps and refers to.
//
// Choice: any value up to 2^bits conforms, since the agreed window is an upper bound. The codec is shared, so the history
// is indexed anew for each message, which costs 1 to 3 ns a byte; and a connection pays for it in memory: with 4 KiB for what the
// peer sends it stays under 8 KiB (TestIdleMemory). On 4 KiB of JSON-like text, 4 KiB of history save another 0.1 % of the
// message's size, and 32 KiB 0.5 % in three times as long (BenchmarkHistory).
const maxHistory = 3 << 10

// AppendMessage appends the compressed form of a whole message to dst, without the trailing 00 00 ff ff. An empty message
// is one octet 00.
func (c *Compressor) AppendMessage(dst, msg []byte) []byte { return c.AppendChunk(dst, msg, true) }

// AppendChunk compresses one part of a message that goes out in fragments; fin with the last. Each part is flushed, so
// that the peer can inflate all of it at once. Between the parts the Compressor holds a window, with takeover or without, but
// no codec.
func (c *Compressor) AppendChunk(dst, p []byte, fin bool) []byte {
	dst = c.appendBlocks(dst, p)
	if !fin || c.takeover {
		c.window.push(p)
	} else {
		c.window.drop()
	}
	if fin {
		// "Remove 4 octets (that are 0x00 0x00 0xff 0xff) from the tail end." RFC 7692, Section 7.2.1.
		dst = dst[:len(dst)-len(emptyBlockLengths)]
	}
	return dst
}

// Close gives back what is held. The Compressor may be used again, but its peer's window would no longer match.
func (c *Compressor) Close() { c.window.drop() }

// emptyBlockLengths are LEN and NLEN of an empty stored block. RFC 1951, Section 3.2.4.
const emptyBlockLengths = "\x00\x00\xff\xff"

// appendBlocks appends the DEFLATE blocks of p, ended by an empty stored block so that they end at an octet's boundary.
//
// Invariant: no distance is above 2^bits. The small path refers to nothing that is further away; the large one uses a
// writer whose matcher is bound to the window.
func (c *Compressor) appendBlocks(dst, p []byte) []byte {
	history := c.window.buf
	c.out.b = dst
	switch {
	case len(p) == 0:
		c.out.b = append(c.out.b, 0)
		c.out.b = append(c.out.b, emptyBlockLengths...)
	case len(p) < minWriterBytes:
		history = history[max(0, len(history)-min(maxSmallHistory, 1<<c.bits-len(p))):]
		must(flate.StatelessDeflate(&c.out, p, false, history))
	default:
		w := borrowWriter(c.bits)
		w.ResetDict(&c.out, history)
		_, err := w.Write(p)
		must(err)
		must(w.Flush())
		returnWriter(w, c.bits)
	}
	dst, c.out.b = c.out.b, nil
	return dst
}

// minWriterBytes is the shortest input in which klauspost's writer looks for matches at all; below it stores or
// Huffman-codes, history or not (flate.(*compressor).storeFast). StatelessDeflate does look, at the price of one
// allocation when there is history.
const minWriterBytes = 128

// maxSmallHistory is how much history StatelessDeflate is given, which copies and indexes all of it. For messages of 125
// bytes, 4 KiB instead of 2 KiB save another 1 % of the message's size and cost half as much time again (BenchmarkHistory).
const maxSmallHistory = 2 << 10

// writers holds writers bound to a window of 2^bits bytes, by bits.
//
// Choice: NewWriterWindow for all of them, which is klauspost's level 5 and the only one that honours a small window. On 4 KiB
// of JSON-like text (BenchmarkLevels) level 1 takes a fifth less time and leaves a tenth more; level 6 saves 0.7 % of
// the message's size; levels 7 to 9 save 1 % and take two to three times as long.
var writers [maxWindowBits + 1]sync.Pool

func borrowWriter(bits int) *flate.Writer {
	if w, ok := writers[bits].Get().(*flate.Writer); ok {
		return w
	}
	w, err := flate.NewWriterWindow(nil, 1<<bits)
	must(err)
	return w
}

// returnWriter lets go of the connection's buffers before the writer goes back.
func returnWriter(w *flate.Writer, bits int) {
	w.ResetDict(nil, nil)
	writers[bits].Put(w)
}

// An appender is an io.Writer that appends.
type appender struct{ b []byte }

func (a *appender) Write(p []byte) (int, error) {
	a.b = append(a.b, p...)
	return len(p), nil
}

// must panics on an error of the codec's writing side: an appender never fails, so there is none.
func must(err error) {
	if err != nil {
		panic("deflate: compressing into memory failed: " + err.Error())
	}
}

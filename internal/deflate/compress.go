package deflate

import (
	"sync"

	"github.com/klauspost/compress/flate"
)

// A Compressor compresses the messages of one direction. While idle it holds its window with context takeover (up to
// 2 KiB) and nothing without; the codec comes from a pool for the length of a call. RFC 7692, Section 7.2.1.
type Compressor struct {
	window   window
	bits     uint8
	takeover bool
}

// NewCompressor returns a Compressor that refers back at most 2^windowBits bytes: 8 to 15, 0 means 15. takeover keeps the
// window between messages.
func NewCompressor(windowBits int, takeover bool) *Compressor {
	bits := checkBits(windowBits)
	return &Compressor{bits: uint8(bits), takeover: takeover, window: window{size: int32(min(1<<bits, maxHistory))}}
}

// maxHistory is how many bytes of earlier messages a Compressor keeps and refers to.
//
// Choice: any value up to 2^bits conforms, since the agreed window is an upper bound. The codec is shared, so the history
// is indexed anew for each message, which costs 1 to 3 ns a byte; and a connection pays for it in memory: with 4 KiB for what the
// peer sends, and the WebSocket, it stays under 8 KiB (TestIdleMemory). On 1 KiB of JSON-like text, 3 KiB of history would save another
// 0.14 % of the message's size, and 4 KiB 0.19 %; on 4 KiB 0.07 and 0.09 %, and 32 KiB 0.5 % in three times as long; on 125 bytes 4 KiB
// would save 1 % of the message's compressed size and cost half as much time again (BenchmarkHistory).
const maxHistory = 2 << 10

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
	if len(p) == 0 {
		return append(append(dst, 0), emptyBlockLengths...)
	}
	history := c.window.buf
	out := appenders.Get().(*appender)
	out.b = dst
	if len(p) < minWriterBytes {
		history = history[max(0, len(history)-(1<<c.bits-len(p))):]
		must(flate.StatelessDeflate(out, p, false, history))
	} else {
		w := borrowWriter(c.bits)
		w.ResetDict(out, history)
		_, err := w.Write(p)
		must(err)
		must(w.Flush())
		returnWriter(w, c.bits)
	}
	dst, out.b = out.b, nil
	appenders.Put(out)
	return dst
}

// minWriterBytes is the shortest input in which klauspost's writer looks for matches at all; below it stores or
// Huffman-codes, history or not (flate.(*compressor).storeFast). StatelessDeflate does look, at the price of one
// allocation when there is history.
const minWriterBytes = 128

// writers holds writers bound to a window of 2^bits bytes, by bits.
//
// Choice: NewWriterWindow for all of them, which is klauspost's level 5 and the only one that honours a small window. On 4 KiB
// of JSON-like text (BenchmarkLevels) level 1 takes a fifth less time and leaves a tenth more; level 6 saves 0.7 % of
// the message's size; levels 7 to 9 save 1 % and take two to three times as long.
var writers [maxWindowBits + 1]sync.Pool

func borrowWriter(bits uint8) *flate.Writer {
	if w, ok := writers[bits].Get().(*flate.Writer); ok {
		return w
	}
	w, err := flate.NewWriterWindow(nil, 1<<bits)
	must(err)
	return w
}

// returnWriter lets go of the connection's buffers before the writer goes back.
func returnWriter(w *flate.Writer, bits uint8) {
	w.ResetDict(nil, nil)
	writers[bits].Put(w)
}

// An appender is an io.Writer that appends.
type appender struct{ b []byte }

// appenders are in use for the length of a call: on the stack none can be, since it escapes into the codec.
var appenders = sync.Pool{New: func() any { return new(appender) }}

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

package deflate

// The bounds of server_max_window_bits and client_max_window_bits. RFC 7692, Section 7.1.2.
const (
	minWindowBits = 8
	maxWindowBits = 15
)

// A window is the LZ77 sliding window of one direction: the last bytes that went through it, oldest first.
type window struct {
	buf  []byte // Invariant: len(buf) <= size
	size int32
}

// push lets p slide in at the end. The buffer grows by doubling, and only to what has been seen.
func (w *window) push(p []byte) {
	size := int(w.size)
	if len(p) >= size {
		p = p[len(p)-size:]
		w.buf = append(w.grown(len(p))[:0], p...)
		return
	}
	keep := min(len(w.buf), size-len(p))
	old := w.buf[len(w.buf)-keep:]
	buf := w.grown(keep + len(p))[:keep]
	copy(buf, old) // within one array in the usual case; copy allows overlap
	w.buf = append(buf, p...)
}

// grown returns a buffer with room for n bytes, the window's own where that is large enough.
func (w *window) grown(n int) []byte {
	if cap(w.buf) >= n {
		return w.buf
	}
	return make([]byte, 0, min(max(n, 2*cap(w.buf), minWindowAlloc), int(w.size)))
}

const minWindowAlloc = 256

// drop forgets the window and gives its memory back.
func (w *window) drop() { w.buf = nil }

// checkBits reads 0 as the default of 15 and panics outside of 8 to 15: the negotiation lets nothing else through.
func checkBits(bits int) int {
	switch {
	case bits == 0:
		return maxWindowBits
	case bits < minWindowBits || bits > maxWindowBits:
		panic("deflate: window bits out of range 8 to 15")
	}
	return bits
}

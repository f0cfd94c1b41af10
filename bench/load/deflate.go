package load

import (
	"bytes"
	"compress/flate"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"sync"
)

// What a browser offers of RFC 7692. The load refers to no earlier message of its own, which needs no window; the server keeps one
// because it cannot know.
const (
	extensionsField = "Sec-WebSocket-Extensions"
	deflateOffer    = "permessage-deflate; client_max_window_bits"
	maxWindow       = 32 << 10
)

// checkDeflate wants context takeover in both directions.
func checkDeflate(answer string) error {
	if !strings.Contains(answer, "permessage-deflate") || strings.Contains(answer, "no_context_takeover") {
		return fmt.Errorf("the server answered the offer of permessage-deflate with %q, which is not with context takeover", answer)
	}
	return nil
}

// newDeflateScript is a script of JSON, compressed.
func newDeflateScript(size int) *script {
	rng := rand.New(rand.NewPCG(2, uint64(size)))
	s := &script{deflate: true}
	for range 16 {
		var text []byte
		for len(text) < size {
			text = fmt.Appendf(text, `{"id":%d,"name":"sensor-%d","value":%.3f,"unit":"celsius","ok":true},`, rng.IntN(1<<30), rng.IntN(1000), 40*rng.Float64())
		}
		text = text[:size]
		frame := appendClientFrame(nil, opText, deflateAlone(text), rng.Uint32())
		frame[0] |= rsv1
		s.frames, s.texts = append(s.frames, frame), append(s.texts, text)
		s.echoes = append(s.echoes, append(appendFrameHeader(nil, opText, 0, size), text...)) // a server need not compress
	}
	return s
}

const rsv1 = 0x40 // "compressed", RFC 7692, Section 6

// deflateAlone compresses text as RFC 7692, Section 7.2.1, says.
func deflateAlone(text []byte) []byte {
	var b bytes.Buffer
	w, err := flate.NewWriter(&b, flate.DefaultCompression)
	if err != nil {
		panic(err) // only for a level that does not exist
	}
	w.Write(text)
	w.Flush()
	return bytes.TrimSuffix(b.Bytes(), []byte{0, 0, 0xff, 0xff})
}

// unpack compares the compressed echo that is due. The server may refer to everything it sent before, which is known: the script.
func (e *echo) unpack() error {
	text := e.texts[e.received%len(e.texts)]
	// "Append 4 octets of 0x00 0x00 0xff 0xff to the tail end of the payload of the message." RFC 7692, Section 7.2.2. The rest is an
	// empty last block, which compress/flate wants to see.
	in := bytes.NewReader(append(e.packed, "\x00\x00\xff\xff\x01\x00\x00\xff\xff"...))
	r := inflaters.Get().(io.ReadCloser)
	defer inflaters.Put(r)
	if err := r.(flate.Resetter).Reset(in, e.history(e.received)); err != nil {
		return err
	}
	got, err := io.ReadAll(io.LimitReader(r, int64(len(text))+1))
	e.packed, e.packing = nil, false
	if err != nil {
		return fmt.Errorf("echo %d: %w", e.received, err)
	}
	if !bytes.Equal(got, text) {
		return e.mismatch()
	}
	e.off = len(text)
	return nil
}

var inflaters = sync.Pool{New: func() any { return flate.NewReader(nil) }}

// history is what the server has sent before message n, as much as a window holds.
func (s *script) history(n int) []byte {
	all := bytes.Join(s.texts, nil)
	whole := min(n/len(s.texts), maxWindow/len(all)+1)
	h := append(bytes.Repeat(all, whole), all[:n%len(s.texts)*len(s.texts[0])]...)
	return h[max(0, len(h)-maxWindow):]
}

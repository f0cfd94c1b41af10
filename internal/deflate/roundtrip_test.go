package deflate

import (
	"bytes"
	"fmt"
	"testing"
)

func TestRoundTrip(t *testing.T) {
	for _, bits := range []int{0, 8, 9, 12, 15} {
		for _, takeover := range []bool{false, true} {
			for _, chunk := range []int{0, 3000} {
				t.Run(fmt.Sprintf("bits=%d/takeover=%v/chunk=%d", bits, takeover, chunk), func(t *testing.T) {
					c, d := NewCompressor(bits, takeover), NewDecompressor(bits, takeover)
					for i, msg := range samples(max(bits, 8)) {
						payload := compressIn(c, msg, chunk)
						got, err := d.AppendMessage([]byte("before"), payload, int64(len(msg)))
						if err != nil || string(got[:6]) != "before" || !bytes.Equal(got[6:], msg) {
							t.Fatalf("message %d of %d bytes: error %v", i, len(msg), err)
						}
					}
				})
			}
		}
	}
}

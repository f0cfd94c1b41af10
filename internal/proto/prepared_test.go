package proto

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/weftws/weft/internal/deflate"
	"github.com/weftws/weft/internal/frame"
)

// Prepared messages between others are what the peer's Receiver gets, for every agreement: with context takeover its window stays
// the same as ours.
func TestPrepared(t *testing.T) {
	message := func(i int) []byte { return bytes.Repeat(fmt.Appendf(nil, "message %d of some length, ", i), 1+i*7) }
	for _, side := range []frame.Side{frame.Client, frame.Server} {
		for bits := 8; bits <= 16; bits++ {
			for _, noTakeover := range []bool{true, false} {
				params := &deflate.Params{
					ServerMaxWindowBits: bits, ClientMaxWindowBits: bits,
					ServerNoContextTakeover: noTakeover, ClientNoContextTakeover: noTakeover,
				}
				if bits == 16 {
					params = nil
				}
				s := NewSender(Config{Side: side, Deflate: params})
				r := NewReceiver(Config{Side: side.Peer(), Deflate: params})
				r.Whole = true
				want := bits
				if params == nil {
					want = 0
				}
				if got := s.WindowBits(); got != want {
					t.Fatalf("window bits %d, want %d", got, want)
				}
				key := [4]byte{1, 2, 3, 4}
				for i := range 30 {
					p := message(i)
					var sent []byte
					if i%3 == 0 {
						head, body, _ := s.Message(nil, frame.Text, p, true, true, key)
						sent = append(append(sent, head...), body...)
					} else {
						m := Prepare(frame.Text, p, s.WindowBits()*(i%2))
						sent, _ = s.Prepared(nil, m, key)
						if len(sent) > m.Len() {
							t.Errorf("a frame of %d bytes, Len says %d", len(sent), m.Len())
						}
						s.SentPrepared(m)
					}
					ev, _ := r.Recv(bytes.Clone(sent))
					if ev.Kind != Message || !bytes.Equal(ev.Payload, p) {
						t.Fatalf("%v, %d bits, takeover %v, message %d: %v %s", side, bits, !noTakeover, i, ev.Kind, ev.Detail)
					}
				}
				s.AppendClose(nil, 1000, "", key)
				if f, _ := s.Prepared(nil, Prepare(frame.Text, nil, 0), key); f != nil {
					t.Error("a message after the Close frame")
				}
			}
		}
	}
}

package websocket

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/weftws/weft/internal/deflate"
	"github.com/weftws/weft/internal/frame"
	"github.com/weftws/weft/internal/transport"
)

// Whatever a peer sends, ReadMessage and NextReader read the same, in whatever pieces it comes and is read, and end alike. What is
// not read to its end is passed over.
func FuzzRead(f *testing.F) {
	f.Add([]byte("\x81\x05Hello\x01\x03Hel\x89\x01x\x80\x02lo\x88\x02\x03\xe8"), uint8(2), []byte{3, 1, 250}, false)
	f.Add([]byte("\xc1\x07\xf2\x48\xcd\xc9\xc9\x07\x00\xc1\x05\xf2\x00\x11\x00\x00"), uint8(0), []byte{0}, true)
	f.Add([]byte("\x81\x03a\xffb\x82\x00"), uint8(1), []byte{1}, false)
	f.Add([]byte("\x82\x7e\x00\x7e"+strings.Repeat("x", 126)+"\x82\x85abcd"), uint8(200), []byte{255, 7}, false)
	f.Fuzz(func(t *testing.T, in []byte, step uint8, reads []byte, compress bool) {
		open := func() *Conn {
			d := transport.Detached{Stream: &received{in: slices.Clone(in), step: int(step) + 1}, Side: frame.Client, MaskKey: func() [4]byte { return [4]byte{} }}
			if compress {
				d.Deflate = &deflate.Params{ServerMaxWindowBits: 15, ClientMaxWindowBits: 15}
			}
			c := newConn(d, 0)
			c.SetReadLimit(1 << 12)
			return c
		}
		var want []string
		c := open()
		for {
			kind, p, err := c.ReadMessage()
			if err != nil {
				want = append(want, err.Error())
				break
			}
			want = append(want, fmt.Sprintf("%d %x", kind, p))
		}
		c = open()
		for i := 0; ; {
			kind, r, err := c.NextReader()
			got, complete := "", false
			if err == nil {
				got, complete, err = readPieces(r, reads)
				got = fmt.Sprintf("%d %x", kind, got)
			}
			if err != nil {
				if i != len(want)-1 || err.Error() != want[i] {
					t.Fatalf("%x: message %d: %v, want %q", in, i, err, want[i:])
				}
				return
			}
			if i == len(want)-1 && !complete {
				continue // it was not read far enough to meet what is wrong with it
			}
			if i == len(want)-1 || complete && got != want[i] || !complete && !strings.HasPrefix(want[i], got) {
				t.Fatalf("%x: message %d: %q, want %q", in, i, got, want[i])
			}
			i++
		}
	})
}

// readPieces reads a message with buffers of the given sizes; a size above 250 ends it early.
func readPieces(r io.Reader, sizes []byte) (got string, complete bool, err error) {
	var b strings.Builder
	for i := 0; ; i++ {
		size := 16
		if len(sizes) > 0 {
			size = int(sizes[i%len(sizes)])
		}
		if size > 250 {
			return b.String(), false, nil
		}
		p := make([]byte, size+1)
		n, err := r.Read(p)
		b.Write(p[:n])
		if err == io.EOF {
			return b.String(), true, nil
		}
		if err != nil {
			return b.String(), false, err
		}
	}
}

// A received stream has bytes to receive, in pieces, and takes what is sent.
type received struct {
	transport.Stream // nil: no other method is called
	in               []byte
	step             int
}

func (s *received) Receive() ([]byte, error) {
	if len(s.in) == 0 {
		return nil, io.EOF
	}
	n := min(s.step, len(s.in))
	p := s.in[:n:n]
	s.in = s.in[n:]
	return p, nil
}

func (s *received) Send(head, body []byte) (int, error) { return len(head) + len(body), nil }
func (s *received) TrySend([]byte) bool                 { return true }
func (s *received) SetWriteDeadline(time.Time)          {}
func (s *received) Info() transport.Info                { return transport.Info{Proto: "HTTP/1.1"} }

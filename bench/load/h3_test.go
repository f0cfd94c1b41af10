package load

import (
	"bytes"
	"strings"
	"testing"
)

// A server may cut its echoes into DATA frames as it likes, and QUIC those into pieces.
func TestH3Recv(t *testing.T) {
	sc := newScript(125, false)
	data := func(p []byte) []byte { return append(appendH3Head(nil, h3Data, len(p)), p...) }
	one, two := sc.echoes[0], sc.echoes[1]
	tests := []struct {
		name string
		in   []byte
		done int
		err  string // part of it
	}{
		{"a frame each", append(data(one), data(two)...), 2, ""},
		{"both in one", data(append(bytes.Clone(one), two...)), 2, ""},
		{"in three, one of them empty", bytes.Join([][]byte{data(one[:5]), data(nil), data(one[5:])}, nil), 1, ""},
		{"wrong order", data(two), 0, "differs"},
		{"a Close frame", data(serverFrame(0x88, "\x03\xe9bye")), 0, `1001 "bye"`},
		{"trailers", append(data(one), appendH3Head(nil, h3Headers, 1)...), 1, "frame of type 1"},
	}
	for _, tt := range tests {
		for chunk := 1; chunk <= len(tt.in); chunk += max(1, chunk/2) {
			s := &h3stream{rx: echo{script: sc}}
			done := 0
			var err error
			for in := tt.in; len(in) > 0 && err == nil; {
				k := min(chunk, len(in))
				var n int
				n, err = s.recv(in[:k])
				done += n
				in = in[k:]
			}
			if done != tt.done {
				t.Errorf("%s, in pieces of %d: %d echoes, want %d", tt.name, chunk, done, tt.done)
			}
			if tt.err == "" && err != nil || tt.err != "" && (err == nil || !strings.Contains(err.Error(), tt.err)) {
				t.Errorf("%s, in pieces of %d: error %v, want %q", tt.name, chunk, err, tt.err)
			}
		}
	}
}

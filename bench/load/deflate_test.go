package load

import (
	"bytes"
	"compress/flate"
	"strings"
	"testing"
)

// deflater compresses as a server with context takeover does.
type deflater struct {
	b bytes.Buffer
	w *flate.Writer
}

func (d *deflater) frame(text []byte, pieces int) []byte {
	if d.w == nil {
		d.w, _ = flate.NewWriter(&d.b, flate.BestCompression)
	}
	d.b.Reset()
	d.w.Write(text)
	d.w.Flush()
	p := bytes.TrimSuffix(d.b.Bytes(), []byte{0, 0, 0xff, 0xff})
	var out []byte
	for i := range pieces {
		part := p[i*len(p)/pieces : (i+1)*len(p)/pieces]
		first := byte(opContinuation)
		if i == 0 {
			first = opText | rsv1
		}
		if i == pieces-1 {
			first |= 0x80
		}
		out = append(out, serverFrame(first, string(part))...)
	}
	return out
}

// Echoes that refer to all that went before, over several windows, in frames and reads of any size.
func TestFeedDeflated(t *testing.T) {
	sc := newDeflateScript(1000)
	var d deflater
	var in []byte
	const messages = 100
	for i := range messages {
		in = append(in, d.frame(sc.texts[i%len(sc.texts)], 1+i%3)...)
	}
	if len(in) > messages*500 {
		t.Fatalf("%d bytes for %d messages of 1000: that is no takeover", len(in), messages)
	}
	for _, chunk := range []int{1, 7, 100, len(in)} {
		e := echo{script: sc}
		done := 0
		for p := in; len(p) > 0; p = p[min(chunk, len(p)):] {
			n, err := e.feed(p[:min(chunk, len(p))])
			if done += n; err != nil {
				t.Fatalf("in pieces of %d: %v", chunk, err)
			}
		}
		if done != messages {
			t.Errorf("in pieces of %d: %d echoes, want %d", chunk, done, messages)
		}
	}
}

func TestFeedDeflatedWrongly(t *testing.T) {
	sc := newDeflateScript(1000)
	changed := bytes.Clone(sc.texts[0])
	changed[500] ^= 1
	for name, text := range map[string][]byte{"changed": changed, "another": sc.texts[1], "short": sc.texts[0][:999], "long": append(bytes.Clone(sc.texts[0]), 'x')} {
		e := echo{script: sc}
		if n, err := e.feed(new(deflater).frame(text, 1)); n > 0 || err == nil {
			t.Errorf("%s: %d echoes, error %v", name, n, err)
		}
	}
	plain := echo{script: newScript(1000, false)}
	if _, err := plain.feed(new(deflater).frame(sc.texts[0], 1)); err == nil || !strings.Contains(err.Error(), "reserved bits") {
		t.Errorf("compressed where nothing was agreed: error %v", err)
	}
}

func TestCheckDeflate(t *testing.T) {
	for answer, ok := range map[string]bool{
		"permessage-deflate": true,
		"permessage-deflate; server_max_window_bits=12; client_max_window_bits=12": true,
		"permessage-deflate; server_no_context_takeover":                           false,
		"": false,
	} {
		if err := checkDeflate(answer); (err == nil) != ok {
			t.Errorf("%q: error %v", answer, err)
		}
	}
}

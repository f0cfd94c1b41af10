package deflate

import (
	"bytes"
	"testing"
)

// FuzzDeflateRoundTrip sends the pieces of data, cut where cuts says, as messages and fragments, and inflates them with
// the strict decoder and with ours.
func FuzzDeflateRoundTrip(f *testing.F) {
	f.Add(jsonText(1, 3000), []byte{125, 3, 255, 200}, byte(15), true)
	f.Add(bytes.Repeat([]byte("abcdefgh"), 400), []byte{40, 1, 0, 90}, byte(8), true)
	f.Add(make([]byte, 2000), []byte{255}, byte(9), false)
	f.Add([]byte("Hello"), []byte{}, byte(12), false)
	f.Fuzz(func(t *testing.T, data, cuts []byte, bits byte, takeover bool) {
		windowBits := minWindowBits + int(bits)%(maxWindowBits-minWindowBits+1)
		c, d := NewCompressor(windowBits, takeover), NewDecompressor(windowBits, takeover)
		var history []byte
		for len(data) > 0 {
			msg, payload := []byte(nil), []byte(nil)
			for fin := false; !fin; {
				n := len(data)
				if len(cuts) > 0 {
					n, fin = min(n, int(cuts[0])*4), cuts[0]%2 == 0
					cuts = cuts[1:]
				} else {
					fin = true
				}
				msg = append(msg, data[:n]...)
				payload = c.AppendChunk(payload, data[:n], fin)
				data = data[n:]
			}
			got, err := strictInflate(history, payload, 1<<windowBits)
			if err != nil || !bytes.Equal(got, msg) {
				t.Fatalf("strict: %d bytes, error %v", len(msg), err)
			}
			if got, err = d.AppendMessage(nil, payload, int64(len(msg))); err != nil || !bytes.Equal(got, msg) {
				t.Fatalf("%d bytes, error %v", len(msg), err)
			}
			if takeover {
				history = append(history, msg...)
			}
		}
	})
}

// FuzzInflate feeds what a hostile peer might send: no panic, no more than the limit, and where the strict decoder is content too,
// the same bytes.
func FuzzInflate(f *testing.F) {
	f.Add([]byte{0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00}, []byte{0xf2, 0x00, 0x11, 0x00, 0x00}, byte(15))
	f.Add([]byte{0xf3, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00, 0x00}, []byte{0x00}, byte(8))
	f.Add(NewCompressor(15, false).AppendMessage(nil, make([]byte, 100000)), []byte{0x05, 0xc0}, byte(9))
	f.Add(NewCompressor(15, false).AppendMessage(nil, jsonText(1, 1000)), []byte{1, 2, 3}, byte(10))
	f.Fuzz(func(t *testing.T, first, second []byte, bits byte) {
		const limit = 10000
		d := NewDecompressor(minWindowBits+int(bits)%(maxWindowBits-minWindowBits+1), true)
		var history []byte
		for _, payload := range [][]byte{first, second} {
			got, err := d.AppendMessage(nil, payload, limit)
			if len(got) > limit || cap(got) > 2*limit {
				t.Fatalf("%d bytes in a buffer of %d, limit %d", len(got), cap(got), limit)
			}
			if cap(d.window.buf) > int(d.window.size) {
				t.Fatalf("the window takes %d bytes", cap(d.window.buf))
			}
			if err != nil {
				return
			}
			if want, err := strictInflate(history, payload, 1<<15); err == nil && !bytes.Equal(got, want) {
				t.Fatalf("got %q, the strict decoder %q", got, want)
			}
			history = append(history, got...)
		}
	})
}

// FuzzParams: what is read prints and reads back the same; and what our server answers, our client confirms, with both in
// agreement.
func FuzzParams(f *testing.F) {
	f.Add("server_no_context_takeover", "client_max_window_bits", "", "server_max_window_bits", "10", false, byte(3), byte(9))
	f.Add("client_no_context_takeover", "client_max_window_bits", "15", "", "", true, byte(15), byte(8))
	f.Add("server_max_window_bits", "client_max_window_bits", "08", "foo", "bar", true, byte(0), byte(0))
	f.Fuzz(func(t *testing.T, flag, name1, value1, name2, value2 string, insist bool, serverBits, clientBits byte) {
		var params []Param
		if flag != "" {
			params = append(params, Param{Name: flag})
		}
		params = append(params, Param{name1, value1, value1 != ""})
		if name2 != "" {
			params = append(params, Param{name2, value2, value2 != ""})
		}
		if r, err := ParseResponse(params); err == nil {
			checkReadsBack(t, r, r.String(), ParseResponse)
		}
		o, err := ParseOffer(params)
		if err != nil {
			return
		}
		checkReadsBack(t, o, o.String(), ParseOffer)

		support := Params{insist, insist, minWindowBits + int(serverBits)%8, minWindowBits + int(clientBits)%8}
		r, err := o.Accept(support)
		if err != nil {
			return
		}
		server := r.Params()
		client, err := o.Confirm(r)
		if err != nil {
			t.Fatalf("offer %v, answer %v: the client refuses: %v", o, r, err)
		}
		if server != client {
			t.Fatalf("offer %v, answer %v: the server goes by %+v, the client by %+v", o, r, server, client)
		}
		if err := server.Validate(); err != nil || server.ServerMaxWindowBits > support.ServerMaxWindowBits || server.ClientMaxWindowBits > support.ClientMaxWindowBits {
			t.Fatalf("agreed on %+v, the server supports %+v", server, support)
		}
	})
}

func checkReadsBack[T interface {
	comparable
	String() string
}](t *testing.T, want T, text string, parse func([]Param) (T, error)) {
	t.Helper()
	got, err := parse(splitParams(text))
	if err != nil || got != want {
		t.Fatalf("%q reads back as %+v, %v; want %+v", text, got, err, want)
	}
}

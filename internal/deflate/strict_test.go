package deflate

import (
	"errors"
	"fmt"
)

// strictInflate inflates a message's payload the way the most pedantic peer would: it keeps exactly window bytes of history
// and fails on a distance beyond. It is written for the tests alone, from RFC 1951, and shares nothing with the codec.
// history is what the connection had inflated before.
func strictInflate(history, payload []byte, window int) ([]byte, error) {
	in := &strictInflater{window: window, out: append([]byte(nil), history...)}
	in.in = append(append([]byte(nil), payload...), emptyBlockLengths...)
	for {
		final := in.bits(1)
		switch in.bits(2) {
		case 0:
			in.stored()
		case 1:
			in.codes(fixedLiterals, fixedDistances)
		case 2:
			in.dynamic()
		default:
			in.fail("reserved block type")
		}
		if in.err != nil {
			return nil, in.err
		}
		if in.pos == len(in.in) && (in.n == 0 || final == 1) {
			return in.out[len(history):], nil
		}
		if final == 1 {
			in.n, in.hold = 0, 0 // DEFLATE starts anew at an octet's boundary
		}
	}
}

type strictInflater struct {
	in     []byte
	pos    int
	hold   uint
	n      int
	out    []byte
	window int
	err    error
}

func (s *strictInflater) fail(format string, a ...any) {
	if s.err == nil {
		s.err = fmt.Errorf("strict: "+format, a...)
	}
}

var errCut = errors.New("strict: payload ends within a block")

func (s *strictInflater) bits(n int) int {
	for s.n < n {
		if s.pos == len(s.in) {
			if s.err == nil {
				s.err = errCut
			}
			return 0
		}
		s.hold |= uint(s.in[s.pos]) << s.n
		s.pos++
		s.n += 8
	}
	v := s.hold & (1<<n - 1)
	s.hold >>= n
	s.n -= n
	return int(v)
}

func (s *strictInflater) stored() {
	s.n, s.hold = 0, 0
	length, check := s.bits(16), s.bits(16)
	if s.err == nil && length != check^0xffff {
		s.fail("LEN %#x does not go with NLEN %#x", length, check)
	}
	for range length {
		if s.err != nil {
			return
		}
		s.out = append(s.out, byte(s.bits(8)))
	}
}

// A huffman code, canonical: count of codes by length, symbols in order. RFC 1951, Section 3.2.2.
type huffman struct {
	count   [16]int
	symbols []int
}

func newHuffman(lengths []int) huffman {
	var h huffman
	for length := 1; length <= 15; length++ {
		for symbol, l := range lengths {
			if l == length {
				h.count[length]++
				h.symbols = append(h.symbols, symbol)
			}
		}
	}
	return h
}

func (s *strictInflater) symbol(h huffman) int {
	code, first, index := 0, 0, 0
	for length := 1; length <= 15 && s.err == nil; length++ {
		code |= s.bits(1)
		if n := h.count[length]; code-first < n {
			return h.symbols[index+code-first]
		} else {
			index += n
			first = (first + n) << 1
			code <<= 1
		}
	}
	s.fail("no such code")
	return 256
}

var (
	lengthBase = [29]int{3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 15, 17, 19, 23, 27, 31, 35, 43, 51, 59, 67, 83, 99, 115, 131, 163, 195, 227, 258}
	lengthBits = [29]int{0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5, 0}
	distBase   = [30]int{1, 2, 3, 4, 5, 7, 9, 13, 17, 25, 33, 49, 65, 97, 129, 193, 257, 385, 513, 769, 1025, 1537, 2049, 3073, 4097, 6145, 8193, 12289, 16385, 24577}
	distBits   = [30]int{0, 0, 0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7, 8, 8, 9, 9, 10, 10, 11, 11, 12, 12, 13, 13}
	codeOrder  = [19]int{16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15}

	fixedLiterals, fixedDistances = fixedCodes()
)

func fixedCodes() (huffman, huffman) {
	var l [288]int
	for i := range l {
		switch {
		case i < 144:
			l[i] = 8
		case i < 256:
			l[i] = 9
		case i < 280:
			l[i] = 7
		default:
			l[i] = 8
		}
	}
	var d [30]int
	for i := range d {
		d[i] = 5
	}
	return newHuffman(l[:]), newHuffman(d[:])
}

func (s *strictInflater) dynamic() {
	literals, distances, n := s.bits(5)+257, s.bits(5)+1, s.bits(4)+4
	var codeLengths [19]int
	for _, i := range codeOrder[:n] {
		codeLengths[i] = s.bits(3)
	}
	h := newHuffman(codeLengths[:])
	var lengths []int
	for len(lengths) < literals+distances && s.err == nil {
		repeat, value := 1, s.symbol(h)
		switch value {
		case 16:
			if len(lengths) == 0 {
				s.fail("repeat of nothing")
				return
			}
			repeat, value = 3+s.bits(2), lengths[len(lengths)-1]
		case 17:
			repeat, value = 3+s.bits(3), 0
		case 18:
			repeat, value = 11+s.bits(7), 0
		}
		for range repeat {
			lengths = append(lengths, value)
		}
	}
	if len(lengths) != literals+distances {
		s.fail("too many code lengths")
		return
	}
	s.codes(newHuffman(lengths[:literals]), newHuffman(lengths[literals:]))
}

func (s *strictInflater) codes(literals, distances huffman) {
	for s.err == nil {
		symbol := s.symbol(literals)
		switch {
		case symbol < 256:
			s.out = append(s.out, byte(symbol))
			continue
		case symbol == 256:
			return
		case symbol > 285:
			s.fail("length symbol %d", symbol)
			return
		}
		length := lengthBase[symbol-257] + s.bits(lengthBits[symbol-257])
		symbol = s.symbol(distances)
		if symbol > 29 {
			s.fail("distance symbol %d", symbol)
			return
		}
		distance := distBase[symbol] + s.bits(distBits[symbol])
		switch {
		case s.err != nil:
		case distance > s.window:
			s.fail("distance %d is above the window of %d bytes", distance, s.window)
		case distance > len(s.out):
			s.fail("distance %d reaches before the first byte", distance)
		default:
			for range length {
				s.out = append(s.out, s.out[len(s.out)-distance])
			}
		}
	}
}

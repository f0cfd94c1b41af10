package load

import "strconv"

// Messages carry their number, as far as there is room, so that an answer to the wrong one shows.

const filler = "the quick brown fox jumps over the lazy dog 0123456789 "

// appendMessage appends message number n of size bytes.
func appendMessage(dst []byte, n uint64, size int) []byte {
	end := len(dst) + size
	digits := strconv.AppendUint(make([]byte, 0, 20), n, 10)
	dst = append(dst, digits[max(0, len(digits)-size):]...) // the last ones tell neighbours apart
	for len(dst) < end {
		dst = append(dst, filler[:min(len(filler), end-len(dst))]...)
	}
	return dst
}

package fuzzing

import "math/rand/v2"

// Source returns a source of random numbers that the fuzzer can steer: the first numbers are choices, a byte for each, and what
// comes then follows from their count.
func Source(choices []byte) rand.Source {
	return &source{choices, rand.NewPCG(uint64(len(choices)), 1)}
}

type source struct {
	choices []byte
	then    rand.Source
}

// Uint64 implements rand.Source. Package rand makes small numbers of the highest bits, and of the lowest for powers of two.
func (s *source) Uint64() uint64 {
	if len(s.choices) == 0 {
		return s.then.Uint64()
	}
	b := uint64(s.choices[0])
	s.choices = s.choices[1:]
	return b<<56 | b
}

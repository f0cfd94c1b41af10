package weft

import (
	"crypto/rand"
	"sync"
)

// "The masking key needs to be unpredictable; thus, the masking key MUST be derived from a strong source of entropy".
// RFC 6455, Section 5.3.
func maskKey() (key [4]byte) {
	k := maskKeys.Get().(*keyStock)
	if k.used == len(k.bytes) {
		rand.Read(k.bytes[:])
		k.used = 0
	}
	copy(key[:], k.bytes[k.used:])
	clear(k.bytes[k.used : k.used+len(key)])
	k.used += len(key)
	maskKeys.Put(k)
	return key
}

// A keyStock is random bytes drawn in advance: a call of the system for each frame would cost more than the frame.
type keyStock struct {
	bytes [1024]byte
	used  int
}

var maskKeys = sync.Pool{New: func() any { return &keyStock{used: len(keyStock{}.bytes)} }}

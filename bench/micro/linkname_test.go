package micro

import _ "unsafe" // for go:linkname

// The masking of libraries that do not export it.

//go:linkname maskCoder github.com/coder/websocket.mask
func maskCoder(b []byte, key uint32) uint32

//go:linkname maskGWS github.com/lxzan/gws/internal.MaskXOR
func maskGWS(b []byte, key []byte)

//go:linkname maskGorilla github.com/gorilla/websocket.maskBytes
func maskGorilla(key [4]byte, pos int, b []byte) int

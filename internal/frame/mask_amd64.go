package frame

// maskBlocks is maskWords, whatever the words.
//
//go:noescape
func maskBlocks(dst *byte, p []byte, k uint64) (n int, or uint64)

package frame

// maskBlocks is maskWords, whatever the words.
//
//go:noescape
func maskBlocks(p []byte, k uint64) (n int, or uint64)

//go:build !amd64

package frame

func maskBlocks(p []byte, k uint64) (n int, or uint64) { return maskWords(p, k) }

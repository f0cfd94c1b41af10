//go:build !amd64

package frame

func maskBlocks(dst *byte, p []byte, k uint64) (n int, or uint64) { return maskWords(dst, p, k) }

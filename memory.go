package weft

import (
	"github.com/weftws/weft/internal/memory"
	"github.com/weftws/weft/negotiate"
)

// A Memory keeps what dials have found out about origins, so that an old server costs a round trip once and not every time.
// See package negotiate for the interface; [FileMemory] is one that processes share. One that writes behind has a method Flush() error, which
// [Dialer.Close] calls.
type Memory = negotiate.Store

// FileMemory is a Memory in the file path, which need not exist and is made with mode 0600. Many processes may use it at once. Dials do
// not wait for the disk: what they find out is written some milliseconds later. A program that ends calls [Dialer.Close], or the Memory's
// Flush() error, and has it all in the file. A process that dies at any time leaves the file whole, without what was found out last; a
// machine that loses power may leave one that is begun anew. A file that is no memory is put aside and begun anew; what cannot be written
// stays in this process. onError, if not nil, is told of such things; it must not block, and is called by any goroutine.
func FileMemory(path string, onError func(error)) Memory {
	return memory.NewFile(path, memory.FileOptions{OnError: onError})
}

package weft

import (
	"github.com/weftws/weft/internal/memory"
	"github.com/weftws/weft/negotiate"
)

// A Memory keeps what dials have found out about origins, so that an old server costs a round trip once and not every time.
// See package negotiate for the interface; [FileMemory] is one that processes share.
type Memory = negotiate.Store

// FileMemory is a Memory in the file path, which need not exist and is made with mode 0600. Many processes may use it at once, and a
// crash at any time leaves it whole. A file that is no memory is put aside and begun anew; what cannot be written stays in this
// process. onError, if not nil, is told of such things; it must not block.
func FileMemory(path string, onError func(error)) Memory {
	return memory.NewFile(path, memory.FileOptions{OnError: onError})
}

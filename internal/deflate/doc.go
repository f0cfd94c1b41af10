// Package deflate is the permessage-deflate extension (RFC 7692): its parameters and their negotiation, and the
// compression and decompression of messages.
//
// A codec is big (klauspost's writer measures 1 MB, its reader 36 KB) and needed only while a message is worked on, so
// codecs live in pools shared by all connections and are borrowed for the length of a call. What a connection keeps is
// the LZ77 window of each direction with context takeover, and nothing without it. A window starts empty and grows with
// the bytes that have gone through it: to 3 KiB at most for what we send (see maxHistory), to 2^bits bytes for what the
// peer sends, since the peer decides how far it looks back.
//
// The package is pure apart from the pools: no goroutine, clock, socket or lock. A Compressor or Decompressor belongs to one
// direction of one connection; callers serialise.
package deflate

package h1

import "net"

// NetConn returns the connection under s. Whoever reads from it or writes to it breaks the stream.
func (s *Stream) NetConn() net.Conn { return s.nc }

// Flush implements [transport.FlushStream].
func (s *Stream) Flush() { s.out.Finish() }

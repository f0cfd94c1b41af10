package transport

import "sync/atomic"

// NextConnID returns a number for a new connection: unique in this process, over all transports and both sides, counted from 1.
func NextConnID() uint64 { return lastConnID.Add(1) }

var lastConnID atomic.Uint64

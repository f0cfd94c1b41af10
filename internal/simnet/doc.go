// Package simnet is a network in memory for tests in fake time. TCP: links with a delay, listeners and dialers by
// address, addresses that refuse or swallow a SYN, slow readers, resets and cut cables, small segments, and faults at a byte:
// RST, FIN, silence, a stall. UDP: sockets that quic-go runs over, addresses that refuse or swallow datagrams, a path's MTU,
// and loss, reordering, duplicates and damage by a seed or by the number of the datagram.
//
// Inside a [testing/synctest] bubble its waits are durable (channels and timers only, and no lock is held across one),
// so time advances exactly from one arrival to the next and a test can count round trips:
//
//	simnet.Run(t, 100*time.Millisecond, func(t *testing.T, n *simnet.Network) {
//		ln := n.Listen("10.0.0.2:443")
//		go serve(ln)
//		start := time.Now()
//		c, err := n.DialContext(t.Context(), "tcp", "10.0.0.2:443")
//		... n.RoundTrips(start) == 1
//	})
//
// What it leaves out: bandwidth, loss and reordering under TCP (to whoever uses it they are a [Stall]), and the reset that a real kernel sends when a socket is
// closed with unread bytes in it.
package simnet

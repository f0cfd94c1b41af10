// Package simnet is a TCP network in memory for tests in fake time: links with a delay, listeners and dialers by
// address, addresses that refuse or swallow a SYN, slow readers, resets and cut cables.
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
// What it leaves out: bandwidth, loss, reordering, and the reset that a real kernel sends when a socket is closed with
// unread bytes in it.
package simnet

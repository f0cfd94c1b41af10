package simnet

import (
	"testing"
	"testing/synctest"
	"time"
)

// Run calls f in a bubble of its own with a network whose round trips take rtt of fake time.
//
// When f and the cleanups it registered are done, Run closes the listeners, lets a minute of fake time pass (a FIN
// that nobody waits for would be a deadlock to the bubble) and fails the test for every end of a connection that is
// still open. Traps that remain for f: channels, timers and contexts made outside the bubble; a lock that is held across
// a wait, as tls.Conn does in a Handshake (complete it before two goroutines share the connection).
func Run(t *testing.T, rtt time.Duration, f func(t *testing.T, n *Network)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		n := New(rtt)
		t.Cleanup(func() { n.settle(t) })
		f(t, n)
	})
}

func (n *Network) settle(t *testing.T) {
	n.closeListeners()
	time.Sleep(grace)
	for _, end := range n.Open() {
		t.Errorf("simnet: %s, was not closed", end)
	}
	n.Close()
	time.Sleep(grace)
	synctest.Wait()
}

// grace is enough for every linger and every close handshake of the tests.
const grace = time.Minute

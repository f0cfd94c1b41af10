package transport

import (
	"strings"
	"testing"
	"testing/synctest"
)

// A budget hears nothing of a peer that reads, all of what a peer leaves unread, and in the end that nothing is left.
func TestQueueAccounts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newTap(1 << 20)
		q := newQueue(s)
		b := &Budget{Max: 50 << 10}
		q.Account(b)
		for range 100 {
			send(t, q, "", strings.Repeat("x", 1000))
			synctest.Wait()
			if b.Held() != 0 {
				t.Fatalf("%d bytes are held for a peer that reads", b.Held())
			}
		}
		s.mu.Lock()
		s.room = 0
		s.mu.Unlock()
		sent := 0
		for {
			n, err := q.Send(nil, make([]byte, 4<<10))
			if err == ErrOverBudget && n == 0 {
				break
			}
			synctest.Wait()
			if sent += n; err != nil || sent >= smallQueue && b.Held() < int64(sent) {
				t.Fatalf("%d bytes were sent, %d are held: %v", sent, b.Held(), err)
			}
		}
		if sent < 32<<10 || sent > largeQueue {
			t.Fatalf("%d bytes were sent until it was too much", sent)
		}
		if !q.TrySend([]byte("a Close frame")) {
			t.Fatal("no room for a control frame")
		}
		// Others have gone: there is room again.
		b.Add(-50 << 10)
		send(t, q, "", "y")
		b.Add(50 << 10)
		close(s.open)
		synctest.Wait()
		if b.Held() != 0 {
			t.Fatalf("the peer has read all, and %d bytes are held", b.Held())
		}
	})
}

// A stream that ends gives back what is not read.
func TestQueueForgets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newTap(0)
		q := newQueue(s)
		b := &Budget{Max: 1 << 20}
		q.Account(b)
		send(t, q, "", strings.Repeat("x", 40<<10))
		synctest.Wait()
		if b.Held() < 40<<10 {
			t.Fatalf("%d bytes are held", b.Held())
		}
		q.Lock()
		q.Stop()
		q.Unlock()
		close(s.open)
		synctest.Wait()
		if b.Held() != 0 {
			t.Fatalf("%d bytes are held after the end", b.Held())
		}
	})
}

package bucket

import (
	"testing"
	"time"
)

func TestBucket(t *testing.T) {
	now := time.Unix(1000, 0)
	b := New(now, 10, 2)
	if !b.Take(now, 10) || b.Take(now, 1) {
		t.Fatal("a burst of 10 is not 10")
	}
	if b.Take(now.Add(400*time.Millisecond), 1) || !b.Take(now.Add(500*time.Millisecond), 1) {
		t.Fatal("2 a second are not one in 500 ms")
	}
	if b.Take(now, 1) {
		t.Fatal("time that goes backwards gives tokens")
	}
	if b.Take(now.Add(time.Hour), 11) || !b.Take(now.Add(time.Hour), 10) {
		t.Fatal("an hour does not fill it to 10")
	}
}

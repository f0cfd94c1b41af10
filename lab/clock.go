package lab

import (
	"container/heap"
	"time"
)

// A clock is time that passes as fast as there is nothing left to do in it.
type clock struct {
	now   time.Time
	queue queue
	count int
}

// A due is something that happens at a time. What is due at the same time happens in the order it was asked for.
type due struct {
	at   time.Time
	rank int
	what func()
}

// after lets f happen d from now.
func (c *clock) after(d time.Duration, f func()) {
	c.count++
	heap.Push(&c.queue, due{at: c.now.Add(d), rank: c.count, what: f})
}

// run lets time pass until over says so, and reports whether it did before there was nothing left to happen.
func (c *clock) run(over func() bool) bool {
	for !over() {
		if len(c.queue) == 0 {
			return false
		}
		next := heap.Pop(&c.queue).(due)
		c.now = next.at
		next.what()
	}
	return true
}

// settle lets everything happen that is going to happen within d.
func (c *clock) settle(d time.Duration) {
	end := c.now.Add(d)
	c.run(func() bool { return len(c.queue) == 0 || c.queue[0].at.After(end) })
	c.now = end
}

// A queue is a heap of what is due, the earliest first.
type queue []due

func (q queue) Len() int { return len(q) }
func (q queue) Less(i, j int) bool {
	if !q[i].at.Equal(q[j].at) {
		return q[i].at.Before(q[j].at)
	}
	return q[i].rank < q[j].rank
}
func (q queue) Swap(i, j int) { q[i], q[j] = q[j], q[i] }
func (q *queue) Push(x any)   { *q = append(*q, x.(due)) }
func (q *queue) Pop() any {
	old := *q
	last := old[len(old)-1]
	*q = old[:len(old)-1]
	return last
}

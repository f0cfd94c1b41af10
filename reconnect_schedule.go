package weft

import (
	"net/http"
	"strconv"
	"strings"
	"time"
)

// A Backoff says how long a [Reconnector] waits before the nth retry in a row: a random time between 0 and Base·2ⁿ⁻¹, or Max. All times
// in between are equally likely, which spreads many clients as evenly as can be. What a response's Retry-After asks for is added, an hour
// of it at most. The zero value is right for most.
//
// "The first reconnect attempt SHOULD be delayed by a random amount of time. ... a value chosen randomly between 0 and 5 seconds is a
// reasonable initial delay". RFC 6455, Section 7.2.3.
type Backoff struct {
	Base time.Duration // 0: 5 s
	Max  time.Duration // 0: 1 min, or Base where that is more

	// Healthy is how long a WebSocket must have been open for the next retry to count as the first; 0: Max. Servers that accept and
	// then fail are given time, too.
	Healthy time.Duration

	// Limit is how many retries in a row there may be; 0: no limit.
	Limit int
}

func (b Backoff) orDefaults() Backoff {
	b.Base = orDuration(b.Base, 5*time.Second)
	b.Max = orDuration(b.Max, max(time.Minute, b.Base))
	b.Healthy = orDuration(b.Healthy, b.Max)
	return b
}

// A schedule counts retries. It knows no clock and no dice.
type schedule struct {
	backoff Backoff // without zero values, but for Limit
	count   int     // retries since the last healthy WebSocket
}

// next returns how long to wait for the next retry; false: there is none. lived is how long the last WebSocket was open, after how
// long the server wants to be asked again, and random is in [0, 1).
func (s *schedule) next(lived, after time.Duration, random float64) (wait time.Duration, ok bool) {
	b := &s.backoff
	if lived >= b.Healthy {
		s.count = 0
	}
	if b.Limit > 0 && s.count >= b.Limit {
		return 0, false
	}
	window := b.Base
	for range s.count {
		if window >= b.Max/2 {
			window = b.Max
			break
		}
		window *= 2
	}
	s.count++
	return after + time.Duration(random*float64(min(window, b.Max))), true
}

// retryAfter returns for how long a response asks to be left alone.
//
// "The Retry-After field value can be either an HTTP-date or a number of seconds to delay after receiving the response." RFC 9110,
// Section 10.2.3.
func retryAfter(resp *http.Response, now time.Time) time.Duration {
	if resp == nil {
		return 0
	}
	v := strings.TrimSpace(resp.Header.Get("Retry-After"))
	if t, err := http.ParseTime(v); err == nil {
		// By the server's clock, from which ours may be far.
		if date, err := http.ParseTime(resp.Header.Get("Date")); err == nil {
			now = date
		}
		return min(max(t.Sub(now), 0), maxRetryAfter)
	}
	if v == "" || strings.Trim(v, "0123456789") != "" {
		return 0
	}
	if n, err := strconv.Atoi(v); err == nil && n < int(maxRetryAfter/time.Second) {
		return time.Duration(n) * time.Second
	}
	return maxRetryAfter
}

// Choice: a server that asks for more has made a mistake, or is asked once an hour.
const maxRetryAfter = time.Hour

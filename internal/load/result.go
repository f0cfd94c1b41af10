package load

import (
	"encoding/json"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// A Result is what a Run found. In JSON times are milliseconds, but for those that say otherwise.
type Result struct {
	URL         string
	Versions    map[string]int // of HTTP, with how many WebSockets each carried
	Rungs       map[string]int // that opened them
	WebSockets  int            // that were opened
	Connections int            // that carried them
	Failed      map[string]int // what went wrong, and for how many WebSockets

	Opening     time.Duration // of all
	OpenLatency Latency       // of each

	Duration    time.Duration
	Messages    int64 // that came back; with Listen, that came
	Bytes       int64 // of them
	Unanswered  int64 // sent and not back when it ended
	Latency     Latency
	CPU         time.Duration // of this process, while measuring
	Samples     []Sample
	Interrupted bool
}

// Rate returns the messages a second.
func (r *Result) Rate() float64 { return rate(r.Messages, r.Duration) }

func rate(n int64, d time.Duration) float64 {
	if d <= 0 {
		return 0
	}
	return float64(n) / d.Seconds()
}

// A Sample is a part of the measurement.
type Sample struct {
	At       time.Duration // its end
	Duration time.Duration
	Messages int64
	P50, P99 time.Duration
}

// Rate returns the messages a second.
func (s Sample) Rate() float64 { return rate(s.Messages, s.Duration) }

// Latency is how times were distributed.
type Latency struct {
	Count               int64
	Min, Mean, Max      time.Duration
	P50, P90, P99, P999 time.Duration
	Curve               []Percentile // for a picture
}

// A Percentile says that so many per cent took At at most.
type Percentile struct {
	Percent float64
	At      time.Duration
}

// Latencies are kept from 1 us to 60 s with 3 digits, by the microsecond.
func newHistogram() *hdrhistogram.Histogram { return hdrhistogram.New(1, 60_000_000, 3) }

func record(h *hdrhistogram.Histogram, d time.Duration) {
	h.RecordValue(min(max(d.Microseconds(), 1), 60_000_000))
}

func latencyOf(h *hdrhistogram.Histogram) Latency {
	us := func(v int64) time.Duration { return time.Duration(v) * time.Microsecond }
	l := Latency{Count: h.TotalCount()}
	if l.Count == 0 {
		return l
	}
	at := func(p float64) time.Duration { return us(h.ValueAtPercentile(p)) }
	l.Min, l.Mean, l.Max = us(h.Min()), time.Duration(h.Mean()*float64(time.Microsecond)), us(h.Max())
	l.P50, l.P90, l.P99, l.P999 = at(50), at(90), at(99), at(99.9)
	for _, b := range h.CumulativeDistributionWithTicks(4) {
		l.Curve = append(l.Curve, Percentile{b.Quantile, us(b.ValueAt)})
	}
	return l
}

// MarshalJSON implements json.Marshaler.
func (r *Result) MarshalJSON() ([]byte, error) {
	samples := make([]map[string]float64, len(r.Samples))
	for i, s := range r.Samples {
		samples[i] = map[string]float64{"at_s": s.At.Seconds(), "messages_per_second": s.Rate(), "p50": ms(s.P50), "p99": ms(s.P99)}
	}
	failed := r.Failed
	if failed == nil {
		failed = map[string]int{}
	}
	out := map[string]any{
		"url": r.URL, "versions": r.Versions, "rungs": r.Rungs, "websockets": r.WebSockets, "connections": r.Connections, "failed": failed,
		"opening": ms(r.Opening), "open_latency": r.OpenLatency, "duration_s": r.Duration.Seconds(),
		"messages": r.Messages, "messages_per_second": r.Rate(), "bytes": r.Bytes, "unanswered": r.Unanswered, "latency": r.Latency,
		"cpu_s": r.CPU.Seconds(), "samples": samples, "interrupted": r.Interrupted,
	}
	if r.Messages > 0 {
		out["cpu_us_per_message"] = float64(r.CPU.Nanoseconds()) / 1e3 / float64(r.Messages)
	}
	return json.Marshal(out)
}

// MarshalJSON implements json.Marshaler.
func (l Latency) MarshalJSON() ([]byte, error) {
	return json.Marshal(map[string]any{
		"count": l.Count, "min": ms(l.Min), "mean": ms(l.Mean), "max": ms(l.Max), "p50": ms(l.P50), "p90": ms(l.P90), "p99": ms(l.P99), "p99.9": ms(l.P999),
	})
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1e3 }

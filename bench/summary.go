package main

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"
)

// summary is what README says of speed: the picture, what it shows in numbers, and where others are better.
func (rep *report) summary() (string, error) {
	var b strings.Builder
	b.WriteString("![CPU time a message, messages a second, memory of an idle WebSocket and latency of an echo server: weft beside others, over HTTP/2 and HTTP/1.1. The numbers stand in bench/README.md.](docs/bench.svg)\n\n")
	fmt.Fprintf(&b, "One run of `make bench` (%s, %s), rounds: %d, medians; messages of 125 bytes over TLS, 100 WebSockets, CPU time of the server.\n\n", rep.Date, rep.Machine, rep.Rounds)
	for _, l := range []struct {
		workload, what string
		servers        []string
	}{
		{"h2-1x100-1", "one HTTP/2 connection, one message in flight on each WebSocket, us a message", []string{"weft-callbacks", "weft-blocking", "net/http", "node", "raw"}},
		{"h2-1x100-16", "the same, 16 in flight", []string{"weft-callbacks", "weft-blocking", "net/http", "node", "raw"}},
		{"h1-tls-100-1", "HTTP/1.1, a connection each, one in flight, where the system calls are the cost", []string{"weft-callbacks", "gws", "gorilla", "coder", "gobwas", "raw"}},
		{"h2-idle", "bytes of heap and stacks an idle WebSocket, HTTP/2", []string{"weft-callbacks", "weft-blocking", "net/http", "node"}},
		{"h2-broadcast", "one message to 10,000, us a delivery, weft over HTTP/2, the others over HTTP/1.1", []string{"weft-broadcast", "gws-broadcast", "gorilla-broadcast"}},
	} {
		text, err := rep.compare(l.workload, l.servers)
		if err != nil {
			return "", err
		}
		fmt.Fprintf(&b, "- %s: %s\n", upper(l.what), text)
	}
	if rep.Crowd != nil {
		c := rep.Crowd
		fmt.Fprintf(&b, "- %s idle WebSockets on %d connections: %s of heap and stacks (%s bytes each), %s resident; one message to all of them takes %s\n",
			thousands(c.WebSockets), c.Conns, mib(c.Heap-c.Base), number(c.perWebSocket()), mib(c.RSS), c.SpreadTime.Round(time.Millisecond))
	}
	if worse := rep.losses(); len(worse) > 0 {
		fmt.Fprintf(&b, "- Where another server did better than `Conn.Handle` in that run: %s\n", strings.Join(worse, ", "))
	}
	return b.String(), nil
}

func upper(s string) string { return strings.ToUpper(s[:1]) + s[1:] }

// compare says what servers took under a workload, the first in bold.
func (rep *report) compare(workload string, servers []string) (string, error) {
	var parts []string
	for i, s := range servers {
		r := rep.result(workload, s)
		switch {
		case r == nil && i == 0:
			return "", fmt.Errorf("summary: %s was not measured under %s", s, workload)
		case r == nil:
		case i == 0:
			parts = append(parts, fmt.Sprintf("**%s %s**", s, number(r.Median.Value)))
		case r.peer.Floor:
			parts = append(parts, fmt.Sprintf("(TLS alone %s)", number(r.Median.Value)))
		default:
			parts = append(parts, fmt.Sprintf("%s %s", s, number(r.Median.Value)))
		}
	}
	return strings.ReplaceAll(strings.Join(parts, ", "), ", (", " ("), nil
}

// losses are the workloads in which a peer's median is lower than the subject's, the worst first.
func (rep *report) losses() (texts []string) {
	type loss struct {
		*result // the best peer's
		times   float64
	}
	var all []loss
	for i := range workloads {
		var best *result
		for _, r := range rep.Results {
			if r.work != &workloads[i] || r.peer.Weft || r.peer.Floor || r.OfWeft == 0 {
				continue
			}
			if best == nil || r.Median.Value < best.Median.Value {
				best = r
			}
		}
		if best != nil && best.OfWeft < notable {
			all = append(all, loss{best, 1 / best.OfWeft})
		}
	}
	slices.SortFunc(all, func(a, b loss) int { return cmp.Compare(b.times, a.times) })
	for _, l := range all {
		texts = append(texts, fmt.Sprintf("`%s` (weft %.2f times %s)", l.Workload, l.times, l.Server))
	}
	return texts
}

// notable is a difference beyond what two runs differ by.
const notable = 0.95

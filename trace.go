package weft

import (
	"encoding/json"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/weftws/weft/internal/transport"
)

// A Trace says how a WebSocket came to be and where it rides. Its JSON has the keys below; in [Step] durations are milliseconds.
type Trace struct {
	URL     string `json:"url"`     // dialed; "" on a server
	Version string `json:"version"` // "HTTP/1.1", "HTTP/2.0" or "HTTP/3.0"; "" if it did not open
	Rung    Rung   `json:"rung"`    // by which the Dial succeeded; "" on a server
	Reused  bool   `json:"reused"`  // it rides on a connection that was there before the Dial

	// ConnID numbers the connections of this process, from 1; StreamID is the HTTP/2 or QUIC stream, 0 over HTTP/1.1.
	ConnID   uint64 `json:"conn_id"`
	StreamID uint64 `json:"stream_id"`

	LocalAddr  string `json:"local_addr"`
	RemoteAddr string `json:"remote_addr"`

	Subprotocol string `json:"subprotocol"`
	Compression string `json:"compression"` // the agreed parameters of permessage-deflate; "" without

	// RoundTrips is what the Dial cost, from its start to the open WebSocket, in round trips of the network.
	RoundTrips int       `json:"round_trips"`
	Attempts   []Attempt `json:"attempts"` // in the order they began; nil on a server
}

// String is an account for people: a line that sums up, a line for each attempt, and one for each of its steps.
func (t Trace) String() string {
	var b strings.Builder
	t.writeSummary(&b)
	for _, a := range t.Attempts {
		b.WriteString("\n" + a.String())
	}
	return b.String()
}

// writeSummary writes "open: wss://host/ over HTTP/2.0 by rung assume, conn 1 stream 1, to 10.0.0.2:443, 3 round trips".
func (t Trace) writeSummary(b *strings.Builder) {
	if t.Version == "" {
		b.WriteString("not open: " + t.URL)
		return
	}
	b.WriteString("open: ")
	if t.URL != "" {
		b.WriteString(t.URL + " over ")
	}
	b.WriteString(t.Version)
	if t.Rung != "" {
		fmt.Fprintf(b, " by rung %s", t.Rung)
	}
	fmt.Fprintf(b, ", conn %d", t.ConnID)
	if t.streams() {
		fmt.Fprintf(b, " stream %d", t.StreamID)
	}
	if t.Reused {
		b.WriteString(" (reused)")
	}
	if t.URL == "" {
		fmt.Fprintf(b, ", from %s", t.RemoteAddr)
	} else {
		unit := "round trips"
		if t.RoundTrips == 1 {
			unit = "round trip"
		}
		fmt.Fprintf(b, ", to %s, %d %s", t.RemoteAddr, t.RoundTrips, unit)
	}
	if t.Subprotocol != "" {
		fmt.Fprintf(b, ", subprotocol %s", t.Subprotocol)
	}
	if t.Compression != "" {
		fmt.Fprintf(b, ", compression %s", t.Compression)
	}
}

// An Attempt is one way that a Dial tried.
type Attempt struct {
	ID      int    `json:"id"` // counted from 1
	Rung    Rung   `json:"rung"`
	Addr    string `json:"addr"` // host:port, or the proxy's
	ALPN    string `json:"alpn"` // that the server chose; "" if none
	Steps   []Step `json:"steps"`
	Verdict string `json:"verdict"` // "open", "unused", or the class of its failure: "transport", "version", "refused", "application" ...
	Reason  string `json:"reason"`  // the failure in words
}

// String is a line that says what became of the attempt, and one for each step.
func (a Attempt) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "#%d %s", a.ID, a.Rung)
	if a.Addr != "" {
		b.WriteString(", " + a.Addr)
	}
	if a.ALPN != "" {
		b.WriteString(", ALPN " + a.ALPN)
	}
	if a.Verdict != "" {
		b.WriteString(": " + a.Verdict)
	}
	if a.Reason != "" {
		b.WriteString(": " + a.Reason)
	}
	for _, s := range a.Steps {
		b.WriteString("\n" + s.String())
	}
	return b.String()
}

// A Step is a part of an attempt. As JSON it is {"name", "start_ms", "duration_ms", "detail"}, times in milliseconds with fractions.
type Step struct {
	Name     string        // "resolve", "tcp", "proxy", "tls", "settings", "response"
	Start    time.Duration // since the Dial began
	Duration time.Duration // 0 for what takes no time
	Detail   string
}

// String is a line: the start, the duration, the name and the detail, in columns.
func (s Step) String() string {
	return columns("%9.2f ms  +%9.2f ms  %-9s %s", milliseconds(s.Start), milliseconds(s.Duration), s.Name, s.Detail)
}

type stepJSON struct {
	Name     string  `json:"name"`
	Start    float64 `json:"start_ms"`
	Duration float64 `json:"duration_ms"`
	Detail   string  `json:"detail,omitempty"`
}

// MarshalJSON implements json.Marshaler.
func (s Step) MarshalJSON() ([]byte, error) {
	return json.Marshal(stepJSON{s.Name, milliseconds(s.Start), milliseconds(s.Duration), s.Detail})
}

// UnmarshalJSON implements json.Unmarshaler.
func (s *Step) UnmarshalJSON(b []byte) error {
	var j stepJSON
	if err := json.Unmarshal(b, &j); err != nil {
		return err
	}
	*s = Step{j.Name, fromMilliseconds(j.Start), fromMilliseconds(j.Duration), j.Detail}
	return nil
}

// A TraceEvent is told to [DialOptions.Trace] when a step is over, and when the Dial decides. As JSON it is {"ms", "attempt", "name",
// "detail"}, the time in milliseconds with fractions.
type TraceEvent struct {
	Attempt int           // 0: about the Dial as a whole
	Time    time.Duration // since the Dial began
	Name    string        // a Step's name, or "order"
	Detail  string
}

// String is a line: the time, the attempt, the name and the detail, in columns.
func (e TraceEvent) String() string {
	attempt := ""
	if e.Attempt > 0 {
		attempt = fmt.Sprintf("#%d", e.Attempt)
	}
	return columns("%9.2f ms  %-2s  %-9s %s", milliseconds(e.Time), attempt, e.Name, e.Detail)
}

func columns(format string, a ...any) string {
	return strings.TrimRight(fmt.Sprintf(format, a...), " ")
}

type traceEventJSON struct {
	Time    float64 `json:"ms"`
	Attempt int     `json:"attempt"`
	Name    string  `json:"name"`
	Detail  string  `json:"detail"`
}

// MarshalJSON implements json.Marshaler.
func (e TraceEvent) MarshalJSON() ([]byte, error) {
	return json.Marshal(traceEventJSON{milliseconds(e.Time), e.Attempt, e.Name, e.Detail})
}

// UnmarshalJSON implements json.Unmarshaler.
func (e *TraceEvent) UnmarshalJSON(b []byte) error {
	var j traceEventJSON
	if err := json.Unmarshal(b, &j); err != nil {
		return err
	}
	*e = TraceEvent{j.Attempt, fromMilliseconds(j.Time), j.Name, j.Detail}
	return nil
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

func fromMilliseconds(ms float64) time.Duration {
	return time.Duration(math.Round(ms * float64(time.Millisecond)))
}

// Trace says how the WebSocket came to be and where it rides.
func (c *Conn) Trace() Trace {
	var t Trace
	if c.dialed != nil {
		t = c.dialed.trace()
	}
	t.ridesOn(c.stream.Info())
	t.Subprotocol = c.opt.subprotocol
	if c.opt.deflate != nil {
		t.Compression = c.opt.deflate.String()
	}
	return t
}

// ridesOn notes the connection under the WebSocket.
func (t *Trace) ridesOn(info transport.Info) {
	t.Version, t.ConnID, t.StreamID = info.Proto, info.ConnID, info.StreamID
	if info.LocalAddr != nil {
		t.LocalAddr = info.LocalAddr.String()
	}
	if info.RemoteAddr != nil {
		t.RemoteAddr = info.RemoteAddr.String()
	}
}

// streams reports whether the WebSocket is one of many streams, which on HTTP/3 count from 0.
func (t Trace) streams() bool { return t.StreamID != 0 || t.Version == "HTTP/3.0" }

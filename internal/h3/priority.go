package h3

import (
	"strings"

	"github.com/quic-go/quic-go"
)

// A priority is a Priority field's value. RFC 9218, Section 4.
type priority struct {
	urgency     int8 // 0, the most urgent, to 7
	incremental bool
}

// defaultPriority: "the default is 3"; "Omitting the incremental parameter [...] the default value is false". RFC 9218, Sections 4.1 and 4.2.
var defaultPriority = priority{urgency: 3}

// parsePriority reads u and i of a dictionary of structured fields (RFC 9651, Section 3.2), and passes over all others. Of what cannot be parsed
// nothing counts: "If parsing fails, [...] the entire field is ignored", RFC 9651, Section 4.2.
func parsePriority(value string) priority {
	p := defaultPriority
	for rest := value; strings.Trim(rest, " \t") != ""; {
		var member string
		var ok bool
		if member, rest, ok = cutMember(rest); !ok {
			return defaultPriority
		}
		member = strings.Trim(member, " \t")
		member, _, _ = strings.Cut(member, ";") // parameters
		switch key, item, has := strings.Cut(member, "="); {
		case key == "" || has && item == "":
			return defaultPriority
		case key == "u" && len(item) == 1 && '0' <= item[0] && item[0] <= '7':
			p.urgency = int8(item[0] - '0')
		case key == "i" && (!has || item == "?1" || item == "?0"):
			p.incremental = item != "?0"
		}
	}
	return p
}

// cutMember cuts value at its first comma outside of strings; false: a string does not end.
func cutMember(value string) (member, rest string, ok bool) {
	quoted := false
	for i := 0; i < len(value); i++ {
		switch c := value[i]; {
		case c == '"':
			quoted = !quoted
		case c == '\\' && quoted:
			i++
		case c == ',' && !quoted:
			return value[:i], value[i+1:], true
		}
	}
	return value, "", !quoted
}

// A liveStream is a request stream as far as its priority goes.
type liveStream struct {
	q        *quic.Stream
	priority priority
	updated  bool // by a PRIORITY_UPDATE: the header does not count
	tunnel   bool
}

// apply sets the stream's priority.
//
// Choice: a tunnel shares with all of its urgency: it has no end that the others could wait for.
func (l liveStream) apply() { l.q.SetPriority(l.priority.urgency, l.priority.incremental || l.tunnel) }

// prioritize sets the priority of a stream from the request's Priority fields; tunnel: it becomes a WebSocket's.
//
// Choice: a client that never speaks of priorities has its responses in turns, as QUIC sends them by default: what it asked for first may not be what
// it needs first.
func (sc *serverConn) prioritize(id quic.StreamID, values []string, tunnel bool) {
	sc.mu.Lock()
	defer sc.mu.Unlock()
	sc.speaksPriority = sc.speaksPriority || len(values) > 0
	l := sc.live[id]
	l.tunnel = tunnel
	// "the most recently received PRIORITY_UPDATE frame can be considered as the most up-to-date information that overrides any other
	// signal." RFC 9218, Section 7.
	if !l.updated {
		l.priority = parsePriority(strings.Join(values, ","))
	}
	sc.live[id] = l
	if sc.speaksPriority {
		l.apply()
	}
}

// reprioritize takes a PRIORITY_UPDATE.
func (sc *serverConn) reprioritize(id quic.StreamID, p priority) {
	sc.mu.Lock()
	defer sc.mu.Unlock()
	sc.speaksPriority = true
	if l, ok := sc.live[id]; ok {
		l.priority, l.updated = p, true
		sc.live[id] = l
		l.apply()
		return
	}
	// "Servers SHOULD buffer the most recently received PRIORITY_UPDATE frame and apply it once the referenced stream is opened. Holding
	// PRIORITY_UPDATE frames for each stream requires server resources, which can be bounded by local implementation policy." RFC 9218,
	// Section 7.
	if _, ok := sc.ahead[id]; ok || id >= sc.next && len(sc.ahead) < maxAheadPriorities {
		if sc.ahead == nil {
			sc.ahead = make(map[quic.StreamID]priority)
		}
		sc.ahead[id] = p
	}
}

// maxAheadPriorities is how many PRIORITY_UPDATEs may come before their streams.
const maxAheadPriorities = 100

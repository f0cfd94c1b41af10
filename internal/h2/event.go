package h2

import (
	"time"

	"github.com/weftws/weft/internal/fields"
	"github.com/weftws/weft/internal/h2/wire"
)

// EventKind says what an [Event] reports.
type EventKind uint8

const (
	// EventSettings: the peer's SETTINGS were applied; First on its first frame. See PeerSettings.
	EventSettings EventKind = iota + 1
	// EventHeaders: a request (server), or a response, interim (1xx) ones included (client). Pseudo, Fields, End.
	EventHeaders
	// EventTrailers ends the peer's side of the stream. Fields.
	EventTrailers
	// EventData: Data points into the slice given to Recv, and its capacity reaches to that one's. End: the peer ended its side. Size is len(Data): what the
	// driver gives Consume(s, Size) in the end, at once or as the application reads; padding's and empty frames' share
	// is handled by the engine.
	EventData
	// EventReset: the stream is gone, by the peer's RST_STREAM, by our Reset because of a violation, or because the
	// peer's GOAWAY did not count it. Code, Initiator, Violation, Detail. Unprocessed: the peer promises that it did
	// nothing (GOAWAY below the identifier, REFUSED_STREAM). Not sent for the driver's own Reset. Where a violation came
	// before the headers of a stream were accepted, or after it was closed, Stream is one that the driver has not seen
	// (User is nil); it needs no Release.
	EventReset
	// EventWritable: Pending has fallen to half of MaxSendQueue after it stood above MaxSendQueue. It arises in
	// AppendOutput.
	EventWritable
	// EventPong: the ack of a Ping of ours with this Ping payload; RTT is how long it took.
	EventPong
	// EventGoAway: the peer's GOAWAY. LastStreamID, Code, Debug.
	EventGoAway
	// EventConnFailed: the connection is over. Code, Initiator, Violation, Detail. AppendOutput still has the GOAWAY;
	// the driver writes it and closes. Every open stream is gone without an event of its own.
	EventConnFailed
	// EventFrameAccepted: the server knows WS_OPEN, and the stream of OpenFrame is open. Its answer follows.
	EventFrameAccepted
	// EventFrameUnsupported: the server, or whoever stands between, does not know WS_OPEN; the stream is gone.
	EventFrameUnsupported
	// EventAltSvc: the server names alternative services (RFC 7838, Section 4), on Stream for the origin of its request.
	// EventOrigin: it says for which origins the connection is (RFC 8336); not to be heeded without TLS. Advert.
	EventAltSvc
	EventOrigin
)

var eventNames = [...]string{
	EventSettings:   "Settings",
	EventHeaders:    "Headers",
	EventTrailers:   "Trailers",
	EventData:       "Data",
	EventReset:      "Reset",
	EventWritable:   "Writable",
	EventPong:       "Pong",
	EventGoAway:     "GoAway",
	EventConnFailed: "ConnFailed",

	EventFrameAccepted:    "FrameAccepted",
	EventFrameUnsupported: "FrameUnsupported",
	EventAltSvc:           "AltSvc",
	EventOrigin:           "Origin",
}

// String returns the name without "Event".
func (k EventKind) String() string {
	if int(k) < len(eventNames) {
		return eventNames[k]
	}
	return "EventKind(?)"
}

// An Event is something the driver has to know. It and its slices are valid until the next Recv or Advance.
type Event struct {
	Kind         EventKind
	Stream       *Stream
	Pseudo       Pseudo
	Fields       []Field
	Data         []byte
	Size         int
	End          bool
	First        bool
	Unprocessed  bool
	Code         wire.ErrCode
	Initiator    Initiator
	Violation    *Violation // nil when it was the peer's own wish
	Detail       string     // "peer exceeded stream window by 16 bytes (FLOW_CONTROL_ERROR, stream 5)"
	LastStreamID uint32
	Debug        []byte
	Ping         [8]byte
	RTT          time.Duration
	Advert       *Advert
}

// A Field is one field line; Name is lower case.
type Field struct{ Name, Value string }

// Pseudo are the pseudo-header fields of a request or response.
type Pseudo = fields.Pseudo

// Initiator is who ended a stream or a connection.
type Initiator uint8

const (
	Local Initiator = iota + 1
	Peer
)

// String returns "local" or "peer".
func (i Initiator) String() string {
	switch i {
	case Local:
		return "local"
	case Peer:
		return "peer"
	}
	return "nobody"
}

// NextEvent returns the next event, in order, or nil. It is valid until the next Recv or Advance. Events of a stream
// that the driver has Reset meanwhile are left out.
func (c *Conn) NextEvent() *Event {
	for c.nextEvent < len(c.events) {
		ev := &c.events[c.nextEvent]
		c.nextEvent++
		if ev.Stream == nil || !ev.Stream.dropped {
			return ev
		}
	}
	return nil
}

// NextData is NextEvent where that is more of s's DATA in at most limit bytes, and otherwise nil.
func (c *Conn) NextData(s *Stream, limit int) *Event {
	if c.nextEvent == len(c.events) {
		return nil
	}
	ev := &c.events[c.nextEvent]
	if ev.Kind != EventData || ev.Stream != s || ev.Size > limit || s.dropped {
		return nil
	}
	c.nextEvent++
	return ev
}

// addEvent returns a new event, zero but for its kind and stream. Storage is used again after resetEvents.
func (c *Conn) addEvent(kind EventKind, s *Stream) *Event {
	if len(c.events) == cap(c.events) {
		c.events = grown(c.events, 7, 31)
	}
	c.events = append(c.events, Event{Kind: kind, Stream: s})
	return &c.events[len(c.events)-1]
}

// grown returns s with more room: for first, then for second elements, then twice as many.
//
// Choice: 7 and 31 events or 63 and 255 fields fill size classes of the allocator's, which puts 8 bytes before what has pointers. By
// doubling, a batch of requests left so many pieces of so many sizes that what lived longer pinned pages between them.
func grown[T any](s []T, first, second int) []T {
	n := first
	if len(s) >= first {
		n = max(second, 2*len(s))
	}
	return append(make([]T, 0, n), s...)
}

// resetEvents makes room when every event was fetched. Those that were not stay.
func (c *Conn) resetEvents() {
	if c.nextEvent < len(c.events) {
		return
	}
	used := len(c.events)
	c.nextEvent = 0
	if cap(c.events) > largeEventCap && used < cap(c.events)/8 {
		c.events = nil
	}
	c.events = c.events[:0]
	if len(c.fields) > 0 {
		clear(c.fields)
		c.fields = c.fields[:0]
	}
}

const largeEventCap = 256

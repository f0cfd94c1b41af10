package h2

import "github.com/weftws/weft/internal/invariant"

// A Stream is one request and its answer. The driver keeps what it needs of its own in User.
//
// The states of RFC 9113, Section 5.1, without the reserved ones (nothing is pushed), as two independent halves:
//
//	idle --HEADERS--> open --our END_STREAM, queued--> sendEnd --written--> sendDone
//	                  open --peer's END_STREAM-------> recvEnd
//	sendDone and recvEnd, or RST_STREAM either way ---> closed --Release--> slot free (server)
//
// A stream of OpenFrame becomes open by WS_ACCEPT instead: see proposals.
//
// An idle or closed stream is in no table: identifiers alone tell the two apart.
type Stream struct {
	ID uint32

	sendWindow int32 // what we may send; negative after a smaller SETTINGS_INITIAL_WINDOW_SIZE
	recvWindow int32 // what the peer may send
	owed       int32 // consumed and not yet given back by WINDOW_UPDATE
	unconsumed int32 // handed to the driver and not yet consumed
	drained    int32 // bytes of DATA sent since the latest look for stalls, up to minDrain or a little above

	inReady     bool // Invariant: inReady implies pending and sendWindow > 0
	full        bool // pending stood above MaxSendQueue; EventWritable is due
	sendHeaders bool // our (final) header section was sent
	sendEnd     bool // END_STREAM was queued
	sendDone    bool // END_STREAM was written
	recvHeaders bool // the peer's (final) header section arrived
	recvEnd     bool // END_STREAM arrived
	closed      bool
	released    bool
	dropped     bool // by the driver's own Reset: no events any more
	autoConsume bool
	connect     bool // the method is CONNECT
	tunnel      bool // CONNECT was answered with 2xx: DATA only
	head        bool // the method is HEAD
	waits       bool // DATA has waited since the latest look for stalls
	unknown     bool // stands for an idle or closed stream in an event

	User any

	pending     *sendQueue // nil: no DATA waits
	contentLeft int64      // what content-length still promises; -1: no promise

	next, prev *Stream // in the ready queue
}

// Pending returns how many bytes of DATA are queued and wait for window or for their turn.
func (s *Stream) Pending() int {
	if s.pending == nil {
		return 0
	}
	return len(s.pending.data) - s.pending.head
}

// SendClosed reports whether END_STREAM was queued or the stream is closed.
func (s *Stream) SendClosed() bool { return s.sendEnd || s.closed }

// RecvClosed reports whether END_STREAM arrived or the stream is closed.
func (s *Stream) RecvClosed() bool { return s.recvEnd || s.closed }

// Closed reports whether both sides have ended, or the stream was reset.
func (s *Stream) Closed() bool { return s.closed }

// newStream enters a stream into the table.
func (c *Conn) newStream(id uint32) *Stream {
	s := c.makeStream(id)
	c.enter(s)
	return s
}

func (c *Conn) makeStream(id uint32) *Stream {
	s := c.cfg.newStream()
	s.ID = id
	s.sendWindow = int32(c.peer.InitialWindowSize)
	s.recvWindow = int32(c.recvInitial)
	s.contentLeft = -1
	return s
}

func (c *Conn) enter(s *Stream) {
	c.streams[s.ID] = s
	c.mostStreams = max(c.mostStreams, len(c.streams))
	c.lastUsed = s
}

// lookup returns the open stream with this identifier, or nil.
func (c *Conn) lookup(id uint32) *Stream {
	if s := c.lastUsed; s != nil && s.ID == id {
		return s
	}
	s := c.streams[id]
	if s != nil {
		c.lastUsed = s
	}
	return s
}

// isIdle reports whether the stream was never opened. Pushed streams always are: nothing can be pushed.
func (c *Conn) isIdle(id uint32) bool {
	switch {
	case id%2 == 0:
		return true
	case c.cfg.Side == Server:
		return id > c.maxPeerID
	default:
		return id >= c.nextID || c.isUnopened(id)
	}
}

// isIgnored reports whether our GOAWAY did not count the stream.
//
// "Once the GOAWAY is sent, the sender will ignore frames sent on streams initiated by the receiver if the stream has an
// identifier higher than the included last stream identifier." RFC 9113, Section 6.8.
func (c *Conn) isIgnored(id uint32) bool {
	return c.cfg.Side == Server && id%2 == 1 && id > c.goAwayLast
}

// endRecv takes note of the peer's END_STREAM.
func (c *Conn) endRecv(s *Stream) {
	s.recvEnd = true
	if s.sendDone {
		c.closeStream(s, closedByEnd)
	}
}

// endSend takes note that our END_STREAM is in the output.
func (c *Conn) endSend(s *Stream) {
	s.sendEnd = true
	s.sendDone = true
	if s.recvEnd {
		c.closeStream(s, closedByEnd)
	}
}

// closeStream forgets a stream.
func (c *Conn) closeStream(s *Stream, how closedHow) {
	if s.closed {
		return
	}
	s.closed = true
	delete(c.streams, s.ID)
	if c.lastUsed == s {
		c.lastUsed = nil
	}
	c.ready.remove(s)
	c.dropPending(s)
	c.closedIDs.add(s.ID, how)
	if how != closedByEnd || s.released {
		c.forgiveUnconsumed(s)
	}
	if s.released {
		c.freeSlot()
	}
}

// Release says that the driver is done with s (its handler has returned); a server's slot is free when s is closed and
// released.
func (c *Conn) Release(s *Stream) {
	if s.released || s.unknown {
		return
	}
	s.released = true
	if !s.closed {
		return
	}
	c.forgiveUnconsumed(s)
	c.freeSlot()
}

// freeSlot: a stream of the peer is closed and released.
func (c *Conn) freeSlot() {
	if c.cfg.Side == Server {
		c.slotsUsed--
		invariant.Check(c.slotsUsed >= len(c.streams), "%d slots for %d streams", c.slotsUsed, len(c.streams))
	}
}

// closedHow is how a stream came to be closed.
type closedHow uint8

const (
	closedLongAgo closedHow = iota // not remembered
	closedByEnd                    // END_STREAM both ways
	closedByPeer                   // RST_STREAM from the peer
	closedByUs                     // RST_STREAM from us: frames that were under way are ignored
	neverOpened                    // proposed to a server that does not know WS_OPEN
)

// closedIDs remembers how the latest streams came to be closed, in two rings: resets of ours are needed for as long as
// the peer may not have seen them, the rest only makes error codes exact.
type closedIDs struct {
	byUs  idRing
	other idRing
}

const (
	rememberByUs  = 256
	rememberOther = 64
)

func (k *closedIDs) add(id uint32, how closedHow) {
	if how == closedByUs {
		k.byUs.add(closedID{id, how}, rememberByUs)
	} else {
		k.other.add(closedID{id, how}, rememberOther)
	}
}

func (k *closedIDs) how(id uint32) closedHow {
	if how := k.byUs.find(id); how != closedLongAgo {
		return how
	}
	return k.other.find(id)
}

type closedID struct {
	id  uint32
	how closedHow
}

type idRing struct {
	ids  []closedID
	next int
}

func (r *idRing) add(e closedID, size int) {
	if len(r.ids) < size {
		r.ids = append(r.ids, e)
		return
	}
	r.ids[r.next] = e
	r.next = (r.next + 1) % size
}

func (r *idRing) find(id uint32) closedHow {
	for _, e := range r.ids {
		if e.id == id {
			return e.how
		}
	}
	return closedLongAgo
}

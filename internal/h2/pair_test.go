package h2

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/weftws/weft/internal/h2/wire"
)

var (
	pairSeed  = flag.Uint64("pair.seed", 0, "run TestPair with this seed alone")
	pairCount = flag.Int("pair.count", 20, "how many seeds TestPair runs")
)

// TestPair lets a client and a server talk at random: operations, sizes, delays of the network and the places where the
// bytes are cut come from a seed.
func TestPair(t *testing.T) {
	if *pairSeed != 0 {
		runPair(t, *pairSeed)
		return
	}
	decided := 0
	for seed := range uint64(*pairCount) {
		decided += runPair(t, seed+1)
		if t.Failed() {
			t.Fatalf("replay with -run TestPair -pair.seed %d", seed+1)
		}
	}
	if decided < *pairCount {
		t.Errorf("%d proposals were decided in %d runs", decided, *pairCount)
	}
}

// A pair is two engines and the network between them.
type pair struct {
	testing.TB
	seed uint64
	rnd  *rand.Rand
	now  time.Time
	ends [2]*pairEnd // client, server
	quit bool        // no new streams and data: let everything end
}

// A pairEnd is one engine and what a test driver knows.
type pairEnd struct {
	*Conn
	peer    *pairEnd
	name    string
	wire    []byte // on its way to us
	rest    []byte // not yet taken by Recv
	streams []*pairStream
	pongs   int

	accepted, unsupported int // proposals
}

// A pairStream is the User of a stream at one end.
type pairStream struct {
	*Stream
	sent     int // bytes
	received int
	due      int // received and not yet consumed
	answered bool
	ended    bool // the peer's END_STREAM arrived
	gone     bool // reset by either side
	auto     bool
	proposed bool // by OpenFrame, and not decided
}

// runPair returns how many proposals were decided.
func runPair(t *testing.T, seed uint64) (decided int) {
	p := &pair{TB: t, seed: seed, rnd: rand.New(rand.NewPCG(seed, 1)), now: testNow}
	p.ends[0] = &pairEnd{Conn: New(p.now, p.config(Client)), name: "client"}
	p.ends[1] = &pairEnd{Conn: New(p.now, p.config(Server)), name: "server"}
	p.ends[0].peer, p.ends[1].peer = p.ends[1], p.ends[0]
	for range 1500 {
		p.step()
		if t.Failed() {
			return 0
		}
	}
	p.quit = true
	for range 20000 {
		if p.step(); p.quiet() || t.Failed() {
			break
		}
	}
	p.checkEnd()
	return p.ends[0].accepted + p.ends[0].unsupported
}

func (p *pair) config(side Side) Config {
	cfg := Config{
		Side:             side,
		ConnectProtocol:  true,
		WSFrame:          p.seed%3 > 0,
		MaxSendQueue:     1 + p.rnd.IntN(20000),
		MaxBufferedBytes: int64(1 + p.rnd.IntN(100000)),
		ControlBurst:     1 << 30,
		ResetBurst:       1 << 30,
	}
	if p.rnd.IntN(2) == 0 {
		cfg.InitialWindowSize = uint32(1 + p.rnd.IntN(100000))
		cfg.ConnWindowSize = uint32(65535 + p.rnd.IntN(100000))
		cfg.MaxConcurrentStreams = uint32(1 + p.rnd.IntN(20))
		cfg.HeaderTableSize = uint32(1 + p.rnd.IntN(8000))
		cfg.MaxFrameSize = uint32(16384 + p.rnd.IntN(50000))
	}
	return cfg
}

// step does one thing at random.
func (p *pair) step() {
	p.now = p.now.Add(time.Duration(p.rnd.IntN(1000)) * time.Microsecond)
	e := p.ends[p.rnd.IntN(2)]
	switch n := p.rnd.IntN(10); {
	case n < 3:
		limit := 1 + p.rnd.IntN(1<<p.rnd.IntN(18))
		if out := e.SwapOutput(make([]byte, 0, limit)); out != nil {
			e.peer.wire = append(e.peer.wire, out...)
		} else {
			e.peer.wire = e.AppendOutput(e.peer.wire, limit)
		}
		p.events(e)
	case n < 6:
		p.deliver(e)
	case n == 6 && !p.quit:
		p.open()
	default:
		if len(e.streams) > 0 {
			p.act(e, e.streams[p.rnd.IntN(len(e.streams))])
		} else if p.rnd.IntN(20) == 0 && !p.quit {
			e.Ping(p.now, [8]byte{byte(p.rnd.Uint32()), 1})
		}
	}
}

// deliver hands some of what is on the wire to an engine, cut anywhere.
func (p *pair) deliver(e *pairEnd) {
	n := min(len(e.wire), p.rnd.IntN(1<<p.rnd.IntN(18)+1))
	in := append(append([]byte(nil), e.rest...), e.wire[:n]...)
	e.wire = e.wire[n:]
	taken := e.Recv(p.now, in)
	p.events(e)
	e.rest = append(e.rest[:0], in[taken:]...)
	for i := range in[:taken] {
		in[i] = 0xdb // Data pointed here
	}
}

func (p *pair) open() {
	e := p.ends[0]
	if e.Slots() == 0 || !e.PeerSettings().Received && len(e.streams) > 0 {
		return
	}
	ps := Pseudo{Method: "POST", Scheme: "https", Authority: "example.com", Path: fmt.Sprintf("/%d", p.rnd.IntN(10))}
	if p.rnd.IntN(2) == 0 {
		ps.Method, ps.Protocol = "CONNECT", "websocket"
	}
	if ps.Protocol != "" && p.rnd.IntN(2) == 0 && p.openFrame(e, ps) {
		return
	}
	s, err := e.Open(p.now, ps, p.fields(), p.rnd.IntN(8) == 0)
	if err != nil {
		p.Errorf("Open with %d slots: %v", e.Slots(), err)
		return
	}
	p.addStream(e, s)
}

// openFrame proposes a stream; it reports whether that was possible.
func (p *pair) openFrame(e *pairEnd, ps Pseudo) bool {
	s, err := e.OpenFrame(p.now, ps, p.fields(), [8]byte{byte(e.nextID >> 16), byte(e.nextID >> 8), 2, byte(e.nextID)})
	switch {
	case err == ErrFrameUnsupported && !e.peer.cfg.WSFrame, err == ErrFrameTooLarge:
		return false
	case err != nil:
		p.Errorf("OpenFrame with %d slots: %v", e.Slots(), err)
		return true
	}
	p.addStream(e, s)
	s.User.(*pairStream).proposed = true
	return true
}

func (p *pair) addStream(e *pairEnd, s *Stream) {
	u := &pairStream{Stream: s, auto: p.rnd.IntN(4) == 0, answered: e == p.ends[0]}
	s.User = u
	e.AutoConsume(s, u.auto)
	e.streams = append(e.streams, u)
}

func (p *pair) fields() []Field {
	var list []Field
	for range p.rnd.IntN(6) {
		value := make([]byte, p.rnd.IntN(1<<p.rnd.IntN(12)+1))
		for i := range value {
			value[i] = "abcdefghij~~~~~~"[p.rnd.IntN(16)]
		}
		list = append(list, Field{fmt.Sprintf("x-%d", p.rnd.IntN(20)), string(value)})
	}
	return list
}

// act does something with a stream.
func (p *pair) act(e *pairEnd, u *pairStream) {
	if n := p.rnd.IntN(u.due + 1); u.due > 0 && (n > 0 || p.quit) {
		if p.quit {
			n = u.due
		}
		e.Consume(u.Stream, n)
		u.due -= n
	}
	switch {
	case p.rnd.IntN(60) == 0:
		e.Reset(p.now, u.Stream, wire.Cancel)
		u.gone = true
	case u.proposed:
		e.SendData(u.Stream, nil, []byte("too early"), true)
	case !u.answered && p.rnd.IntN(4) == 0 && !p.quit:
		e.SendHeaders(u.Stream, Pseudo{Status: 103}, p.fields(), false)
	case !u.answered:
		e.SendHeaders(u.Stream, Pseudo{Status: 200}, p.fields(), false)
		u.answered = true
	case p.quit || p.rnd.IntN(20) == 0:
		if p.rnd.IntN(2) == 0 {
			e.SendData(u.Stream, nil, nil, true)
		} else {
			e.SendHeaders(u.Stream, Pseudo{}, []Field{{"x-sum", "1"}}, true)
		}
	case u.Pending() < e.cfg.MaxSendQueue && !u.SendClosed():
		p.send(e, u)
	}
	if u.Closed() && (u.due == 0 || u.gone) {
		e.Release(u.Stream)
		p.forget(e, u)
	}
}

func (p *pair) forget(e *pairEnd, u *pairStream) {
	for i := range e.streams {
		if e.streams[i] == u {
			e.streams[i] = e.streams[len(e.streams)-1]
			e.streams = e.streams[:len(e.streams)-1]
			break
		}
	}
	if !u.gone && e.lookup(u.ID) != nil {
		p.Errorf("%s: closed stream %d is still there", e.name, u.ID)
	}
}

func (p *pair) send(e *pairEnd, u *pairStream) {
	body := make([]byte, p.rnd.IntN(1<<p.rnd.IntN(17)))
	for i := range body {
		body[i] = pattern(e.name, u.ID, u.sent+i)
	}
	cut := p.rnd.IntN(len(body) + 1)
	e.SendData(u.Stream, body[:cut], body[cut:], p.rnd.IntN(30) == 0)
	u.sent += len(body)
}

func pattern(sender string, id uint32, i int) byte {
	return byte(int(id)*7 + i*31 + i>>8 + int(sender[0]))
}

func (p *pair) events(e *pairEnd) {
	for ev := e.NextEvent(); ev != nil; ev = e.NextEvent() {
		p.event(e, ev)
	}
}

func (p *pair) event(e *pairEnd, ev *Event) {
	if ev.Violation != nil {
		p.Errorf("%s: %v %s", e.name, ev.Kind, ev.Detail)
		return
	}
	if ev.Kind == EventHeaders && e == p.ends[1] {
		p.addStream(e, ev.Stream)
	}
	if ev.Stream == nil {
		if ev.Kind == EventPong {
			e.pongs++
		}
		return
	}
	u := ev.Stream.User.(*pairStream)
	switch ev.Kind {
	case EventData:
		for i, b := range ev.Data {
			if want := pattern(e.peer.name, u.ID, u.received+i); b != want {
				p.Errorf("%s: byte %d of stream %d is %#x, want %#x", e.name, u.received+i, u.ID, b, want)
				return
			}
		}
		u.received += len(ev.Data)
		if !u.auto {
			u.due += ev.Size
		}
	case EventReset:
		u.gone = true
	case EventFrameAccepted:
		u.proposed = false
		e.accepted++
	case EventFrameUnsupported:
		u.proposed, u.gone = false, true
		e.unsupported++
	}
	if ev.End {
		if u.ended {
			p.Errorf("%s: stream %d ended twice", e.name, u.ID)
		}
		u.ended = true
		p.checkSum(e, u)
	}
}

// checkSum compares what arrived on a stream that ended properly with what was sent.
func (p *pair) checkSum(e *pairEnd, u *pairStream) {
	for _, other := range e.peer.streams {
		if other.ID == u.ID && other.sent != u.received {
			p.Errorf("%s: stream %d ended after %d bytes, %d were sent", e.name, u.ID, u.received, other.sent)
		}
	}
}

// quiet reports whether nothing is left to do.
func (p *pair) quiet() bool {
	for _, e := range p.ends {
		if len(e.wire)+len(e.rest)+len(e.streams) > 0 || e.HasOutput() {
			return false
		}
	}
	return true
}

func (p *pair) checkEnd() {
	if !p.quiet() {
		p.Errorf("the connection did not become quiet")
	}
	client := p.ends[0]
	if on := p.ends[1].cfg.WSFrame; on && client.unsupported > 0 || !on && client.accepted > 0 || client.proposals.duePongs > 0 {
		p.Errorf("WSFrame %v: %+v, %d accepted, %d unsupported", on, client.proposals, client.accepted, client.unsupported)
	}
	for _, e := range p.ends {
		if e.OpenStreams() != 0 || len(e.Conn.streams) != 0 {
			p.Errorf("%s: %d streams are open", e.name, e.OpenStreams())
		}
		if e.buffered != 0 || e.replies != 0 || e.ready.head != nil || e.ready.tail != nil {
			p.Errorf("%s: buffered %d, replies %d, ready %v", e.name, e.buffered, e.replies, e.ready)
		}
		if e.sendWindow != e.peer.recvWindow {
			p.Errorf("%s: connection window %d, the peer counts %d", e.name, e.sendWindow, e.peer.recvWindow)
		}
		if e.recvWindow+e.owed != int64(e.cfg.ConnWindowSize) {
			p.Errorf("%s: window %d and %d owed are not %d", e.name, e.recvWindow, e.owed, e.cfg.ConnWindowSize)
		}
	}
}

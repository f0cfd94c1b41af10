package negotiate

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"
)

var seed = flag.Uint64("seed", 0, "run TestRandomDials with this seed alone")

// Whatever the servers do, a dial ends, with few attempts, one handshake at a time and orders that make sense.
func TestRandomDials(t *testing.T) {
	if *seed != 0 {
		newSimulation(t, *seed).run()
		return
	}
	for s := range uint64(5000) {
		sim := newSimulation(t, s+1)
		sim.run()
		if t.Failed() {
			t.Fatalf("replay with -seed=%d; so far:\n%s", s+1, strings.Join(sim.log, "\n"))
		}
	}
}

// A simulation is an executor whose network is dice.
type simulation struct {
	t   *testing.T
	r   *rand.Rand
	now time.Time
	m   *Machine
	log []string

	facts    Facts
	policy   Policy
	attempts map[int]string // what it waits for: "connect", "settings", "response"
	upgrade  map[int]bool
	early    map[int]bool // sent before SETTINGS
	told     map[int]bool // ... which have come
	allowed  map[int]bool // ... and allow it
	held     map[int]bool
	frame    map[int]bool
	alpn     map[int]string
	awaiting bool
	timer    time.Time
	ended    int
}

func newSimulation(t *testing.T, seed uint64) *simulation {
	r := rand.New(rand.NewPCG(seed, 0))
	s := &simulation{t: t, r: r, now: time.Unix(1000, 0), attempts: map[int]string{}, upgrade: map[int]bool{},
		early: map[int]bool{}, told: map[int]bool{}, allowed: map[int]bool{}, alpn: map[int]string{}, held: map[int]bool{}, frame: map[int]bool{}}
	s.policy = Policy{Rungs: [][]Rung{nil, {Upgrade}, {Settings}, {Settings, Upgrade}, {Assume}, {Token, Upgrade}, {H21, Assume, Upgrade}, {H21, Upgrade}, {Frame, Upgrade}, {Frame, Assume, Upgrade}, {AltSvc, Assume, Upgrade}}[r.IntN(11)], Spare: SpareMode(r.IntN(3)), Once: r.IntN(4) == 0, Strict: r.IntN(4) == 0}
	s.facts = s.randomFacts()
	return s
}

func (s *simulation) randomFacts() Facts {
	f := Facts{Secure: s.r.IntN(4) > 0, PriorKnowledge: s.r.IntN(2) == 0, Probing: max(0, s.r.IntN(4)-1)}
	if s.m != nil {
		f.Secure, f.PriorKnowledge = s.facts.Secure, s.facts.PriorKnowledge
	}
	for range s.r.IntN(3) {
		f.Live = append(f.Live, LiveConn{
			ID: s.r.Uint64N(5) + 1, ALPN: "h2", SettingsReceived: s.r.IntN(8) > 0, ConnectProtocol: s.r.IntN(2) == 0,
			Slots: s.r.IntN(3), Draining: s.r.IntN(4) == 0, Coalesced: s.r.IntN(4) == 0,
		})
	}
	if s.r.IntN(3) == 0 {
		f.Alternatives = []Alternative{{ALPN: "h2", Host: "alt.example", Port: "443"}}
	}
	for _, r := range []Rung{Settings, Assume, Frame, H21} {
		if s.r.IntN(6) == 0 {
			f.Known = f.Known.Remember(Remember{Rung: r, Verdict: []Verdict{Yes, No}[s.r.IntN(2)], TTL: time.Hour}, s.now)
		}
	}
	if s.r.IntN(2) == 0 {
		f.Deadline = s.now.Add(30 * time.Second)
	}
	return f
}

func (s *simulation) run() {
	s.m = New(s.policy, s.facts)
	s.obey(s.m.Start(s.now))
	for step := 0; !s.m.Done(); step++ {
		if step > 2000 {
			s.t.Fatal("the dial does not end")
		}
		o := s.outcome()
		s.log = append(s.log, fmt.Sprintf("  %T%+v", o, o))
		s.obey(s.m.Report(s.now, o))
	}
	if s.ended != 1 {
		s.t.Errorf("ended %d times", s.ended)
	}
	if n := len(s.m.Attempts()); n > maxAttempts {
		s.t.Errorf("%d attempts", n)
	}
	for _, a := range s.m.Attempts() {
		if a.Verdict == "" {
			s.t.Errorf("attempt %d has no verdict", a.ID)
		}
	}
	if orders := s.m.Report(s.now, s.outcome()); orders != nil {
		s.t.Errorf("orders after the end: %v", orders)
	}
}

func (s *simulation) obey(orders []Order) {
	expect := func(id int, state string) {
		if s.attempts[id] != state {
			s.t.Errorf("attempt %d is at %q, want %q", id, s.attempts[id], state)
		}
	}
	for _, o := range orders {
		s.log = append(s.log, o.String())
		if s.ended > 0 {
			s.t.Errorf("%v after the end", o)
		}
		switch o := o.(type) {
		case UseLive:
			expect(o.Attempt, "")
			s.attempts[o.Attempt] = "response"
		case AwaitProbe:
			s.awaiting = true
		case Connect:
			expect(o.Attempt, "")
			s.attempts[o.Attempt] = "connect"
			if o.TLS != s.facts.Secure || len(o.ALPN) == 0 || !o.TLS && len(o.ALPN) > 1 {
				s.t.Errorf("wrong order %v", o)
			}
		case WaitSettings:
			expect(o.Attempt, "connected")
			s.attempts[o.Attempt] = "settings"
		case SendConnect, SendFrame:
			id := 0
			if c, ok := o.(SendConnect); ok {
				id = c.Attempt
			} else {
				id = o.(SendFrame).Attempt
			}
			_, s.frame[id] = o.(SendFrame)
			if state := s.attempts[id]; state == "connected" {
				s.early[id] = true
			} else if state != "got settings" && state != "unsupported" {
				s.t.Errorf("attempt %d is at %q, and is to send", id, state)
			}
			s.attempts[id] = "response"
		case Settle:
			if !s.early[o.Attempt] || s.allowed[o.Attempt] {
				s.t.Errorf("%v: nothing was assumed", o)
			}
			s.attempts[o.Attempt] = "over"
		case SendUpgrade:
			expect(o.Attempt, "connected")
			s.attempts[o.Attempt] = "response"
			s.upgrade[o.Attempt] = true
		case Keep:
			if s.attempts[o.Attempt] != "unsupported" {
				expect(o.Attempt, "got settings")
				s.attempts[o.Attempt] = "over"
			}
		case Discard:
			s.attempts[o.Attempt] = "over"
		case SetTimer:
			s.timer = o.At
			if o.At.Before(s.now) {
				s.t.Errorf("timer in the past: %v", o)
			}
		case Succeed:
			expect(o.Attempt, "success")
			if id := o.Attempt; s.early[id] && !s.frame[id] && s.alpn[id] != "wsoverh2" && !s.allowed[id] {
				s.t.Errorf("attempt %d was accepted though SETTINGS do not allow it", id)
			}
			s.ended++
		case Fail:
			s.ended++
			if o.Class == "" || o.Reason == "" {
				s.t.Errorf("failure without a reason: %v", o)
			}
		}
		waiting := 0
		for _, state := range s.attempts {
			if state == "response" {
				waiting++
			}
		}
		if waiting > 1 {
			s.t.Error("two handshakes at once")
		}
	}
}

// outcome is something that may happen now; now and then something that cannot.
func (s *simulation) outcome() Outcome {
	s.now = s.now.Add(time.Duration(s.r.IntN(3000)) * time.Millisecond)
	id := s.r.IntN(len(s.attempts)+2) - 1
	switch s.r.IntN(12) {
	case 0:
		return Timer{}
	case 1:
		if s.r.IntN(10) == 0 {
			return Cancelled{Err: []error{context.Canceled, context.DeadlineExceeded, nil}[s.r.IntN(3)]}
		}
	case 2:
		if s.awaiting || s.r.IntN(4) == 0 {
			s.awaiting = false
			return ProbeDone{Facts: s.randomFacts()}
		}
	}
	if !s.timer.IsZero() && s.now.After(s.timer) {
		s.timer = time.Time{}
		return Timer{}
	}
	end := func(o Outcome) Outcome {
		if s.attempts[id] != "" {
			s.attempts[id] = "over"
		}
		return o
	}
	state := s.attempts[id]
	if s.r.IntN(20) == 0 {
		state = "anything"
	}
	switch state {
	case "connect":
		if s.r.IntN(6) == 0 {
			return end(ConnectFailed{Attempt: id, Step: StepTCP, Err: errors.New("tcp")})
		}
		if s.r.IntN(3) == 0 {
			return Reached{Attempt: id}
		}
		s.attempts[id] = "connected"
		s.alpn[id] = []string{"h2", "h2", "http/1.1", "", "h3", "h2.1", "wsoverh2"}[s.r.IntN(7)]
		return Connected{Attempt: id, ALPN: s.alpn[id]}
	case "connected":
		return Spoke{Attempt: id, EOF: s.r.IntN(2) == 0}
	case "settings":
		if s.r.IntN(5) == 0 {
			return end(s.randomLoss(id))
		}
		s.attempts[id] = "got settings"
		return SettingsReceived{Attempt: id, ConnectProtocol: s.r.IntN(3) > 0, Slots: s.r.IntN(3)}
	case "response":
		if s.early[id] && !s.told[id] {
			if s.r.IntN(3) == 0 {
				return end(s.randomLoss(id))
			}
			if s.r.IntN(4) == 0 && !s.held[id] {
				// A 2xx that may count for nothing.
				s.held[id] = true
				if s.frame[id] || s.alpn[id] == "wsoverh2" {
					s.attempts[id] = "success"
				}
				return Response{Attempt: id, Status: 200}
			}
			s.told[id] = true
			s.allowed[id] = s.r.IntN(2) == 0
			if s.allowed[id] && s.held[id] {
				s.attempts[id] = "success"
			}
			return SettingsReceived{Attempt: id, ConnectProtocol: s.allowed[id], Slots: s.r.IntN(3)}
		}
		switch s.r.IntN(6) {
		case 5:
			if s.early[id] && !s.allowed[id] {
				s.attempts[id] = "unsupported"
				return FrameUnsupported{Attempt: id}
			}
		case 0:
			return end(s.randomLoss(id))
		case 1:
			if !s.upgrade[id] {
				return end(StreamReset{Attempt: id, Code: s.r.Uint64N(15), Unprocessed: s.r.IntN(3) == 0, Local: s.r.IntN(5) == 0})
			}
		case 2:
			if !s.upgrade[id] {
				return end(NoSlot{Attempt: id})
			}
		}
		o := Response{Attempt: id, Status: []int{101, 200, 299, 301, 400, 401, 403, 404, 405, 421, 425, 426, 500, 501}[s.r.IntN(14)], Ended: s.r.IntN(8) == 0}
		if s.r.IntN(8) == 0 {
			o.Invalid = errors.New("invalid")
		}
		s.attempts[id] = "over"
		success := o.Status/100 == 2
		if s.upgrade[id] {
			success = o.Status == 101
		}
		if success && !o.Ended && o.Invalid == nil {
			s.attempts[id] = "success"
		}
		return o
	case "anything":
		// An outcome that belongs to nothing, or comes twice.
		if s.attempts[id] == "over" {
			return []Outcome{
				Connected{Attempt: id, ALPN: "h2"}, SettingsReceived{Attempt: id, ConnectProtocol: true, Slots: 1}, Response{Attempt: id, Status: 200},
				NoSlot{Attempt: id}, StreamReset{Attempt: id}, ConnLost{Attempt: id}, ConnectFailed{Attempt: id},
			}[s.r.IntN(7)]
		}
		return Response{Attempt: 99, Status: 200}
	}
	return StreamReset{Attempt: -1}
}

func (s *simulation) randomLoss(id int) ConnLost {
	return ConnLost{
		Attempt: id, GoAway: s.r.IntN(2) == 0, Code: s.r.Uint64N(15), CloseNotify: s.r.IntN(3) == 0, Unprocessed: s.r.IntN(3) == 0,
		Local: s.r.IntN(5) == 0, Err: errors.New("EOF"),
	}
}

func TestParse(t *testing.T) {
	for _, r := range Rungs() {
		if got, err := ParseRung(r.String()); got != r || err != nil {
			t.Errorf("ParseRung(%q): %q, %v", r, got, err)
		}
		if want := r != H3; r.Available() != want {
			t.Errorf("%s is available: %v, want %v", r, r.Available(), want)
		}
	}
	if got, err := ParseRungs("settings, h2.1,alt-svc"); fmt.Sprint(got) != "[settings h2.1 alt-svc]" || err != nil {
		t.Errorf("ParseRungs: %v, %v", got, err)
	}
	const want = `no rung is called "h2"; there are upgrade, settings, assume, token, h2.1, frame, alt-svc, h3`
	if _, err := ParseRungs("upgrade,h2"); err == nil || err.Error() != want {
		t.Errorf("ParseRungs: %v, want %s", err, want)
	}
	for _, s := range []SpareMode{Staggered, Eager, Never} {
		if got, err := ParseSpareMode(s.String()); got != s || err != nil {
			t.Errorf("ParseSpareMode(%q): %v, %v", s, got, err)
		}
	}
	if _, err := ParseSpareMode("sometimes"); err == nil {
		t.Error("ParseSpareMode takes anything")
	}
	if err := (Policy{Spare: 7}).Validate(); err == nil {
		t.Error("Validate takes any spare mode")
	}
}

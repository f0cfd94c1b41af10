package negotiate

import (
	"slices"
	"time"
)

// bound is the most that is documented for such a dial.
func (w *world) bound(f Facts, d *virtualDial, result Succeed) int {
	wasted, ignored := 0, 0 // round trips over QUIC, and before it
	for _, a := range d.m.Attempts() {
		c := d.conns[a.ID]
		switch {
		case a.Rung != H3 && a.Conn != 0:
			ignored = 1
		case a.Rung != H3 && a.Alt != nil:
			ignored = 3
		case a.Rung != H3:
		case a.ID == result.Attempt && (a.Conn != 0 || c.early && c.server.early == "accept"):
			return ignored + wasted + 1
		case a.ID == result.Attempt && c.early && c.server.early == "425":
			return ignored + wasted + 2
		case a.ID == result.Attempt:
			return ignored + wasted + 2 + c.server.late
		case a.Conn != 0:
			wasted++
		case a.Verdict == VerdictUnused || c.quiet:
		case a.Verdict == string(Transport):
			wasted++ // at most: not beside TCP
		default:
			wasted += 2 + c.server.late
		}
	}
	// What is known may expire while the dial is under way.
	return wasted + max(w.boundTCP(f, d, w.now), w.boundTCP(f, d, d.clock()))
}

func (w *world) boundTCP(f Facts, d *virtualDial, at time.Time) int {
	has := func(f func(Order) bool) bool { return slices.ContainsFunc(d.log, f) }
	spare := slices.ContainsFunc(d.m.Attempts(), func(a Attempt) bool { return a.Spare && a.Reason != quicWasFaster })
	live := has(func(o Order) bool { l, ok := o.(UseLive); return ok && !d.conns[l.Attempt].quic })
	dropped := has(func(o Order) bool { _, ok := o.(DropAlternative); return ok })
	s, known := w.server, func(r Rung) Verdict { return f.Known.Verdict(r, at) }
	n := 6
	switch {
	case live && has(func(o Order) bool { c, ok := o.(Connect); return ok && !c.QUIC }):
		n = 4 // a proposal that was ignored
	case live:
		n = 1
	case w.policy.allows(Token), !s.h2 && !s.h21, !w.policy.allows(H21) && !w.policy.allows(Settings) && !w.policy.allows(Frame):
		n = 3
	case w.policy.allows(H21) && s.h21 && known(H21) != No:
		n = 3
	case w.policy.allows(Frame) && known(Frame) != No:
		if s.frame {
			n = 3
		} else if spare && !s.chatty && !s.hangs {
			n = 4
		}
	case known(Settings) == No:
		n = 3
	case w.policy.allows(Assume) && known(Assume) != No:
		if s.connect {
			n = 3
		} else if spare && !s.chatty && !s.hangs {
			n = 4
		}
	case s.connect:
		n = 4
	case !w.policy.allows(Settings):
		n = 5 // a lone rung
	}
	if w.policy.allows(H21) && known(H21) != No && !w.policy.allows(Token) && (known(Settings) == No || !w.policy.allows(Settings)) {
		n = max(n, 5) // offers h2 beside it
	}
	if has(func(o Order) bool { c, ok := o.(Connect); return ok && c.Alt != nil && !c.QUIC }) {
		n = max(n, 4) // it asks first, or ignores a proposal
	}
	if d.overtaken {
		n = max(n, 4)
	}
	if dropped {
		n += 3 // found out as late as by the answer; a stale entry at 2
	}
	return n
}

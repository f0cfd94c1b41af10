package negotiate

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// A Policy says which ways the caller allows. The zero value is the default policy.
type Policy struct {
	// Rungs are the rungs that may be used; their order says nothing. Nil means upgrade, settings and assume, and h3 where something says
	// that the origin has it: an alternative service, an HTTPS record, the memory, a live connection. Who names h3 has it tried at
	// the address of an unknown origin, too. Assume includes settings, to which it comes back where it had better not assume.
	Rungs []Rung

	// Spare says when a second connection is prepared for the case that an assumption fails. Only rungs that
	// assume something (assume, frame) use it, at origins of which nothing is known, and only if upgrade is allowed. There is none behind a
	// proxy, without TLS, and under Strict. Eager also prepares one beside a connection to an alternative service.
	Spare SpareMode

	// HeadStart is how long QUIC is tried alone before TCP is tried beside it; 0: 50 ms; negative: both begin at once. It is half
	// of the time until the dial's deadline at most. A network that lets no QUIC through costs this much, until it is known for that.
	HeadStart time.Duration

	// EarlyConnect lets the CONNECT of h3 travel in QUIC's 0-RTT data where a session ticket allows it: one round trip. Who can read
	// what is sent can send it again, and the server may then act on it a second time (RFC 8470, Section 2), so this is for
	// handshakes that do no harm twice: it is what the caller knows and RFC 8470, Section 4, asks for. A server that takes no risk answers
	// 425, and the CONNECT is sent again. It has no effect with Once and Strict.
	EarlyConnect bool

	// Strict switches off everything that was not negotiated first: what remains is RFC 6455, RFC 8441 and RFC 9220 to the letter, and
	// alternative services where the rungs have them.
	Strict bool

	// Once is for handshakes that carry single-use credentials: nothing is assumed, and no handshake is sent again where the server may
	// have acted on the first one, so that a lost or silent connection is an error instead of a reason to fall back.
	Once bool
}

// Validate reports what is wrong with p: a rung that does not exist, is not available yet, or stands twice.
func (p Policy) Validate() error {
	for i, r := range p.Rungs {
		if _, err := ParseRung(string(r)); err != nil {
			return err
		}
		if !r.Available() {
			return fmt.Errorf("rung %s is not available yet", r)
		}
		if slices.Contains(p.Rungs[:i], r) {
			return fmt.Errorf("rung %s stands twice", r)
		}
	}
	if !slices.ContainsFunc(preference, p.allows) {
		switch {
		case len(p.Rungs) == 0:
			return errors.New("policy allows no rung")
		case p.Strict:
			return errors.New("policy allows no rung: strict leaves upgrade, settings and h3")
		}
		return errors.New("policy allows no rung besides alt-svc, which only says where to")
	}
	if p.Spare < Staggered || p.Spare > Never {
		return fmt.Errorf("there is no spare mode %d", p.Spare)
	}
	return nil
}

// allows reports whether the caller allows r: it is named, and neither Strict nor Once rules it out.
// Allows reports whether p names r, or, without Rungs, whether r is one of the default ones.
func (p Policy) Allows(r Rung) bool { return p.allows(r) }

func (p Policy) allows(r Rung) bool {
	switch {
	case p.Strict && r != Upgrade && r != Settings && r != AltSvc && r != H3:
		return false
	case p.Once && r == Assume:
		return false
	case r == Settings:
		return p.names(Settings) || p.names(Assume)
	}
	return p.names(r)
}

func (p Policy) names(r Rung) bool {
	if p.Rungs == nil {
		return r == Upgrade || r == Settings || r == Assume || r == H3
	}
	return slices.Contains(p.Rungs, r)
}

// allowsTCP reports whether p has a rung besides h3.
func (p Policy) allowsTCP() bool {
	return slices.ContainsFunc(preference, func(r Rung) bool { return r != H3 && p.allows(r) })
}

// early reports whether a CONNECT may be sent as early data.
func (p Policy) early() bool { return p.EarlyConnect && !p.Once && !p.Strict }

// headStart is how long QUIC is alone; 0: TCP begins at once.
func (p Policy) headStart() time.Duration {
	if p.HeadStart == 0 {
		return defaultHeadStart
	}
	return max(p.HeadStart, 0)
}

const defaultHeadStart = 50 * time.Millisecond

// A SpareMode says when the spare connection is started.
type SpareMode int

const (
	Staggered SpareMode = iota // when the first connection's TCP is up, or is not half a second after it was ordered: the default
	Eager                      // together with the first connection
	Never
)

func (s SpareMode) String() string {
	switch s {
	case Staggered:
		return "staggered"
	case Eager:
		return "eager"
	case Never:
		return "never"
	}
	return fmt.Sprintf("SpareMode(%d)", int(s))
}

// ParseSpareMode returns the mode with the name s.
func ParseSpareMode(s string) (SpareMode, error) {
	for _, m := range []SpareMode{Staggered, Eager, Never} {
		if m.String() == s {
			return m, nil
		}
	}
	return 0, fmt.Errorf("no spare mode is called %q; there are staggered, eager, never", s)
}

// ALPNSet is the ALPN protocols that p may offer over TCP, in the order of preference and separated by commas; part of a memory's Key. What
// is offered over QUIC makes no difference to them.
func (p Policy) ALPNSet() string {
	var list []string
	if p.allows(Token) {
		list = append(list, wsoverh2)
	}
	if p.allows(H21) {
		list = append(list, h2dot1)
	}
	if p.allows(H21) || p.allows(Frame) || p.allows(Settings) {
		list = append(list, "h2")
	}
	if p.allows(Upgrade) || p.allows(Token) {
		list = append(list, http11)
	}
	return strings.Join(list, ",")
}

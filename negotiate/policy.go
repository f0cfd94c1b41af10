package negotiate

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// A Policy says which ways the caller allows. The zero value is the default policy.
type Policy struct {
	// Rungs are the rungs that may be used; their order says nothing. Nil means upgrade, settings and assume.
	Rungs []Rung

	// Spare says when a second connection is prepared for the case that an assumption fails. Only rungs that
	// assume something use it.
	Spare SpareMode

	// Strict switches off everything that was not negotiated first: what remains is RFC 6455 and RFC 8441 to the letter.
	Strict bool

	// Once is for handshakes that carry single-use credentials: no handshake is sent again where the server may have
	// acted on the first one, so that a lost or silent connection is an error instead of a reason to fall back.
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
	if p.Rungs != nil && len(p.Rungs) == 0 {
		return errors.New("policy allows no rung")
	}
	if p.Spare < Staggered || p.Spare > Never {
		return fmt.Errorf("there is no spare mode %d", p.Spare)
	}
	return nil
}

func (p Policy) allows(r Rung) bool {
	if p.Rungs == nil {
		return r == Upgrade || r == Settings || r == Assume
	}
	return slices.Contains(p.Rungs, r)
}

// A SpareMode says when the spare connection is started.
type SpareMode int

const (
	Staggered SpareMode = iota // when the first connection's TCP is up: the default
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

// ALPNSet is the ALPN protocols that p may offer, separated by commas; part of a memory's Key.
func (p Policy) ALPNSet() string {
	var set []string
	for _, r := range offered {
		if !p.allows(r) {
			continue
		}
		for _, t := range strategies[r].tokens() {
			if !slices.Contains(set, t) {
				set = append(set, t)
			}
		}
	}
	return strings.Join(set, ",")
}

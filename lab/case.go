package lab

import (
	"slices"

	"github.com/weftws/weft/negotiate"
)

// A Case is one row of the table and how it comes about: who dials whom by which policy, and what happened before.
type Case struct {
	Row
	policy negotiate.Policy
	opener negotiate.Rung    // the rung that opens it; "": it does not matter
	before *negotiate.Policy // of a dial to the same origin that is not measured; nil: there was none
	keep   bool              // that dial's connections are there still
	origin Features
	peer   *Peer     // that is the origin; nil: ours
	next   *Features // what stands where the origin's Alt-Svc points to; nil: it has none
}

// Cases returns the table's rows, of the given rungs or of all, in the order of the documentation. Exact and Live are 0.
func Cases(rungs ...negotiate.Rung) []Case {
	var list []Case
	for _, c := range cases() {
		if len(rungs) == 0 || slices.Contains(rungs, c.Rung) {
			list = append(list, c)
		}
	}
	return list
}

// The usual policy of each rung: nothing but it, and what it falls back to. No spare, but for assume and h3,
// which go about it as the default policy does.
var (
	onlyUpgrade = rungs(negotiate.Upgrade)
	settings    = rungs(negotiate.Settings, negotiate.Upgrade)
	assume      = rungs(negotiate.Assume, negotiate.Settings, negotiate.Upgrade)
	token       = rungs(negotiate.Token, negotiate.Upgrade)
	h21         = never(rungs(negotiate.H21, negotiate.Assume, negotiate.Settings, negotiate.Upgrade))
	frame       = never(rungs(negotiate.Frame, negotiate.Upgrade))
	altSvc      = rungs(negotiate.AltSvc, negotiate.Assume, negotiate.Settings, negotiate.Upgrade)
	altSvcWaits = rungs(negotiate.AltSvc, negotiate.Settings, negotiate.Upgrade)
	h3          = rungs(negotiate.H3, negotiate.Assume, negotiate.Settings, negotiate.Upgrade)
	h3Early     = negotiate.Policy{Rungs: h3.Rungs, EarlyConnect: true}
	byDefault   = negotiate.Policy{} // h3 only where something has said that it is there
)

func rungs(r ...negotiate.Rung) negotiate.Policy { return negotiate.Policy{Rungs: r} }

func with(p negotiate.Policy, s negotiate.SpareMode) negotiate.Policy {
	p.Spare = s
	return p
}

func never(p negotiate.Policy) negotiate.Policy { return with(p, negotiate.Never) }

// cases are all rows. A server of this module is either new in everything or as old as HTTP/2 itself, or as HTTP/1.1.
func cases() []Case {
	return []Case{
		fresh(negotiate.Upgrade, New, onlyUpgrade),
		fresh(negotiate.Upgrade, Old, onlyUpgrade),

		fresh(negotiate.Settings, New, settings),
		fresh(negotiate.Settings, Old, settings),
		live(negotiate.Settings, New, settings, settings),
		live(negotiate.Settings, Old, settings, settings),
		fresh(negotiate.Settings, Old, settings).after(settings).named("", "remembered"),

		fresh(negotiate.Assume, New, assume),
		fresh(negotiate.Assume, Old, assume),
		live(negotiate.Assume, New, assume, assume).by(negotiate.Settings),
		fresh(negotiate.Assume, New, never(assume)).named("Spare: Never", ""),
		fresh(negotiate.Assume, Old, never(assume)).named("Spare: Never", ""),
		fresh(negotiate.Assume, New, with(assume, negotiate.Eager)).named("Spare: Eager", ""),
		fresh(negotiate.Assume, Old, with(assume, negotiate.Eager)).named("Spare: Eager", ""),
		fresh(negotiate.Assume, New, assume).after(assume).named("", "remembered"),
		fresh(negotiate.Assume, Old, assume).after(assume).named("", "remembered"),
		fresh(negotiate.Assume, Old, assume).withoutHTTP2(),
		fresh(negotiate.Assume, Old, assume).withoutHTTP2().after(assume).named("", "remembered"),

		fresh(negotiate.Token, New, token),
		fresh(negotiate.Token, Old, token),
		live(negotiate.Token, New, token, token),

		fresh(negotiate.H21, New, h21),
		fresh(negotiate.H21, Old, h21),
		live(negotiate.H21, New, h21, h21),
		fresh(negotiate.H21, Old, with(h21, negotiate.Staggered)).named("Spare: Staggered", ""),
		fresh(negotiate.H21, Old, with(h21, negotiate.Eager)).named("Spare: Eager", ""),
		fresh(negotiate.H21, Old, never(rungs(negotiate.H21, negotiate.Upgrade))).named("no other rung of HTTP/2", ""),

		fresh(negotiate.Frame, New, frame),
		fresh(negotiate.Frame, Old, frame),
		live(negotiate.Frame, New, frame, frame),
		live(negotiate.Frame, Old, frame, settings),
		fresh(negotiate.Frame, Old, with(frame, negotiate.Staggered)).named("Spare: Staggered", ""),
		fresh(negotiate.Frame, Old, with(frame, negotiate.Eager)).named("Spare: Eager", ""),

		fresh(negotiate.AltSvc, New, altSvc).naming(newServer),
		fresh(negotiate.AltSvc, Old, altSvc).naming(gone).after(altSvc),
		fresh(negotiate.AltSvc, Old, with(altSvc, negotiate.Eager)).naming(gone).after(altSvc).named("Spare: Eager", ""),
		fresh(negotiate.AltSvc, New, altSvc).naming(newServer).after(altSvc).named("", "second"),
		fresh(negotiate.AltSvc, New, altSvcWaits).naming(newServer).after(altSvcWaits).named("assume off", "second"),

		fresh(negotiate.H3, New, h3),
		fresh(negotiate.H3, Old, h3),
		live(negotiate.H3, New, h3, h3),
		fresh(negotiate.H3, Old, h3).after(h3).named("", "remembered"),
		fresh(negotiate.H3, New, h3Early).after(h3Early).named("EarlyConnect", "resumed"),
		fresh(negotiate.H3, New, h3Early).after(h3Early).named("EarlyConnect", "resumed").refusingEarly(),
		fresh(negotiate.H3, New, h3).withoutUDP(),
		fresh(negotiate.H3, New, h3).withoutUDP().after(h3).named("", "remembered"),
		fresh(negotiate.H3, New, byDefault).named("default policy", "").by(negotiate.Assume),
		fresh(negotiate.H3, New, byDefault).named("default policy", "second").after(byDefault),
		fresh(negotiate.H3, New, byDefault).named("default policy", "second").after(byDefault).withoutUDP(),
		fresh(negotiate.H3, Old, byDefault).named("default policy", ""),
	}
}

// gone is an alternative that was named once and has no HTTP/2 any more: it chooses no protocol.
var gone = Features{}

// naming is c with an origin that knows everything, and names another place in Alt-Svc. The first dial is like any other; the next
// ones go there.
func (c Case) naming(there Features) Case {
	c.origin, c.next, c.opener = newServer, &there, ""
	return c
}

// fresh is a dial to an origin of which nothing is known.
func fresh(r negotiate.Rung, kind string, p negotiate.Policy) Case {
	c := Case{Row: Row{Rung: r, Server: kind, Connection: Fresh}, policy: p, opener: negotiate.Upgrade, origin: oldServer}
	if kind == New {
		c.opener, c.origin = r, newServer
	}
	return c
}

// live is a dial where an earlier one, by its own policy, has left a connection.
func live(r negotiate.Rung, kind string, p, before negotiate.Policy) Case {
	c := fresh(r, kind, p).after(before)
	c.Connection, c.keep = Warm, true
	return c
}

// by is c where another rung opens it: there is nothing to assume on a live connection.
func (c Case) by(r negotiate.Rung) Case {
	c.opener = r
	return c
}

// after is c with a dial before it whose connections are gone.
func (c Case) after(before negotiate.Policy) Case {
	c.before = &before
	return c
}

// withoutHTTP2 is c with a server that has HTTP/1.1 and nothing else.
func (c Case) withoutHTTP2() Case {
	c.origin, c.opener, c.Only = Features{}, negotiate.Upgrade, "HTTP/1.1"
	return c
}

// withoutUDP is c on a network that drops datagrams: what opens it is what would if there were no h3.
func (c Case) withoutUDP() Case {
	c.Network, c.opener = NoUDP, negotiate.Assume
	return c
}

// refusingEarly is c with a server that wants no handshake in early data.
func (c Case) refusingEarly() Case {
	c.Answer, c.origin.Early = "425", false
	return c
}

// named is c with what tells it from the rung's usual row.
func (c Case) named(policy, dial string) Case {
	c.Policy, c.Dial = policy, dial
	return c
}

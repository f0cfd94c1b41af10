package resolver

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"time"

	"golang.org/x/net/dns/dnsmessage"
)

// appendQuery appends a query for q; EDNS tells how large an answer over UDP may be.
func appendQuery(b []byte, id uint16, q dnsmessage.Question) ([]byte, error) {
	m := dnsmessage.NewBuilder(b, dnsmessage.Header{ID: id, RecursionDesired: true})
	var edns dnsmessage.ResourceHeader
	err := errors.Join(
		m.StartQuestions(),
		m.Question(q),
		m.StartAdditionals(),
		edns.SetEDNS0(maxUDPAnswer, dnsmessage.RCodeSuccess, false),
		m.OPTResource(edns, dnsmessage.OPTResource{}),
	)
	if err != nil {
		return nil, err
	}
	return m.Finish()
}

// An answer is what a server's message says of a question.
type answer struct {
	owner   string   // where the CNAMEs lead
	records []HTTPS  // those in ServiceMode that a client may use
	aliases []string // targets of those in AliasMode; Invariant: then there are no records
	ttl     time.Duration
}

// parseAnswer reads the answer to q. It returns errForeign for a message that answers something else, errTruncated where
// the whole needs TCP, and otherwise what is wrong with it.
func parseAnswer(msg []byte, id uint16, q dnsmessage.Question) (*answer, error) {
	var p dnsmessage.Parser
	h, err := p.Start(msg)
	if err != nil || h.ID != id || !h.Response || h.OpCode != 0 {
		return nil, errForeign
	}
	asked, err := p.AllQuestions()
	if err != nil || len(asked) != 1 || asked[0].Type != q.Type || asked[0].Class != q.Class ||
		!strings.EqualFold(asked[0].Name.String(), q.Name.String()) {
		return nil, errForeign
	}
	switch {
	case h.Truncated:
		return nil, errTruncated
	case h.RCode != dnsmessage.RCodeSuccess && h.RCode != dnsmessage.RCodeNameError:
		return nil, fmt.Errorf("the server answered %s", strings.TrimPrefix(h.RCode.String(), "RCode"))
	}
	a := &answer{ttl: maxTTL}
	if err := a.followCNAMEs(p, lower(q.Name)); err != nil {
		return nil, err
	}
	found, err := a.parseRecords(&p)
	if err != nil {
		return nil, err
	}
	if !found {
		a.ttl = min(a.ttl, negativeTTL(&p))
	}
	return a, nil
}

// followCNAMEs finds the owner of the records; p stands before the answers.
func (a *answer) followCNAMEs(p dnsmessage.Parser, name string) error {
	type cname struct {
		to  string
		ttl time.Duration
	}
	cnames := make(map[string]cname)
	for {
		h, err := p.AnswerHeader()
		switch {
		case errors.Is(err, dnsmessage.ErrSectionDone):
			a.owner = name
			for range len(cnames) {
				next, ok := cnames[a.owner]
				if !ok {
					return nil
				}
				a.owner, a.ttl = next.to, min(a.ttl, next.ttl)
			}
			if _, more := cnames[a.owner]; more {
				return fmt.Errorf("the CNAMEs of %s lead in a circle", name)
			}
			return nil
		case err != nil:
			return malformed(err)
		case h.Type == dnsmessage.TypeCNAME && h.Class == dnsmessage.ClassINET:
			r, err := p.CNAMEResource()
			if err != nil {
				return malformed(err)
			}
			cnames[lower(h.Name)] = cname{lower(r.CNAME), ttl(h)}
		default:
			if err := p.SkipAnswer(); err != nil {
				return malformed(err)
			}
		}
	}
}

// parseRecords reads the HTTPS records of the owner; found tells whether there were some.
func (a *answer) parseRecords(p *dnsmessage.Parser) (found bool, err error) {
	for {
		h, err := p.AnswerHeader()
		switch {
		case errors.Is(err, dnsmessage.ErrSectionDone):
			// "If an RRset contains a record in AliasMode, the recipient MUST ignore any ServiceMode records in the
			// set." RFC 9460, Section 2.4.1.
			if len(a.aliases) > 0 {
				a.records = nil
			}
			return found, nil
		case err != nil:
			return false, malformed(err)
		case h.Type != dnsmessage.TypeHTTPS || h.Class != dnsmessage.ClassINET || lower(h.Name) != a.owner:
			if err := p.SkipAnswer(); err != nil {
				return false, malformed(err)
			}
			continue
		}
		// "If any RRs are malformed, the client MUST reject the entire RRset and fall back to non-SVCB connection
		// establishment." RFC 9460, Section 2.2.
		r, err := p.HTTPSResource()
		if err != nil {
			return false, malformed(err)
		}
		found = true
		a.ttl = min(a.ttl, ttl(h))
		if r.Priority == 0 {
			if to := lower(r.Target); to == "." || isHostname(hostOf(to)) {
				a.aliases = append(a.aliases, to)
			}
			continue
		}
		service, usable, err := parseService(a.owner, r.SVCBResource)
		if err != nil {
			return false, err
		}
		if usable {
			a.records = append(a.records, service)
		}
	}
}

// negativeTTL is how long it stays true that there is nothing: "the minimum of the MINIMUM field of the SOA record and the
// TTL of the SOA itself". Without an SOA it is not cached. RFC 2308, Sections 3 and 5.
func negativeTTL(p *dnsmessage.Parser) time.Duration {
	for {
		h, err := p.AuthorityHeader()
		if err != nil {
			return 0
		}
		if h.Type != dnsmessage.TypeSOA {
			if p.SkipAuthority() != nil {
				return 0
			}
			continue
		}
		soa, err := p.SOAResource()
		if err != nil {
			return 0
		}
		minimum := h
		minimum.TTL = soa.MinTTL
		return min(ttl(h), ttl(minimum), maxNegativeTTL)
	}
}

// ttl takes a TTL with its highest bit set for 0. RFC 2181, Section 8.
func ttl(h dnsmessage.ResourceHeader) time.Duration {
	if h.TTL > math.MaxInt32 {
		return 0
	}
	return min(time.Duration(h.TTL)*time.Second, maxTTL)
}

func lower(n dnsmessage.Name) string { return strings.ToLower(n.String()) }

func malformed(err error) error { return fmt.Errorf("the server's answer is malformed: %w", err) }

var (
	errForeign   = errors.New("the server answered another question")
	errTruncated = errors.New("the server's answer is truncated")
)

const (
	maxTTL         = 24 * time.Hour
	maxNegativeTTL = time.Hour

	// maxUDPAnswer is what passes every path without fragments, as DNS servers themselves have it by default.
	maxUDPAnswer = 1232
)

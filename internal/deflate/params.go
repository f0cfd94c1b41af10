package deflate

import (
	"fmt"
	"strconv"
	"strings"
)

// Name is the extension's name in Sec-WebSocket-Extensions. RFC 7692, Section 7.
const Name = "permessage-deflate"

// The names of the extension's parameters. RFC 7692, Section 7.1.
//
// Choice: names are compared case-sensitively. RFC 6455 and RFC 7692 do not say, and every browser does it so.
const (
	serverNoContextTakeover = "server_no_context_takeover"
	clientNoContextTakeover = "client_no_context_takeover"
	serverMaxWindowBits     = "server_max_window_bits"
	clientMaxWindowBits     = "client_max_window_bits"
)

// A Param is one parameter of an element of Sec-WebSocket-Extensions, unquoted.
type Param struct {
	Name     string
	Value    string
	HasValue bool
}

// Params are the agreed parameters of permessage-deflate: what both sides go by. RFC 7692, Section 7.1.
type Params struct {
	ServerNoContextTakeover bool
	ClientNoContextTakeover bool
	ServerMaxWindowBits     int // 8 to 15; as a wish or a limit also 0, which means 15
	ClientMaxWindowBits     int // likewise
}

// Validate reports window bits that are neither 0 nor 8 to 15.
func (p Params) Validate() error {
	for _, v := range []struct {
		name string
		bits int
	}{{serverMaxWindowBits, p.ServerMaxWindowBits}, {clientMaxWindowBits, p.ClientMaxWindowBits}} {
		if v.bits != 0 && (v.bits < minWindowBits || v.bits > maxWindowBits) {
			return &ParamError{"window-bits-out-of-range", "RFC 7692, Section 7.1.2", fmt.Sprintf("%s is set to %d here, not 8 to 15", v.name, v.bits)}
		}
	}
	return nil
}

// String is the element of Sec-WebSocket-Extensions that a server answers with. Window bits of 15 are the default and left out.
func (p Params) String() string {
	r := Response(p)
	if r.ServerMaxWindowBits == maxWindowBits {
		r.ServerMaxWindowBits = 0
	}
	if r.ClientMaxWindowBits == maxWindowBits {
		r.ClientMaxWindowBits = 0
	}
	return r.String()
}

// A ParamError says which rule the parameters of an offer or a response break.
type ParamError struct {
	Name    string // "unknown-parameter"
	Section string // "RFC 7692, Section 7.1.2.1"
	Detail  string
}

func (e *ParamError) Error() string { return e.Detail + " (" + e.Section + ")" }

// An Offer is what a client asks for: an extension negotiation offer. RFC 7692, Section 5.1.
type Offer struct {
	ServerNoContextTakeover bool
	ClientNoContextTakeover bool
	ServerMaxWindowBits     int // 8 to 15; 0: absent
	ClientMaxWindowBits     int // 8 to 15; 0: absent, NoValue: present without a value
}

// NoValue stands for client_max_window_bits without a value: the client lets the server choose.
const NoValue = -1

// NewOffer is the offer of a client that wants p. client_max_window_bits is always offered, so that a server may save memory;
// server_max_window_bits only where it is below 15, since a server that does not know it has to decline.
func NewOffer(p Params) Offer {
	o := Offer(p)
	if o.ServerMaxWindowBits == maxWindowBits {
		o.ServerMaxWindowBits = 0
	}
	if o.ClientMaxWindowBits == maxWindowBits || o.ClientMaxWindowBits == 0 {
		o.ClientMaxWindowBits = NoValue
	}
	return o
}

// ParseOffer reads the parameters of an offer. The error, a *ParamError, is a reason to decline this offer.
func ParseOffer(params []Param) (Offer, error) {
	values, err := parseParams(params, "client", "offered", NoValue)
	return Offer(values), err
}

// String is the element of Sec-WebSocket-Extensions that offers o.
func (o Offer) String() string {
	return printParams(Response(o))
}

// Accept is the server's answer to an offer, with s as its limits: no_context_takeover there is insisted on, window bits
// are upper bounds. The error, a *ParamError, says why the offer has to be declined.
func (o Offer) Accept(s Params) (Response, error) {
	if err := s.Validate(); err != nil {
		return Response{}, err
	}
	r := Response{
		// "A server accepts an extension negotiation offer that includes the "server_no_context_takeover" extension
		// parameter by including the "server_no_context_takeover" extension parameter in the corresponding extension
		// negotiation response." RFC 7692, Section 7.1.1.1.
		ServerNoContextTakeover: o.ServerNoContextTakeover || s.ServerNoContextTakeover,
		// Choice: the client's hint is taken: it means that there is no window to keep. RFC 7692, Section 7.1.1.2.
		ClientNoContextTakeover: o.ClientNoContextTakeover || s.ClientNoContextTakeover,
	}
	// "... by including the "server_max_window_bits" extension parameter in the extension negotiation response to send back
	// to the client with the same or smaller value as the offer." RFC 7692, Section 7.1.2.1.
	r.ServerMaxWindowBits = min(orMax(o.ServerMaxWindowBits), orMax(s.ServerMaxWindowBits))
	if o.ServerMaxWindowBits == 0 && r.ServerMaxWindowBits == maxWindowBits {
		r.ServerMaxWindowBits = 0
	}

	limit := orMax(s.ClientMaxWindowBits)
	switch {
	case o.ClientMaxWindowBits == NoValue && limit < maxWindowBits:
		r.ClientMaxWindowBits = limit
	case o.ClientMaxWindowBits > 0:
		r.ClientMaxWindowBits = min(o.ClientMaxWindowBits, limit)
	// "If a received extension negotiation offer doesn't have the "client_max_window_bits" extension parameter, the
	// corresponding extension negotiation response to the offer MUST NOT include the "client_max_window_bits" extension
	// parameter." RFC 7692, Section 7.1.2.2. Then the client cannot be held to a limit.
	//
	// Choice: what the limit is for, memory, is reached by client_no_context_takeover, which a server may ask for
	// unoffered (Section 7.1.1.2): with it no window is kept between messages.
	case o.ClientMaxWindowBits == 0 && limit < maxWindowBits:
		r.ClientNoContextTakeover = true
	}
	return r, nil
}

// orMax reads absent window bits as 15.
func orMax(bits int) int {
	if bits <= 0 {
		return maxWindowBits
	}
	return bits
}

// A Response is what a server answers: an extension negotiation response. RFC 7692, Section 5.1.
type Response struct {
	ServerNoContextTakeover bool
	ClientNoContextTakeover bool
	ServerMaxWindowBits     int // 8 to 15; 0: absent
	ClientMaxWindowBits     int // 8 to 15; 0: absent
}

// ParseResponse reads the parameters of a response. The error is a *ParamError.
func ParseResponse(params []Param) (Response, error) {
	return parseParams(params, "server", "answered", 0)
}

// String is the element of Sec-WebSocket-Extensions that answers r.
func (r Response) String() string { return printParams(r) }

// Params are the agreed parameters: an absent limit is 15.
func (r Response) Params() Params {
	return Params{r.ServerNoContextTakeover, r.ClientNoContextTakeover, orMax(r.ServerMaxWindowBits), orMax(r.ClientMaxWindowBits)}
}

// Confirm checks a server's response to o and returns what the client goes by. The error is a *ParamError.
func (o Offer) Confirm(r Response) (Params, error) {
	// "A client MUST _Fail the WebSocket Connection_ if [...] The client does not support the configuration that the
	// response represents." RFC 7692, Section 7.
	if o.ServerNoContextTakeover && !r.ServerNoContextTakeover {
		return Params{}, &ParamError{"parameter-not-confirmed", "RFC 7692, Section 7.1.1.1",
			"server accepted an offer with " + serverNoContextTakeover + " but does not confirm it"}
	}
	if o.ServerMaxWindowBits > 0 && r.ServerMaxWindowBits == 0 {
		return Params{}, &ParamError{"parameter-not-confirmed", "RFC 7692, Section 7.1.2.1",
			fmt.Sprintf("server accepted an offer with %s=%d but does not confirm it", serverMaxWindowBits, o.ServerMaxWindowBits)}
	}
	if r.ServerMaxWindowBits > orMax(o.ServerMaxWindowBits) {
		return Params{}, &ParamError{"window-bits-above-offer", "RFC 7692, Section 7.1.2.1",
			fmt.Sprintf("server answered %s=%d to an offer of %d", serverMaxWindowBits, r.ServerMaxWindowBits, o.ServerMaxWindowBits)}
	}
	if r.ClientMaxWindowBits > 0 && o.ClientMaxWindowBits == 0 {
		return Params{}, &ParamError{"parameter-not-offered", "RFC 7692, Section 7.1.2.2",
			fmt.Sprintf("server answered %s=%d, which the client did not offer", clientMaxWindowBits, r.ClientMaxWindowBits)}
	}
	p := r.Params()
	// Our own hints bind us whatever the server says. RFC 7692, Sections 7.1.1.2 and 7.1.2.2.
	p.ClientNoContextTakeover = p.ClientNoContextTakeover || o.ClientNoContextTakeover
	p.ClientMaxWindowBits = min(p.ClientMaxWindowBits, orMax(o.ClientMaxWindowBits))
	return p, nil
}

// parseParams reads the parameters that side has offered or answered. noValue is what client_max_window_bits without a value
// reads as; 0 forbids it.
func parseParams(params []Param, side, verb string, noValue int) (r Response, err error) {
	fail := func(name, section, format string, a ...any) (Response, error) {
		return Response{}, &ParamError{name, section, side + " " + verb + " " + fmt.Sprintf(format, a...)}
	}
	var seen [4]bool
	for _, p := range params {
		var i int
		section := "RFC 7692, Section 7.1.1.1"
		switch p.Name {
		case serverNoContextTakeover:
			i, r.ServerNoContextTakeover = 0, true
		case clientNoContextTakeover:
			i, r.ClientNoContextTakeover, section = 1, true, "RFC 7692, Section 7.1.1.2"
		case serverMaxWindowBits:
			i, r.ServerMaxWindowBits, section = 2, parseBits(p.Value), "RFC 7692, Section 7.1.2.1"
		case clientMaxWindowBits:
			i, r.ClientMaxWindowBits, section = 3, parseBits(p.Value), "RFC 7692, Section 7.1.2.2"
		default:
			return fail("unknown-parameter", "RFC 7692, Section 7", "%s with the unknown parameter %s", Name, quote(p.Name))
		}
		if seen[i] {
			return fail("duplicate-parameter", "RFC 7692, Section 7", "%s with %s twice", Name, p.Name)
		}
		seen[i] = true
		switch {
		case i < 2 && p.HasValue:
			return fail("superfluous-value", section, "%s=%s, which takes no value", p.Name, quote(p.Value))
		case i == 3 && !p.HasValue && noValue != 0:
			r.ClientMaxWindowBits = noValue
		case i >= 2 && !p.HasValue:
			return fail("missing-value", section, "%s without a value", p.Name)
		case i >= 2 && parseBits(p.Value) == 0:
			return fail("window-bits-out-of-range", section, "%s=%s, which is no integer from 8 to 15 without leading zeroes", p.Name, quote(p.Value))
		}
	}
	return r, nil
}

// parseBits returns 0 for what is not "a decimal integer value without leading zeroes between 8 to 15, inclusive". RFC 7692,
// Section 7.1.2.1.
func parseBits(s string) int {
	for bits := minWindowBits; bits <= maxWindowBits; bits++ {
		if s == strconv.Itoa(bits) {
			return bits
		}
	}
	return 0
}

func printParams(r Response) string {
	var b strings.Builder
	b.WriteString(Name)
	if r.ServerNoContextTakeover {
		b.WriteString("; " + serverNoContextTakeover)
	}
	if r.ClientNoContextTakeover {
		b.WriteString("; " + clientNoContextTakeover)
	}
	if r.ServerMaxWindowBits > 0 {
		b.WriteString("; " + serverMaxWindowBits + "=" + strconv.Itoa(r.ServerMaxWindowBits))
	}
	switch {
	case r.ClientMaxWindowBits > 0:
		b.WriteString("; " + clientMaxWindowBits + "=" + strconv.Itoa(r.ClientMaxWindowBits))
	case r.ClientMaxWindowBits == NoValue:
		b.WriteString("; " + clientMaxWindowBits)
	}
	return b.String()
}

// quote makes a peer's value fit for an error: at most 64 bytes of it, quoted.
func quote(s string) string {
	if len(s) > 64 {
		return strconv.Quote(s[:64]) + "..."
	}
	return strconv.Quote(s)
}

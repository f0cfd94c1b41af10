package deflate

import (
	"errors"
	"strings"
	"testing"
)

// splitParams reads the parameters of an element such as "permessage-deflate; a; b=1". It knows nothing of quotes and lists:
// that is for package handshake.
func splitParams(element string) (params []Param) {
	for part := range strings.SplitSeq(strings.TrimPrefix(element, Name), ";") {
		if part = strings.TrimSpace(part); part != "" {
			name, value, has := strings.Cut(part, "=")
			params = append(params, Param{name, value, has})
		}
	}
	return params
}

// wantParamError checks that err is the rule called name, "" for none.
func wantParamError(t *testing.T, err error, name string) {
	t.Helper()
	var p *ParamError
	switch {
	case name == "" && err != nil:
		t.Errorf("error %v, want none", err)
	case name != "" && !errors.As(err, &p):
		t.Errorf("error %v, want %s", err, name)
	case name != "" && p.Name != name:
		t.Errorf("error %s (%v), want %s", p.Name, err, name)
	case name != "" && (p.Section == "" || p.Detail == ""):
		t.Errorf("error %#v lacks section or detail", p)
	}
}

// "A server MUST decline an extension negotiation offer for this extension if any of the following conditions are met:
//   - The negotiation offer contains an extension parameter not defined for use in an offer.
//   - The negotiation offer contains an extension parameter with an invalid value.
//   - The negotiation offer contains multiple extension parameters with the same name."
//
// RFC 7692, Section 7. The sentences on single parameters stand at their cases.
func TestRFC7692Section7_Offers(t *testing.T) {
	for _, tt := range []struct {
		offer string
		want  Offer
		err   string
	}{
		{"", Offer{}, ""},
		{"unknown", Offer{}, "unknown-parameter"},
		{"unknown=1", Offer{}, "unknown-parameter"},
		{"Server_No_Context_Takeover", Offer{}, "unknown-parameter"},
		// Section 7.1.1.1: "A client MAY include the "server_no_context_takeover" extension parameter in an extension
		// negotiation offer. This extension parameter has no value."
		{"server_no_context_takeover", Offer{ServerNoContextTakeover: true}, ""},
		{"server_no_context_takeover=1", Offer{}, "superfluous-value"},
		{"server_no_context_takeover; server_no_context_takeover", Offer{}, "duplicate-parameter"},
		// Section 7.1.1.2: "This extension parameter has no value."
		{"client_no_context_takeover", Offer{ClientNoContextTakeover: true}, ""},
		{"client_no_context_takeover=true", Offer{}, "superfluous-value"},
		{"client_no_context_takeover; server_no_context_takeover; client_no_context_takeover", Offer{}, "duplicate-parameter"},
		// Section 7.1.2.1: "This parameter has a decimal integer value without leading zeroes between 8 to 15, inclusive."
		{"server_max_window_bits=8", Offer{ServerMaxWindowBits: 8}, ""},
		{"server_max_window_bits=15", Offer{ServerMaxWindowBits: 15}, ""},
		{"server_max_window_bits=7", Offer{}, "window-bits-out-of-range"},
		{"server_max_window_bits=16", Offer{}, "window-bits-out-of-range"},
		{"server_max_window_bits=0", Offer{}, "window-bits-out-of-range"},
		{"server_max_window_bits=010", Offer{}, "window-bits-out-of-range"},
		{"server_max_window_bits=08", Offer{}, "window-bits-out-of-range"},
		{"server_max_window_bits=+9", Offer{}, "window-bits-out-of-range"},
		{"server_max_window_bits=0xa", Offer{}, "window-bits-out-of-range"},
		{"server_max_window_bits=1.0e1", Offer{}, "window-bits-out-of-range"},
		{"server_max_window_bits=18446744073709551626", Offer{}, "window-bits-out-of-range"},
		{"server_max_window_bits=", Offer{}, "window-bits-out-of-range"},
		{"server_max_window_bits", Offer{}, "missing-value"},
		{"server_max_window_bits=10; server_max_window_bits=10", Offer{}, "duplicate-parameter"},
		// Section 7.1.2.2: "This parameter has no value or a decimal integer value without leading zeroes between 8 to 15
		// inclusive."
		{"client_max_window_bits", Offer{ClientMaxWindowBits: NoValue}, ""},
		{"client_max_window_bits=8", Offer{ClientMaxWindowBits: 8}, ""},
		{"client_max_window_bits=15", Offer{ClientMaxWindowBits: 15}, ""},
		{"client_max_window_bits=7", Offer{}, "window-bits-out-of-range"},
		{"client_max_window_bits=16", Offer{}, "window-bits-out-of-range"},
		{"client_max_window_bits=-1", Offer{}, "window-bits-out-of-range"},
		{"client_max_window_bits=09", Offer{}, "window-bits-out-of-range"},
		{"client_max_window_bits; client_max_window_bits=10", Offer{}, "duplicate-parameter"},
		{"server_no_context_takeover; client_no_context_takeover; server_max_window_bits=10; client_max_window_bits=11", Offer{true, true, 10, 11}, ""},
		{"client_max_window_bits=11; server_max_window_bits=10; client_no_context_takeover; server_no_context_takeover", Offer{true, true, 10, 11}, ""},
	} {
		t.Run(tt.offer, func(t *testing.T) {
			got, err := ParseOffer(splitParams(tt.offer))
			wantParamError(t, err, tt.err)
			if got != tt.want {
				t.Errorf("got %+v, want %+v", got, tt.want)
			}
		})
	}
}

// "A client MUST _Fail the WebSocket Connection_ if the peer server accepted an extension negotiation offer for this extension
// with an extension negotiation response meeting any of the following conditions:
//   - The negotiation response contains an extension parameter not defined for use in a response.
//   - The negotiation response contains an extension parameter with an invalid value.
//   - The negotiation response contains multiple extension parameters with the same name."
//
// RFC 7692, Section 7.
func TestRFC7692Section7_Responses(t *testing.T) {
	for _, tt := range []struct {
		response string
		want     Response
		err      string
	}{
		{"", Response{}, ""},
		{"unknown", Response{}, "unknown-parameter"},
		{"server_no_context_takeover", Response{ServerNoContextTakeover: true}, ""},
		// Section 7.1.1.1: "The "server_no_context_takeover" extension parameter in an extension negotiation response has no value."
		{"server_no_context_takeover=1", Response{}, "superfluous-value"},
		{"client_no_context_takeover=", Response{}, "superfluous-value"},
		{"client_no_context_takeover; client_no_context_takeover", Response{}, "duplicate-parameter"},
		{"server_max_window_bits=9", Response{ServerMaxWindowBits: 9}, ""},
		{"server_max_window_bits", Response{}, "missing-value"},
		{"server_max_window_bits=09", Response{}, "window-bits-out-of-range"},
		{"client_max_window_bits=9", Response{ClientMaxWindowBits: 9}, ""},
		// Section 7.1.2.2: without a value it is for offers alone.
		{"client_max_window_bits", Response{}, "missing-value"},
		{"client_max_window_bits=16", Response{}, "window-bits-out-of-range"},
	} {
		t.Run(tt.response, func(t *testing.T) {
			got, err := ParseResponse(splitParams(tt.response))
			wantParamError(t, err, tt.err)
			if got != tt.want {
				t.Errorf("got %+v, want %+v", got, tt.want)
			}
		})
	}
}

// What a server answers to an offer, given its limits. err says why it declines.
func TestRFC7692Section7_1_Accept(t *testing.T) {
	for _, tt := range []struct {
		rule    string
		offer   string
		support Params
		want    string
		err     string
	}{
		{"nothing asked, nothing limited", "", Params{}, "permessage-deflate", ""},
		{`7.1.1.1: "A server accepts an extension negotiation offer that includes the "server_no_context_takeover" extension parameter by including the "server_no_context_takeover" extension parameter in the corresponding extension negotiation response."`,
			"server_no_context_takeover", Params{}, "permessage-deflate; server_no_context_takeover", ""},
		{`7.1.1.1: "A server MAY include the "server_no_context_takeover" extension parameter in an extension negotiation response even if the extension negotiation offer being accepted by the extension negotiation response didn't include the "server_no_context_takeover" extension parameter."`,
			"", Params{ServerNoContextTakeover: true}, "permessage-deflate; server_no_context_takeover", ""},
		{`7.1.1.2: "the server may either ignore the parameter or use the parameter to avoid taking over the LZ77 sliding window unnecessarily by including the "client_no_context_takeover" extension parameter in the corresponding extension negotiation response"`,
			"client_no_context_takeover", Params{}, "permessage-deflate; client_no_context_takeover", ""},
		{`7.1.1.2: "A server MAY include the "client_no_context_takeover" extension parameter in an extension negotiation response."`,
			"", Params{ClientNoContextTakeover: true}, "permessage-deflate; client_no_context_takeover", ""},
		{`7.1.2.1: "with the same or smaller value as the offer": the same`, "server_max_window_bits=10", Params{}, "permessage-deflate; server_max_window_bits=10", ""},
		{"7.1.2.1: the same, where it is the default", "server_max_window_bits=15", Params{}, "permessage-deflate; server_max_window_bits=15", ""},
		{"7.1.2.1: smaller", "server_max_window_bits=12", Params{ServerMaxWindowBits: 9}, "permessage-deflate; server_max_window_bits=9", ""},
		{"7.1.2.1: not larger", "server_max_window_bits=9", Params{ServerMaxWindowBits: 12}, "permessage-deflate; server_max_window_bits=9", ""},
		{`7.1.2.1: "A server MAY include the "server_max_window_bits" extension parameter in an extension negotiation response even if the extension negotiation offer being accepted by the response didn't include the "server_max_window_bits" extension parameter."`,
			"", Params{ServerMaxWindowBits: 12}, "permessage-deflate; server_max_window_bits=12", ""},
		{`7.1.2.2: "If a received extension negotiation offer has the "client_max_window_bits" extension parameter, the server MAY include the "client_max_window_bits" extension parameter in the corresponding extension negotiation response to the offer."`,
			"client_max_window_bits", Params{ClientMaxWindowBits: 12}, "permessage-deflate; client_max_window_bits=12", ""},
		{"7.1.2.2: it need not", "client_max_window_bits", Params{}, "permessage-deflate", ""},
		{`7.1.2.2: "with a value equal to or smaller than the received value": equal`, "client_max_window_bits=10", Params{}, "permessage-deflate; client_max_window_bits=10", ""},
		{"7.1.2.2: smaller", "client_max_window_bits=10", Params{ClientMaxWindowBits: 8}, "permessage-deflate; client_max_window_bits=8", ""},
		{`7.1.2.2: "If a received extension negotiation offer doesn't have the "client_max_window_bits" extension parameter, the corresponding extension negotiation response to the offer MUST NOT include the "client_max_window_bits" extension parameter."`,
			"", Params{ClientMaxWindowBits: 15}, "permessage-deflate", ""},
		{"7.1.2.2: so a server that limits memory asks for no context takeover instead", "", Params{ClientMaxWindowBits: 12}, "permessage-deflate; client_no_context_takeover", ""},
		{"everything", "server_no_context_takeover; client_no_context_takeover; server_max_window_bits=10; client_max_window_bits", Params{false, false, 9, 8},
			"permessage-deflate; server_no_context_takeover; client_no_context_takeover; server_max_window_bits=9; client_max_window_bits=8", ""},
		{"a server set to nonsense", "", Params{ServerMaxWindowBits: 16}, "", "window-bits-out-of-range"},
	} {
		t.Run(tt.rule, func(t *testing.T) {
			offer, err := ParseOffer(splitParams(tt.offer))
			if err != nil {
				t.Fatal(err)
			}
			got, err := offer.Accept(tt.support)
			wantParamError(t, err, tt.err)
			if err == nil && got.String() != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

// What a client makes of a response to its offer. err says why it fails the connection.
func TestRFC7692Section7_1_Confirm(t *testing.T) {
	for _, tt := range []struct {
		rule     string
		offer    Offer
		response string
		want     Params
		err      string
	}{
		{"nothing asked, nothing said", Offer{}, "", Params{false, false, 15, 15}, ""},
		{"7.1.1.1: offered and confirmed", Offer{ServerNoContextTakeover: true}, "server_no_context_takeover", Params{true, false, 15, 15}, ""},
		{"7.1.1.1: offered, accepted without it", Offer{ServerNoContextTakeover: true}, "", Params{}, "parameter-not-confirmed"},
		{"7.1.1.1: not offered, the server may", Offer{}, "server_no_context_takeover", Params{true, false, 15, 15}, ""},
		{`7.1.1.2: "By including the "client_no_context_takeover" extension parameter in an extension negotiation response, a server prevents the peer client from using context takeover."`,
			Offer{}, "client_no_context_takeover", Params{false, true, 15, 15}, ""},
		{`7.1.1.2: "a hint that even if the server doesn't include the "client_no_context_takeover" extension parameter in the corresponding extension negotiation response to the offer, the client is not going to use context takeover"`,
			Offer{ClientNoContextTakeover: true}, "", Params{false, true, 15, 15}, ""},
		{"7.1.2.1: the same value", Offer{ServerMaxWindowBits: 10}, "server_max_window_bits=10", Params{false, false, 10, 15}, ""},
		{"7.1.2.1: a smaller value", Offer{ServerMaxWindowBits: 10}, "server_max_window_bits=8", Params{false, false, 8, 15}, ""},
		{"7.1.2.1: a larger value", Offer{ServerMaxWindowBits: 10}, "server_max_window_bits=11", Params{}, "window-bits-above-offer"},
		{"7.1.2.1: none", Offer{ServerMaxWindowBits: 10}, "", Params{}, "parameter-not-confirmed"},
		{"7.1.2.1: not offered, the server may", Offer{}, "server_max_window_bits=11", Params{false, false, 11, 15}, ""},
		{"7.1.2.2: offered without a value", Offer{ClientMaxWindowBits: NoValue}, "client_max_window_bits=9", Params{false, false, 15, 9}, ""},
		{`7.1.2.2: "Absence of this extension parameter in an extension negotiation response indicates that the server can receive messages compressed using an LZ77 sliding window of up to 32,768 bytes."`,
			Offer{ClientMaxWindowBits: NoValue}, "", Params{false, false, 15, 15}, ""},
		{"7.1.2.2: our hint binds us without a word", Offer{ClientMaxWindowBits: 10}, "", Params{false, false, 15, 10}, ""},
		{"7.1.2.2: our hint binds us against a larger value", Offer{ClientMaxWindowBits: 10}, "client_max_window_bits=12", Params{false, false, 15, 10}, ""},
		{"7.1.2.2: a smaller value", Offer{ClientMaxWindowBits: 10}, "client_max_window_bits=8", Params{false, false, 15, 8}, ""},
		{`7.1.2.2: "If a received extension negotiation offer doesn't have the "client_max_window_bits" extension parameter, the corresponding extension negotiation response to the offer MUST NOT include the "client_max_window_bits" extension parameter."`,
			Offer{}, "client_max_window_bits=15", Params{}, "parameter-not-offered"},
	} {
		t.Run(tt.rule, func(t *testing.T) {
			response, err := ParseResponse(splitParams(tt.response))
			if err != nil {
				t.Fatal(err)
			}
			got, err := tt.offer.Confirm(response)
			wantParamError(t, err, tt.err)
			if got != tt.want {
				t.Errorf("got %+v, want %+v", got, tt.want)
			}
		})
	}
}

func TestNewOffer(t *testing.T) {
	for _, tt := range []struct {
		params Params
		want   string
	}{
		{Params{}, "permessage-deflate; client_max_window_bits"},
		{Params{ServerMaxWindowBits: 15, ClientMaxWindowBits: 15}, "permessage-deflate; client_max_window_bits"},
		{Params{true, true, 10, 9}, "permessage-deflate; server_no_context_takeover; client_no_context_takeover; server_max_window_bits=10; client_max_window_bits=9"},
	} {
		if got := NewOffer(tt.params).String(); got != tt.want {
			t.Errorf("NewOffer(%+v): %q, want %q", tt.params, got, tt.want)
		}
	}
}

func TestParamsString(t *testing.T) {
	for _, tt := range []struct {
		params Params
		want   string
	}{
		{Params{}, "permessage-deflate"},
		{Params{false, false, 15, 15}, "permessage-deflate"},
		{Params{true, false, 15, 8}, "permessage-deflate; server_no_context_takeover; client_max_window_bits=8"},
		{Params{true, true, 8, 14}, "permessage-deflate; server_no_context_takeover; client_no_context_takeover; server_max_window_bits=8; client_max_window_bits=14"},
	} {
		if got := tt.params.String(); got != tt.want {
			t.Errorf("%+v: %q, want %q", tt.params, got, tt.want)
		}
	}
}

func TestParamErrorsQuoteAndCut(t *testing.T) {
	_, err := ParseOffer([]Param{{"server_max_window_bits", strings.Repeat("\n9", 1000), true}})
	if got := err.Error(); len(got) > 400 || strings.Contains(got, "\n") || !strings.HasPrefix(got, "client offered server_max_window_bits=") {
		t.Errorf("got %q", got)
	}
}

package h3

import (
	"fmt"
	"slices"
	"strings"

	"github.com/quic-go/quic-go/http3"

	"github.com/weftws/weft/internal/fields"
)

// A Rule is one that a client can break, or a limit of ours that it can exceed.
type Rule struct {
	Protocol string // "http3" or "quic"
	Name     string // in kebab-case, as HTTP/2 names it where it has the same
	Limit    bool
	Section  string // "RFC 9114, Section 4.3.1"

	code http3.ErrCode // for the stream, or for the connection
}

// Limits.
var (
	// "H3_REQUEST_INCOMPLETE (0x010d): The client's stream terminated without containing a fully formed request." RFC 9114, Section 8.1. Here
	// it is us who terminate it.
	headersTimeout = limit("headers-timeout", http3.ErrCodeRequestIncomplete, "RFC 9114, Section 10.5")
	streamTimeout  = limit("stream-type-timeout", http3.ErrCodeStreamCreationError, "RFC 9114, Section 10.5")
	streamStalled  = limit("stream-stalled", http3.ErrCodeExcessiveLoad, "RFC 9114, Section 10.5")
	tooManyResets  = limit("too-many-resets", http3.ErrCodeExcessiveLoad, "RFC 9114, Section 10.5")
	tooMuchControl = limit("too-many-control-frames", http3.ErrCodeExcessiveLoad, "RFC 9114, Section 10.5")

	handshakeTimeout = register(Rule{Protocol: "quic", Name: "handshake-timeout", Limit: true, Section: "RFC 9000, Section 10.1"})
)

// Requests.
var (
	requestIncomplete     = register(Rule{Protocol: "http3", Name: "request-incomplete", Section: "RFC 9114, Section 4.1", code: http3.ErrCodeRequestIncomplete})
	contentLengthMismatch = malformedRequest("content-length-mismatch", "RFC 9114, Section 4.1.2")
)

// fieldRules are those of field sections, which HTTP/2 has too.
var fieldRules = func() (all [fields.NumRules]*Rule) {
	for rule, section := range [fields.NumRules]string{
		fields.ContentLengthInvalid: "RFC 9110, Section 8.6",
		fields.NameInvalid:          "RFC 9114, Section 4.2",
		fields.ValueInvalid:         "RFC 9114, Section 4.2",
		fields.ConnectionField:      "RFC 9114, Section 4.2",
		fields.PseudoUnknown:        "RFC 9114, Section 4.3",
		fields.PseudoRepeated:       "RFC 9114, Section 4.3.1",
		fields.PseudoAfterRegular:   "RFC 9114, Section 4.3",
		fields.PseudoInTrailers:     "RFC 9114, Section 4.3",
		fields.PseudoMissing:        "RFC 9114, Section 4.3.1",
		fields.PseudoInvalid:        "RFC 9114, Section 4.3.1",
		fields.HostMismatch:         "RFC 9114, Section 4.3.1",
		fields.ConnectForm:          "RFC 9114, Section 4.4",
		fields.TooLarge:             "RFC 9114, Section 4.2.2",
	} {
		switch rule := fields.Rule(rule); rule {
		case fields.StatusInvalid: // a server's
		case fields.TooLarge:
			all[rule] = limit(rule.String(), http3.ErrCodeExcessiveLoad, section)
		default:
			all[rule] = malformedRequest(rule.String(), section)
		}
	}
	return all
}()

// Rules returns the table of them all.
func Rules() []*Rule {
	all := slices.Clone(rules)
	for _, code := range connectionCodes {
		all = append(all, ruleOf(code))
	}
	return all
}

var rules []*Rule

func register(r Rule) *Rule {
	rules = append(rules, &r)
	return &r
}

func limit(name string, code http3.ErrCode, section string) *Rule {
	return register(Rule{Protocol: "http3", Name: name, Limit: true, Section: section, code: code})
}

// malformedRequest: "Malformed requests or responses that are detected MUST be treated as a stream error of type H3_MESSAGE_ERROR."
// RFC 9114, Section 4.1.2.
func malformedRequest(name, section string) *Rule {
	return register(Rule{Protocol: "http3", Name: name, Section: section, code: http3.ErrCodeMessageError})
}

// connectionCodes are those of the connection errors that a client can bring about.
var connectionCodes = []http3.ErrCode{
	http3.ErrCodeGeneralProtocolError, http3.ErrCodeStreamCreationError, http3.ErrCodeClosedCriticalStream, http3.ErrCodeFrameUnexpected,
	http3.ErrCodeFrameError, http3.ErrCodeExcessiveLoad, http3.ErrCodeIDError, http3.ErrCodeSettingsError, http3.ErrCodeMissingSettings,
	http3.ErrCodeQPACKDecompressionFailed,
}

// ruleOf is the rule that a connection error of type code stands for: H3_FRAME_UNEXPECTED is frame-unexpected.
func ruleOf(code http3.ErrCode) *Rule {
	section := "RFC 9114, Section 8.1"
	if code == http3.ErrCodeQPACKDecompressionFailed {
		section = "RFC 9204, Section 6"
	}
	name := strings.TrimPrefix(strings.ToLower(code.String()), "h3_")
	return &Rule{Protocol: "http3", Name: strings.ReplaceAll(name, "_", "-"), Limit: code == http3.ErrCodeExcessiveLoad, Section: section, code: code}
}

// A breach is one case of a Rule that concerns one stream.
type breach struct {
	rule   *Rule
	detail string // in words, beginning with "client"
}

func (b *breach) Error() string { return b.detail }

func breaks(rule *Rule, format string, a ...any) *breach {
	return &breach{rule: rule, detail: "client " + fmt.Sprintf(format, a...)}
}

// breaksFields is b as the client's.
func breaksFields(b *fields.Breach) *breach { return breaks(fieldRules[b.Rule], "%s", b.Detail) }

package fields

import "fmt"

// A Rule is one that a field section can break.
type Rule uint8

const (
	TooLarge Rule = iota // a limit of ours
	NameInvalid
	ValueInvalid
	ConnectionField
	ContentLengthInvalid
	PseudoUnknown
	PseudoRepeated
	PseudoAfterRegular
	PseudoInTrailers
	PseudoMissing
	PseudoInvalid
	HostMismatch
	StatusInvalid
	ConnectForm

	NumRules = iota
)

var ruleNames = [NumRules]string{
	TooLarge:             "header-list-too-large",
	NameInvalid:          "field-name-invalid",
	ValueInvalid:         "field-value-invalid",
	ConnectionField:      "connection-specific-field",
	ContentLengthInvalid: "content-length-invalid",
	PseudoUnknown:        "pseudo-header-unknown",
	PseudoRepeated:       "pseudo-header-repeated",
	PseudoAfterRegular:   "pseudo-header-after-field",
	PseudoInTrailers:     "pseudo-header-in-trailers",
	PseudoMissing:        "pseudo-header-missing",
	PseudoInvalid:        "pseudo-header-invalid",
	HostMismatch:         "host-mismatch",
	StatusInvalid:        "status-invalid",
	ConnectForm:          "connect-form",
}

// String returns the rule's name, in kebab-case.
func (r Rule) String() string { return ruleNames[r] }

// A Breach is one case of a Rule.
type Breach struct {
	Rule   Rule
	Detail string // what the peer did, as the rest of a sentence that begins with "peer"
}

// Error implements error.
func (b *Breach) Error() string { return "peer " + b.Detail }

func breaks(rule Rule, format string, args ...any) *Breach {
	return &Breach{Rule: rule, Detail: fmt.Sprintf(format, args...)}
}

package negotiate

// A Class says what a failure means.
type Class string

const (
	Transport   Class = "transport"
	Killed      Class = "killed"
	Version     Class = "version"
	Refused     Class = "refused"
	Misdirected Class = "misdirected"
	Ambiguous   Class = "ambiguous"
	Early       Class = "early"
	Silent      Class = "silent"
	Handshake   Class = "handshake"
	Application Class = "application"

	// CallerLeft is the class of a dial whose context ended, and Disallowed of one for which the policy leaves no way. They
	// say nothing about the server.
	CallerLeft Class = "cancelled"
	Disallowed Class = "policy"
)

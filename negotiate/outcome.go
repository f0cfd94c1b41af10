package negotiate

// An Outcome is what came of an order, or what happened by itself. Every outcome of an attempt may be reported once it was
// ordered; outcomes of attempts that are over are ignored.
type Outcome interface{ outcome() }

// Connected: the connection is there. ALPN is what the server chose, "" if nothing.
type Connected struct {
	Attempt int
	ALPN    string
	// RoundTrips is what it cost; 0 means 1 for TCP and 1 for TLS.
	RoundTrips int
}

// ConnectFailed: the connection could not be made. All addresses were tried.
type ConnectFailed struct {
	Attempt int
	Step    Step
	Err     error
}

// A Step is the part of making a connection that failed.
type Step string

const (
	StepResolve     Step = "resolve"
	StepTCP         Step = "tcp"
	StepProxy       Step = "proxy"
	StepTLS         Step = "tls"
	StepCertificate Step = "certificate"
)

// SettingsReceived: the server's first SETTINGS were applied.
type SettingsReceived struct {
	Attempt         int
	ConnectProtocol bool // SETTINGS_ENABLE_CONNECT_PROTOCOL = 1 (RFC 8441, Section 3)
	Slots           int  // streams that can be opened
}

// Response: the final (not 1xx, but for 101) response has arrived.
type Response struct {
	Attempt int
	Status  int
	Ended   bool // HTTP/2: it came with END_STREAM
	// Invalid is what is wrong with the handshake of a successful response (101 on HTTP/1.1, 2xx on HTTP/2): which rule
	// it broke. Nil: it is as it should be. Other statuses are not checked.
	Invalid error
}

// NoSlot: the connection has taken no stream, because it has no slot left, drains, or is gone. Nothing was sent.
type NoSlot struct{ Attempt int }

// StreamReset: the stream was reset before the response.
type StreamReset struct {
	Attempt int
	Code    uint64 // error code of HTTP/2 or HTTP/3
	// Unprocessed: the server promises that it has done nothing (REFUSED_STREAM, GOAWAY below the stream).
	Unprocessed bool
	// Local: we reset it, because the peer broke a rule.
	Local bool
	Err   error
}

// ConnLost: the connection ended before the response, or before SETTINGS.
type ConnLost struct {
	Attempt     int
	GoAway      bool   // a GOAWAY with Code was received, or sent if Local
	Code        uint64 // error code of HTTP/2 or HTTP/3
	CloseNotify bool   // the end came from inside TLS and cannot be forged
	Unprocessed bool   // GOAWAY with a last stream identifier below the attempt's
	Local       bool   // we ended it, because the peer broke a rule
	Err         error
}

// ProbeDone answers AwaitProbe. Facts replace the ones known before.
type ProbeDone struct{ Facts Facts }

// Timer: the time of the last SetTimer has come.
type Timer struct{}

// Cancelled: the caller wants no more. Err is its context's.
type Cancelled struct{ Err error }

func (Connected) outcome()        {}
func (ConnectFailed) outcome()    {}
func (SettingsReceived) outcome() {}
func (Response) outcome()         {}
func (NoSlot) outcome()           {}
func (StreamReset) outcome()      {}
func (ConnLost) outcome()         {}
func (ProbeDone) outcome()        {}
func (Timer) outcome()            {}
func (Cancelled) outcome()        {}

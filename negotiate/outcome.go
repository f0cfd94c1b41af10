package negotiate

import "time"

// An Outcome is what came of an order, or what happened by itself. Every outcome of an attempt may be reported once it was
// ordered; outcomes of attempts that are over are ignored.
type Outcome interface{ outcome() }

// Reached: TCP is up, TLS is not yet; over QUIC, the first packet has come from the server. It comes before Connected, and may be left out
// where that follows at once.
type Reached struct {
	Attempt int
	// RTT is how long the network took for one round trip; 0: not known.
	RTT time.Duration
}

// Spoke: a spare (Connect.Spare) has sent something, or ended, before its Upgrade. The executor may have closed it.
type Spoke struct {
	Attempt int
	EOF     bool // it has ended; else it sent at least one byte
}

// Connected: the connection is there. ALPN is what the server chose, "" if nothing.
type Connected struct {
	Attempt int
	ALPN    string
	// RoundTrips is what it cost; 0 means 1 for TCP and 1 for TLS, or 1 for QUIC.
	RoundTrips int
	// Early: it can carry 0-RTT data, and nothing was heard of the server yet. Only after Connect.Early. SETTINGS are the remembered ones;
	// the ones that the server sends are reported all the same.
	Early bool
}

// ConnectFailed: the connection could not be made. All addresses were tried. It is reported after Connected, too, where that was Early and
// the handshake has failed.
type ConnectFailed struct {
	Attempt int
	Step    Step
	// Heard, with StepQUIC: some packet came from the peer, so that the network lets QUIC through.
	Heard bool
	Err   error
}

// EarlyRejected: the server has rejected 0-RTT, so it has not processed the request. The connection goes on, and its SETTINGS
// are to be awaited (WaitSettings), and reported even if others were before.
type EarlyRejected struct{ Attempt int }

// A Step is the part of making a connection that failed.
type Step string

const (
	StepResolve     Step = "resolve"
	StepTCP         Step = "tcp"
	StepProxy       Step = "proxy"
	StepTLS         Step = "tls"
	StepCertificate Step = "certificate"
	StepQUIC        Step = "quic" // the handshake of QUIC, certificates apart
)

// SettingsReceived: the server's first SETTINGS were applied. It is reported once for each connection made for this dial,
// whatever was sent in the meantime, and is not expected before other outcomes of the same connection: what needs to wait
// for it waits in the Machine.
type SettingsReceived struct {
	Attempt int
	// Present says that SETTINGS_ENABLE_CONNECT_PROTOCOL was in them.
	Present bool
	// ConnectProtocol says that Extended CONNECT is allowed, by the rule of the connection's ALPN: on "h2" that the value 1 was
	// received (RFC 8441, Section 3), on "h3" the same (RFC 9220, Section 3), on "h2.1" that no 0 was, on "wsoverh2" the same.
	ConnectProtocol bool
	Slots           int // streams that can be opened besides the ones that are open
	// RoundTrips, on "h3": how many passed between the handshake and these SETTINGS. 0: they came with the server's first flight.
	RoundTrips int
}

// FrameAccepted: WS_ACCEPT has come: the server knows WS_OPEN, and the stream is open. The response follows.
type FrameAccepted struct{ Attempt int }

// FrameUnsupported: the ack of the PING behind WS_OPEN has come, and no WS_ACCEPT before it.
type FrameUnsupported struct{ Attempt int }

// Response: the final (not 1xx, but for 101) response has arrived.
type Response struct {
	Attempt int
	Status  int
	Ended   bool // HTTP/2: it came with END_STREAM; HTTP/3: with the end of the stream
	// Invalid is what is wrong with the handshake of a successful response (101 on HTTP/1.1, 2xx on HTTP/2 and HTTP/3): which rule
	// it broke. Nil: it is as it should be. Other statuses are not checked.
	Invalid error
}

// NoSlot: the connection has taken no stream, because it has no slot left, drains, or is gone. Nothing was sent.
type NoSlot struct{ Attempt int }

// StreamReset: the stream was reset before the response.
type StreamReset struct {
	Attempt int
	Code    uint64 // error code of HTTP/2 or HTTP/3
	// Unprocessed: the server promises that it has done nothing (REFUSED_STREAM, H3_REQUEST_REJECTED, GOAWAY below the stream).
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
	CloseNotify bool   // the end came from inside TLS or QUIC (CONNECTION_CLOSE) and cannot be forged
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

func (Reached) outcome()          {}
func (Spoke) outcome()            {}
func (FrameAccepted) outcome()    {}
func (FrameUnsupported) outcome() {}
func (Connected) outcome()        {}
func (ConnectFailed) outcome()    {}
func (EarlyRejected) outcome()    {}
func (SettingsReceived) outcome() {}
func (Response) outcome()         {}
func (NoSlot) outcome()           {}
func (StreamReset) outcome()      {}
func (ConnLost) outcome()         {}
func (ProbeDone) outcome()        {}
func (Timer) outcome()            {}
func (Cancelled) outcome()        {}

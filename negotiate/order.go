package negotiate

import (
	"fmt"
	"strings"
	"time"
)

// An Order is what the executor is to do next. Orders of one Start or Report are obeyed in their sequence. An order that names
// an attempt is about the connection or the stream that has this number; numbers count from 1.
type Order interface {
	fmt.Stringer
	order()
}

// UseLive: open a stream for attempt on the live connection Conn and send the Extended CONNECT, or with Frame propose it as
// SendFrame does. Answers: Response, StreamReset, ConnLost, NoSlot; with Frame also FrameAccepted, FrameUnsupported.
type UseLive struct {
	Attempt int
	Conn    uint64
	Frame   bool
}

// AwaitProbe: wait until one of the probes under way that Facts.Probing counted is over (connected and its SETTINGS there, or
// not HTTP/2, or failed); not at all if there is none. Answer: ProbeDone, with the facts as they are then.
type AwaitProbe struct{}

// Connect: make a connection (resolve, proxy, TCP, TLS; with QUIC resolve and QUIC) for attempt. There may be one of TCP and one of QUIC
// under way at once.
// Answers: Reached, Connected, ConnectFailed; with Spare also Spoke.
type Connect struct {
	Attempt int
	TLS     bool
	// ALPN is what to offer. Without TLS it is the one protocol that the connection is going to speak, and Connected
	// repeats it.
	ALPN []string
	// Probe says that the connection may come to carry many streams: other dials to this origin had better wait for it.
	Probe bool
	// Spare says that nothing is to be sent on the connection before it is asked for (SendUpgrade), and that what the server sends or
	// its end before that is to be reported as Spoke.
	Spare bool
	// Alt is where to connect to instead of the origin: the certificate must be valid for the origin all the same, and the request
	// carries Alt-Used (RFC 7838, Sections 2.1 and 5) unless it is a hint. Nil: the origin.
	Alt *Alternative
	// QUIC says that the connection is QUIC, for HTTP/3: ALPN is "h3" alone.
	QUIC bool
	// Early says that with a session ticket Connected may be reported before the server has answered (Connected.Early): a SendConnect that
	// comes then goes out as 0-RTT data.
	Early bool
}

// WaitSettings: attempt's connection is HTTP/2 or HTTP/3; send preface and SETTINGS and wait for the server's first SETTINGS. After
// EarlyRejected there is only the waiting.
// Answers: SettingsReceived, ConnLost.
type WaitSettings struct{ Attempt int }

// SendConnect: open a stream on attempt's connection and send the Extended CONNECT. If its HTTP/2 has not begun, preface, SETTINGS
// and HEADERS go out in one flight, and the server's SETTINGS are reported besides the response, in any sequence.
// It may follow on a SendFrame that was answered with FrameUnsupported, on the same connection; and on a SendConnect that went out as 0-RTT
// data: that was answered with 425, and this one waits until the handshake is complete (RFC 8470, Section 5.2), or it was rejected.
// Answers: Response, StreamReset, ConnLost, NoSlot; SettingsReceived; in 0-RTT data also EarlyRejected, ConnectFailed.
type SendConnect struct{ Attempt int }

// SendFrame: propose a stream of type WebSocket on attempt's connection with WS_OPEN, and put the PING that carries its nonce behind
// it, after preface and SETTINGS in the same flight if HTTP/2 has not begun.
// Answers: FrameAccepted, FrameUnsupported, Response, StreamReset, ConnLost, NoSlot; SettingsReceived if HTTP/2 had not begun.
type SendFrame struct{ Attempt int }

// SendUpgrade: send the GET with Upgrade on attempt's connection.
// Answers: Response, ConnLost.
type SendUpgrade struct{ Attempt int }

// Keep: this dial has no use for attempt's connection, HTTP/2 or HTTP/3, but others may have: leave it in the pool, where connections are
// from the time their SETTINGS have arrived. What the server said about WebSockets spares later dials the question. On a QUIC connection
// that TCP was faster than nothing was ordered yet: begin its HTTP/3, and see to this even after the dial has ended.
type Keep struct{ Attempt int }

// Settle: attempt's CONNECT was sent on an assumption, and the server's SETTINGS do not allow it. Its stream is reset with CANCEL if it
// is still open, whatever was answered on it; then comes a PING. After its ack the connection is left in the pool, as one that carries
// no WebSockets; before, it is given no stream. If instead GOAWAY with an error code or close_notify comes before the ack, IfKilled is
// stored. The executor sees to this even after the dial has ended. No outcome of attempt is reported after it.
type Settle struct {
	Attempt  int
	IfKilled Remember
}

// Remember: store this about the origin, now (Entry.Remember). In Succeed.Confirm and Settle.IfKilled: store it when it has come to that.
type Remember struct {
	Rung    Rung
	Verdict Verdict // Yes or No
	Cause   Cause
	// TTL is how long it holds the first time. A No that is found again after it has expired holds twice as long as the last time, up to
	// Limit; 0: as long as TTL.
	TTL   time.Duration
	Limit time.Duration
	// RTT is a sample of the network's round-trip time; 0: there is none.
	RTT time.Duration
}

// Forget: drop what is stored about the origin and this rung, now (Entry.Forget).
type Forget struct{ Rung Rung }

// RememberNetwork: store this about the network, now, under NetworkKey: what Remember makes of it.
type RememberNetwork struct {
	QUIC       QUICState // QUICWorks or QUICBlocked
	TTL, Limit time.Duration
}

// DropAlternative: the alternative service does not do; forget it until a response names it again.
type DropAlternative struct{ Alt Alternative }

// Discard: give up attempt as far as How says. No outcome of attempt is reported after it. What is not discarded before
// Succeed or Fail, other than their attempt, is given up then; connections in the pool stay there.
type Discard struct {
	Attempt int
	How     How
}

// How says what is to become of an attempt that has been given up.
type How int

const (
	CancelStream How = iota // reset the stream if it is open; the connection stays in the pool
	Drain                   // cancel the stream; the connection takes no new ones and is closed when the last has ended
	CloseConn               // close the connection, or stop making it
)

// SetTimer: report Timer at At. It replaces the timer set before.
type SetTimer struct{ At time.Time }

// Succeed: the WebSocket on attempt is the dial's result. Nothing follows.
type Succeed struct {
	Attempt int
	Rung    Rung
	Reused  bool // on a connection that was there before the dial
	// Confirm is stored once the first valid WebSocket frame has come from the server, and not at all if none does.
	Confirm []Remember
}

// Fail: the dial has failed. Nothing follows.
type Fail struct {
	// Attempt is the one whose response is the dial's answer, or that failed last. 0: none was made.
	Attempt int
	Class   Class
	Reason  string // in words, which side lacks what
	Err     error  // the outcome's, or nil
}

func (UseLive) order()         {}
func (AwaitProbe) order()      {}
func (Connect) order()         {}
func (WaitSettings) order()    {}
func (SendConnect) order()     {}
func (SendUpgrade) order()     {}
func (SendFrame) order()       {}
func (Settle) order()          {}
func (Remember) order()        {}
func (Forget) order()          {}
func (RememberNetwork) order() {}
func (DropAlternative) order() {}
func (Keep) order()            {}
func (Discard) order()         {}
func (SetTimer) order()        {}
func (Succeed) order()         {}
func (Fail) order()            {}

func (o UseLive) String() string {
	s := fmt.Sprintf("use-live attempt=%d conn=%d", o.Attempt, o.Conn)
	if o.Frame {
		s += " frame"
	}
	return s
}
func (AwaitProbe) String() string { return "await-probe" }
func (o Connect) String() string {
	s := fmt.Sprintf("connect attempt=%d alpn=%s", o.Attempt, strings.Join(o.ALPN, ","))
	if o.TLS {
		s += " tls"
	}
	if o.QUIC {
		s += " quic"
	}
	if o.Early {
		s += " early"
	}
	if o.Probe {
		s += " probe"
	}
	if o.Spare {
		s += " spare"
	}
	if o.Alt != nil {
		s += " alt=" + o.Alt.Addr()
	}
	return s
}
func (o WaitSettings) String() string { return fmt.Sprintf("wait-settings attempt=%d", o.Attempt) }
func (o SendConnect) String() string  { return fmt.Sprintf("send-connect attempt=%d", o.Attempt) }
func (o SendUpgrade) String() string  { return fmt.Sprintf("send-upgrade attempt=%d", o.Attempt) }
func (o SendFrame) String() string    { return fmt.Sprintf("send-frame attempt=%d", o.Attempt) }
func (o Settle) String() string {
	return fmt.Sprintf("settle attempt=%d if-killed: %s", o.Attempt, o.IfKilled)
}
func (o Remember) String() string {
	return fmt.Sprintf("remember %s=%s cause=%s %s", o.Rung, o.Verdict, o.Cause, holds(o.TTL, o.Limit))
}
func (o RememberNetwork) String() string {
	return fmt.Sprintf("remember-network quic=%s %s", o.QUIC, holds(o.TTL, o.Limit))
}
func holds(ttl, limit time.Duration) string {
	s := "for=" + briefly(ttl)
	if limit > ttl {
		s += " limit=" + briefly(limit)
	}
	return s
}
func (o Forget) String() string          { return "forget " + string(o.Rung) }
func (o DropAlternative) String() string { return "drop-alternative " + o.Alt.String() }
func (o Keep) String() string            { return fmt.Sprintf("keep attempt=%d", o.Attempt) }
func (o Discard) String() string         { return fmt.Sprintf("discard attempt=%d %s", o.Attempt, o.How) }
func (o SetTimer) String() string        { return "set-timer " + o.At.Format("05.000") }
func (o Succeed) String() string {
	s := fmt.Sprintf("succeed attempt=%d rung=%s", o.Attempt, o.Rung)
	if o.Reused {
		s += " reused"
	}
	for _, r := range o.Confirm {
		s += "; then " + r.String()
	}
	return s
}
func (o Fail) String() string {
	return fmt.Sprintf("fail attempt=%d class=%s %q", o.Attempt, o.Class, o.Reason)
}

func (h How) String() string {
	switch h {
	case CancelStream:
		return "cancel-stream"
	case Drain:
		return "drain"
	case CloseConn:
		return "close"
	}
	return fmt.Sprintf("How(%d)", int(h))
}

// briefly writes whole hours and minutes without the zeros behind them.
func briefly(d time.Duration) string {
	s := d.String()
	s = strings.TrimSuffix(s, "m0s") + map[bool]string{true: "m"}[strings.HasSuffix(s, "m0s")]
	return strings.TrimSuffix(s, "h0m") + map[bool]string{true: "h"}[strings.HasSuffix(s, "h0m")]
}

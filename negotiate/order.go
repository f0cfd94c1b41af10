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

// UseLive: open a stream for attempt on the live connection Conn and send the Extended CONNECT.
// Answers: Response, StreamReset, ConnLost, NoSlot.
type UseLive struct {
	Attempt int
	Conn    uint64
}

// AwaitProbe: wait until one of the probes under way that Facts.Probing counted is over (connected and its SETTINGS there, or
// not HTTP/2, or failed); not at all if there is none. Answer: ProbeDone, with the facts as they are then.
type AwaitProbe struct{}

// Connect: make a connection (resolve, proxy, TCP, TLS) for attempt.
// Answers: Connected, ConnectFailed.
type Connect struct {
	Attempt int
	TLS     bool
	// ALPN is what to offer. Without TLS it is the one protocol that the connection is going to speak, and Connected
	// repeats it.
	ALPN []string
	// Probe says that the connection may come to carry many streams: other dials to this origin had better wait for it.
	Probe bool
}

// WaitSettings: attempt's connection is HTTP/2; send preface and SETTINGS and wait for the server's first SETTINGS.
// Answers: SettingsReceived, ConnLost.
type WaitSettings struct{ Attempt int }

// SendConnect: open a stream on attempt's connection and send the Extended CONNECT.
// Answers: Response, StreamReset, ConnLost, NoSlot.
type SendConnect struct{ Attempt int }

// SendUpgrade: send the GET with Upgrade on attempt's connection.
// Answers: Response, ConnLost.
type SendUpgrade struct{ Attempt int }

// Keep: this dial has no use for attempt's HTTP/2 connection, but others may have: leave it in the pool, where connections are
// from the time their SETTINGS have arrived. What the server said about WebSockets spares later dials the question.
type Keep struct{ Attempt int }

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
}

// Fail: the dial has failed. Nothing follows.
type Fail struct {
	// Attempt is the one whose response is the dial's answer, or that failed last. 0: none was made.
	Attempt int
	Class   Class
	Reason  string // in words, which side lacks what
	Err     error  // the outcome's, or nil
}

func (UseLive) order()      {}
func (AwaitProbe) order()   {}
func (Connect) order()      {}
func (WaitSettings) order() {}
func (SendConnect) order()  {}
func (SendUpgrade) order()  {}
func (Keep) order()         {}
func (Discard) order()      {}
func (SetTimer) order()     {}
func (Succeed) order()      {}
func (Fail) order()         {}

func (o UseLive) String() string {
	return fmt.Sprintf("use-live attempt=%d conn=%d", o.Attempt, o.Conn)
}
func (AwaitProbe) String() string { return "await-probe" }
func (o Connect) String() string {
	s := fmt.Sprintf("connect attempt=%d alpn=%s", o.Attempt, strings.Join(o.ALPN, ","))
	if o.TLS {
		s += " tls"
	}
	if o.Probe {
		s += " probe"
	}
	return s
}
func (o WaitSettings) String() string { return fmt.Sprintf("wait-settings attempt=%d", o.Attempt) }
func (o SendConnect) String() string  { return fmt.Sprintf("send-connect attempt=%d", o.Attempt) }
func (o SendUpgrade) String() string  { return fmt.Sprintf("send-upgrade attempt=%d", o.Attempt) }
func (o Keep) String() string         { return fmt.Sprintf("keep attempt=%d", o.Attempt) }
func (o Discard) String() string      { return fmt.Sprintf("discard attempt=%d %s", o.Attempt, o.How) }
func (o SetTimer) String() string     { return "set-timer " + o.At.Format("05.000") }
func (o Succeed) String() string {
	s := fmt.Sprintf("succeed attempt=%d rung=%s", o.Attempt, o.Rung)
	if o.Reused {
		s += " reused"
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

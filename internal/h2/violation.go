package h2

import (
	"fmt"

	"github.com/weftws/weft/internal/fields"
	"github.com/weftws/weft/internal/h2/wire"
)

// A Violation is a rule that a peer can break.
type Violation struct {
	Name    string // kebab-case: "connect-protocol-withdrawn"
	Conn    bool   // scope: the connection, else the stream
	Code    wire.ErrCode
	Section string // "RFC 9113, Section 6.9.1"
}

// Violations returns the table of them all.
func Violations() []*Violation { return violations }

var violations []*Violation

// Frames. A stream-scope rule broken on an idle stream costs the connection: nothing can be reset there.
var (
	prefaceInvalid         = onConn("preface-invalid", wire.ProtocolError, "RFC 9113, Section 3.4")
	settingsNotFirst       = onConn("settings-not-first", wire.ProtocolError, "RFC 9113, Section 3.4")
	frameTooLarge          = onConn("frame-too-large", wire.FrameSizeError, "RFC 9113, Section 4.2")
	frameSize              = onConn("frame-size", wire.FrameSizeError, "RFC 9113, Section 4.2")
	blockInterrupted       = onConn("field-block-interrupted", wire.ProtocolError, "RFC 9113, Section 4.3")
	compression            = onConn("compression", wire.CompressionError, "RFC 9113, Section 4.3")
	frameOnIdle            = onConn("frame-on-idle-stream", wire.ProtocolError, "RFC 9113, Section 5.1")
	frameOnClosed          = onStream("frame-on-closed-stream", wire.StreamClosed, "RFC 9113, Section 5.1")
	headersOnClosed        = onConn("headers-on-closed-stream", wire.StreamClosed, "RFC 9113, Section 5.1")
	streamIDInvalid        = onConn("stream-id-invalid", wire.ProtocolError, "RFC 9113, Section 5.1.1")
	streamLimit            = onStream("stream-limit", wire.RefusedStream, "RFC 9113, Section 5.1.2")
	selfDependency         = onStream("self-dependency", wire.ProtocolError, "RFC 7540, Section 5.3.1")
	streamZero             = onConn("stream-zero", wire.ProtocolError, "RFC 9113, Section 6")
	streamNotZero          = onConn("stream-not-zero", wire.ProtocolError, "RFC 9113, Section 6")
	paddingTooLong         = onConn("padding-too-long", wire.ProtocolError, "RFC 9113, Section 6.1")
	prioritySize           = onStream("priority-size", wire.FrameSizeError, "RFC 9113, Section 6.3")
	pushPromiseForbidden   = onConn("push-promise-forbidden", wire.ProtocolError, "RFC 9113, Section 8.4")
	wsAcceptUnexpected     = onConn("ws-accept-unexpected", wire.ProtocolError, "WebSocket streams 1, Section 4")
	continuationUnexpected = onConn("continuation-unexpected", wire.ProtocolError, "RFC 9113, Section 6.10")
)

// Settings.
var (
	settingsAckNotEmpty      = onConn("settings-ack-not-empty", wire.FrameSizeError, "RFC 9113, Section 6.5")
	settingsAckUnexpected    = onConn("settings-ack-unexpected", wire.ProtocolError, "RFC 9113, Section 6.5.3")
	settingsTimeout          = onConn("settings-timeout", wire.SettingsTimeout, "RFC 9113, Section 6.5.3")
	settingValue             = onConn("setting-value", wire.ProtocolError, "RFC 9113, Section 6.5.2")
	settingWindow            = onConn("setting-window", wire.FlowControlError, "RFC 9113, Section 6.5.2")
	connectProtocolValue     = onConn("connect-protocol-value", wire.ProtocolError, "RFC 8441, Section 3")
	connectProtocolWithdrawn = onConn("connect-protocol-withdrawn", wire.ProtocolError, "RFC 8441, Section 3")
)

// Flow control.
var (
	connWindowExceeded   = onConn("connection-window-exceeded", wire.FlowControlError, "RFC 9113, Section 6.9.1")
	streamWindowExceeded = onStream("stream-window-exceeded", wire.FlowControlError, "RFC 9113, Section 6.9.1")
	connWindowOverflow   = onConn("connection-window-overflow", wire.FlowControlError, "RFC 9113, Section 6.9.1")
	streamWindowOverflow = onStream("stream-window-overflow", wire.FlowControlError, "RFC 9113, Section 6.9.1")
	windowOverflow       = onConn("initial-window-overflow", wire.FlowControlError, "RFC 9113, Section 6.9.2")
	connIncrementZero    = onConn("connection-increment-zero", wire.ProtocolError, "RFC 9113, Section 6.9")
	streamIncrementZero  = onStream("stream-increment-zero", wire.ProtocolError, "RFC 9113, Section 6.9")
)

// Messages.
var (
	dataBeforeHeaders     = malformed("data-before-headers", "RFC 9113, Section 8.1")
	trailersWithoutEnd    = malformed("trailers-without-end-stream", "RFC 9113, Section 8.1")
	interimWithEnd        = malformed("interim-with-end-stream", "RFC 9113, Section 8.1")
	contentLengthMismatch = malformed("content-length-mismatch", "RFC 9113, Section 8.1.1")
	switchingProtocols    = malformed("switching-protocols", "RFC 9113, Section 8.6")
	headersOnTunnel       = malformed("headers-on-tunnel", "RFC 9113, Section 8.5")
	protocolNotEnabled    = malformed("connect-protocol-not-enabled", "RFC 8441, Section 3")
)

// Field sections: the rules that HTTP/3 has too. "Malformed" as above, but for the limit.
var fieldViolations = func() (all [fields.NumRules]*Violation) {
	for rule, section := range [fields.NumRules]string{
		fields.ContentLengthInvalid: "RFC 9110, Section 8.6",
		fields.NameInvalid:          "RFC 9113, Section 8.2.1",
		fields.ValueInvalid:         "RFC 9113, Section 8.2.1",
		fields.ConnectionField:      "RFC 9113, Section 8.2.2",
		fields.PseudoUnknown:        "RFC 9113, Section 8.3",
		fields.PseudoRepeated:       "RFC 9113, Section 8.3",
		fields.PseudoAfterRegular:   "RFC 9113, Section 8.3",
		fields.PseudoInTrailers:     "RFC 9113, Section 8.1",
		fields.PseudoMissing:        "RFC 9113, Section 8.3.1",
		fields.PseudoInvalid:        "RFC 9113, Section 8.3.1",
		fields.HostMismatch:         "RFC 9113, Section 8.3.1",
		fields.StatusInvalid:        "RFC 9113, Section 8.3.2",
		fields.ConnectForm:          "RFC 9113, Section 8.5",
		fields.TooLarge:             "RFC 9113, Section 10.5.1",
	} {
		all[rule] = malformed(fields.Rule(rule).String(), section)
	}
	all[fields.TooLarge].Code = wire.EnhanceYourCalm
	return all
}()

// Limits.
var (
	headerBlockTooLarge  = onConn("header-block-too-large", wire.EnhanceYourCalm, "RFC 9113, Section 10.5.1")
	tooManyContinuations = onConn("too-many-continuations", wire.EnhanceYourCalm, "RFC 9113, Section 10.5")
	headersTimeout       = onConn("headers-timeout", wire.EnhanceYourCalm, "RFC 9113, Section 10.5")
	tooManyResets        = onConn("too-many-resets", wire.EnhanceYourCalm, "RFC 9113, Section 10.5")
	tooMuchControl       = onConn("too-many-control-frames", wire.EnhanceYourCalm, "RFC 9113, Section 10.5")
	repliesNotRead       = onConn("replies-not-read", wire.EnhanceYourCalm, "RFC 9113, Section 10.5")
	streamStalled        = onStream("stream-stalled", wire.EnhanceYourCalm, "RFC 9113, Section 10.5")
	memoryExceeded       = onConn("memory-exceeded", wire.EnhanceYourCalm, "RFC 9113, Section 10.5")
	pingTimeout          = onConn("ping-timeout", wire.ProtocolError, "RFC 9113, Section 6.7")
)

func onConn(name string, code wire.ErrCode, section string) *Violation {
	return register(&Violation{Name: name, Conn: true, Code: code, Section: section})
}

func onStream(name string, code wire.ErrCode, section string) *Violation {
	return register(&Violation{Name: name, Code: code, Section: section})
}

// malformed: "Malformed requests or responses that are detected MUST be treated as a stream error (Section 5.4.2) of type
// PROTOCOL_ERROR." RFC 9113, Section 8.1.1.
func malformed(name, section string) *Violation { return onStream(name, wire.ProtocolError, section) }

func register(v *Violation) *Violation {
	violations = append(violations, v)
	return v
}

// A breach is one case of a Violation. detail is what the peer did, as the rest of a sentence that begins with "peer".
type breach struct {
	rule     *Violation
	streamID uint32 // 0: the connection
	stream   *Stream
	detail   string
}

func connBreach(rule *Violation, format string, args ...any) *breach {
	return &breach{rule: rule, detail: fmt.Sprintf(format, args...)}
}

func (c *Conn) streamBreach(id uint32, rule *Violation, format string, args ...any) *breach {
	return &breach{rule: rule, streamID: id, stream: c.lookup(id), detail: fmt.Sprintf(format, args...)}
}

// punish turns a breach into RST_STREAM or GOAWAY, an event and a count.
func (c *Conn) punish(br *breach) {
	c.violationCount++
	// "RST_STREAM frames MUST NOT be sent for a stream in the "idle" state." RFC 9113, Section 6.4.
	if br.rule.Conn || br.stream == nil && c.isIdle(br.streamID) {
		c.failConn(br.rule, br.streamID, br.detail)
		return
	}
	s := br.stream
	if s == nil {
		s = &Stream{ID: br.streamID, closed: true, sendEnd: true, recvEnd: true, unknown: true}
		c.closedIDs.add(br.streamID, closedByUs)
	} else {
		c.closeStream(s, closedByUs)
	}
	c.out = wire.AppendRSTStream(c.out, s.ID, br.rule.Code)
	ev := c.addEvent(EventReset, s)
	ev.Code, ev.Initiator, ev.Violation = br.rule.Code, Local, br.rule
	ev.Detail = detailText(br.detail, br.rule.Code, s.ID)
	over := c.chargeReset()
	if over == nil {
		over = c.countReply()
	}
	if over != nil {
		c.punish(over)
	}
}

// failConn ends the connection: GOAWAY, and every stream is gone.
func (c *Conn) failConn(rule *Violation, streamID uint32, detail string) {
	c.failed = true
	c.goAwaySent = true
	c.goAwayLast = min(c.goAwayLast, c.maxPeerID)
	c.out = wire.AppendGoAway(c.out, c.goAwayLast, rule.Code, detail)
	c.abandonStreams()
	ev := c.addEvent(EventConnFailed, nil)
	ev.Code, ev.Initiator, ev.Violation = rule.Code, Local, rule
	ev.Detail = detailText(detail, rule.Code, streamID)
}

// abandonStreams closes every stream without a word.
func (c *Conn) abandonStreams() {
	for _, s := range c.streams {
		c.closeStream(s, closedByUs)
	}
	for _, pr := range c.proposals.undecided {
		pr.stream.closed = true
	}
	c.proposals.undecided = nil
}

// detailText makes "peer exceeded stream window by 16 bytes (FLOW_CONTROL_ERROR, stream 5)".
func detailText(what string, code wire.ErrCode, streamID uint32) string {
	if streamID == 0 {
		return fmt.Sprintf("peer %s (%v)", what, code)
	}
	return fmt.Sprintf("peer %s (%v, stream %d)", what, code, streamID)
}

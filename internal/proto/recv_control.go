package proto

import (
	"github.com/weftws/weft/internal/frame"
)

// recvControl takes payload of a control frame: all there is in p. The event comes when the frame is complete.
func (r *Receiver) recvControl(p []byte) (ev Event, n int) {
	piece, _ := r.take(p)
	r.advance(len(piece))
	payload := piece
	if r.remaining > 0 || r.gatheredControl != nil {
		r.gather(&r.gatheredControl, piece, true)
		if r.remaining > 0 {
			return Event{}, len(piece)
		}
		r.lent, r.gatheredControl = r.gatheredControl, nil
		payload = r.lent
	}
	switch r.control {
	case frame.Ping:
		ev = Event{Kind: Ping, Payload: payload}
	case frame.Pong:
		ev = Event{Kind: Pong, Payload: payload}
	default:
		ev = r.recvClose(payload)
	}
	return ev, len(piece)
}

func (r *Receiver) recvClose(payload []byte) Event {
	code, reason, fault := frame.ParseClose(payload)
	switch fault {
	case frame.CloseTooShort:
		return *r.fail(ShortClose, "sent a close frame of 1 byte, half of a code")
	case frame.CloseBadCode:
		return *r.fail(InvalidCloseCode, "sent a close frame with the code %d, which may not be sent", uint16(code))
	case frame.CloseBadReason:
		return *r.fail(InvalidCloseReason, "sent a close frame with a reason of %d bytes that is no UTF-8", len(payload)-2)
	}
	ev := Event{Kind: Close, Code: code, Reason: string(reason)}
	r.end()
	return ev
}

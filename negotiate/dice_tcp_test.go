package negotiate

import (
	"errors"
	"slices"
)

// beside checks that o, over TCP, is not one connection too many: there is the spare, and if that hangs when it is needed, one more.
func (d *dice) beside(o Connect) {
	if o.QUIC {
		return
	}
	others, hangs := 0, false
	for _, c := range d.conns {
		if !c.quic && !c.live && slices.Contains([]string{"connect", "connected", "settings", "response"}, c.at) {
			others++
			hangs = c.spare && c.at == "connect"
		}
	}
	switch {
	case others > 1:
		d.t.Errorf("%v beside %d others", o, others)
	case others == 0 || o.Spare || o.Probe:
	case !hangs:
		d.t.Errorf("%v: there is one that does not hang", o)
	default:
		d.relieved++
	}
}

func (d *dice) lost(id int, c *diceConn) ConnLost {
	c.at = "over"
	return ConnLost{
		Attempt: id, GoAway: d.r.IntN(2) == 0, Code: d.code(c), CloseNotify: d.r.IntN(3) == 0, Unprocessed: d.r.IntN(3) == 0,
		Local: d.r.IntN(5) == 0, Err: errors.New("EOF"),
	}
}

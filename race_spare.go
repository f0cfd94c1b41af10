package weft

import (
	"errors"
	"net"
	"os"
	"time"

	"github.com/weftws/weft/negotiate"
)

// A spareWatch reads on a spare connection while nothing was sent on it: what comes then is no answer to us, and whoever sends
// it (a 408, an end) will not answer our Upgrade either.
type spareWatch struct {
	nc    net.Conn
	done  chan struct{}
	spoke bool // valid when done is closed
}

// watchSpare reports Spoke when a's connection says something or ends.
func (r *race) watchSpare(a *attempt) {
	w := &spareWatch{nc: a.nc, done: make(chan struct{})}
	a.watch = w
	go func() {
		var b [1]byte
		n, err := w.nc.Read(b[:])
		w.spoke = n > 0 || !errors.Is(err, os.ErrDeadlineExceeded)
		close(w.done)
		if w.spoke {
			r.tell(a, negotiate.Spoke{Attempt: a.id, EOF: n == 0})
		}
	}()
}

// stop ends the watching, so that the connection can be used. False: it has spoken. A nil watch is no spare's.
func (w *spareWatch) stop() bool {
	if w == nil {
		return true
	}
	w.nc.SetReadDeadline(longAgo)
	<-w.done
	w.nc.SetReadDeadline(time.Time{})
	return !w.spoke
}

var errSpareSpoke = errors.New("server spoke or ended the connection before the request")

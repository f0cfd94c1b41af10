package weft

import (
	"context"
	"crypto/rand"
	"errors"
	"time"

	"github.com/weftws/weft/internal/h1"
	"github.com/weftws/weft/internal/handshake"
	"github.com/weftws/weft/negotiate"
)

// sendUpgrade sends the GET with Upgrade.
func (r *race) sendUpgrade(a *attempt) {
	r.endProbe(a)
	began := time.Now()
	var random [16]byte
	rand.Read(random[:])
	a.key = handshake.NewKey(random)
	nc := a.nc
	a.nc = nil
	if !a.watch.stop() {
		nc.Close()
		go r.tell(a, negotiate.ConnLost{Attempt: a.id, Err: errSpareSpoke})
		return
	}
	h := r.header.Clone()
	handshake.SetRequest(h, r.offer, a.key)
	go func() {
		res, stream, err := h1.Upgrade(a.ctx, nc, h1.UpgradeRequest{Host: r.host, Path: requestURI(r.url), Header: h}, h1.Options{Secure: r.key.secure})
		if err != nil {
			nc.Close()
			// The deadline of the connection is the dial's, and may be noticed before it.
			if a.ctx.Err() == nil && !errors.Is(err, context.DeadlineExceeded) {
				r.step(a, "response", began, err.Error())
				r.tell(a, r.connLost(a, err))
			}
			return
		}
		r.step(a, "response", began, res.Status)
		o := responded{a: a, response: res, stream: stream}
		o.Response = negotiate.Response{Attempt: a.id, Status: res.StatusCode}
		o.check(r.offer, a.key)
		if !r.tell(a, o) {
			res.Body.Close()
			if stream != nil {
				stream.Abort()
			}
		}
	}()
}

package weft

import (
	"context"
	"crypto/rand"
	"errors"
	"maps"
	"net/http"
	"time"

	"github.com/weftws/weft/internal/h1"
	"github.com/weftws/weft/internal/handshake"
	"github.com/weftws/weft/negotiate"
)

// newKey is the Sec-WebSocket-Key of one attempt: "The nonce MUST be selected randomly for each connection." RFC 6455, Section 4.1.
func (r *race) newKey() string {
	if r.carried != nil {
		if key := r.carried.takeKey(); key != "" {
			return key
		}
	}
	var random [16]byte
	rand.Read(random[:])
	return handshake.NewKey(random)
}

// handshakeHeader is the header of one request; key is "" over HTTP/2.
func (r *race) handshakeHeader(key string) http.Header {
	h := r.header.Clone()
	handshake.SetRequest(h, r.offer, key)
	if r.carried != nil {
		maps.Copy(h, r.carried.fields)
	}
	return h
}

// sendUpgrade sends the GET with Upgrade.
func (r *race) sendUpgrade(a *attempt) {
	r.endProbe(a)
	began := time.Now()
	a.key = r.newKey()
	nc := a.nc
	a.nc = nil
	if !a.watch.stop() {
		nc.Close()
		go r.tell(a, negotiate.ConnLost{Attempt: a.id, Err: errSpareSpoke})
		return
	}
	h := r.handshakeHeader(a.key)
	opt := h1.Options{Secure: r.key.secure, CloseFirst: r.carried != nil}
	go func() {
		res, stream, err := h1.Upgrade(a.ctx, nc, h1.UpgradeRequest{Host: r.host, Path: requestURI(r.url), Header: h}, opt)
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
		r.check(&o, a.key)
		if !r.tell(a, o) {
			res.Body.Close()
			if stream != nil {
				stream.Abort()
			}
		}
	}()
}

package h2net

import (
	"net/http"
	"strings"

	"github.com/weftws/weft/internal/h2"
)

// AltSvc is how a Server names alternative services. RFC 7838.
type AltSvc struct {
	// Value returns the Alt-Svc field value for an authority ("example.com", with the port if it is not the default one), or
	// "". It must not block. nil: nothing is sent.
	Value func(authority string) string
	// Header puts it into every final response that has no Alt-Svc of its own, the 200 of an Extended CONNECT included, but
	// not into a 421, where it "MUST be ignored" (Section 6).
	Header bool
	// Frame sends an ALTSVC frame on the first request's stream, and again with a request for another authority than the
	// one before. Section 3 wants one of the two.
	Frame bool
}

// appendAltSvc appends the field, where there is to be one, to those of a response.
func (sc *serverConn) appendAltSvc(dst []h2.Field, st *stream, status int, h http.Header) []h2.Field {
	if status < 200 || status == http.StatusMisdirectedRequest || st.exchange == nil {
		return dst
	}
	if _, ok := h["Alt-Svc"]; ok {
		return dst
	}
	if v := sc.srv.AltSvc.Value(st.exchange.req.Host); v != "" {
		dst = append(dst, h2.Field{Name: "alt-svc", Value: v})
	}
	return dst
}

// sendAltSvc sends the frame, if it is due.
func (sc *serverConn) sendAltSvc(st *stream, authority string) {
	a := &sc.srv.AltSvc
	if !a.Frame || a.Value == nil || authority == "" || authority == sc.altSvcFor {
		return
	}
	sc.altSvcFor = authority
	if v := a.Value(authority); v != "" {
		sc.eng.SendAltSvc(&st.s, "", v)
	}
}

// An advert is what the client's owner is to be told of origins.
type advert struct {
	origin, value string
	origins       []string // of an ORIGIN frame: the rest is empty
}

// recvAdvert takes an ALTSVC or ORIGIN frame.
func (cc *ClientConn) recvAdvert(ev *h2.Event) {
	switch {
	case ev.Kind == h2.EventAltSvc && cc.opt.AltSvc != nil:
		a := advert{origin: ev.Advert.Origin, value: ev.Advert.Value}
		if ev.Stream != nil {
			a.origin = cc.origins[ev.Stream.ID]
		}
		cc.adverts = append(cc.adverts, a)
	// "it MUST be ignored when received on a connection with the "h2c" protocol identifier." RFC 8336, Section 2.2.
	case ev.Kind == h2.EventOrigin && cc.opt.Origins != nil && cc.tls != nil:
		cc.adverts = append(cc.adverts, advert{origins: ev.Advert.Origins})
	default:
		return
	}
	cc.untold.Store(true)
}

// rememberOrigin keeps the origin of a request, for frames on its stream, if anybody wants to know.
func (cc *ClientConn) rememberOrigin(st *stream, req ConnectRequest) {
	if cc.opt.AltSvc == nil {
		return
	}
	cc.trim()
	if cc.origins == nil {
		cc.origins = make(map[uint32]string)
	}
	if scheme, authority, _ := strings.Cut(cc.lastOrigin, "://"); scheme != req.Scheme || authority != req.Authority {
		cc.lastOrigin = req.Scheme + "://" + req.Authority
	}
	cc.origins[st.s.ID] = cc.lastOrigin
}

// trim forgets the origins of streams that are gone, when they are many: a map does not shrink by itself.
func (cc *ClientConn) trim() {
	if len(cc.origins) < 2*cc.nstreams+16 {
		return
	}
	live := make(map[uint32]string, cc.nstreams)
	for st := cc.streams; st != nil; st = st.next {
		if origin, ok := cc.origins[st.s.ID]; ok {
			live[st.s.ID] = origin
		}
	}
	cc.origins = live
}

// tellAdverts is called with the lock held, which it gives up meanwhile.
func (cc *ClientConn) tellAdverts() {
	list := cc.adverts
	cc.adverts = nil
	cc.f.Unlock()
	for _, a := range list {
		if a.origin != "" {
			cc.opt.AltSvc(a.origin, a.value)
		} else {
			cc.opt.Origins(a.origins)
		}
	}
	cc.f.Lock()
}

func (sc *serverConn) recvAdvert(*h2.Event) {}

package weft

import (
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"

	"github.com/weftws/weft/internal/transport"
)

// An advertisement is the Alt-Svc field value of a server (RFC 7838): what its options say, and HTTP/3 once that is served.
type advertisement struct {
	fixed string
	all   atomic.Pointer[string] // nil: fixed
}

func (a *advertisement) value() string {
	if v := a.all.Load(); v != nil {
		return *v
	}
	return a.fixed
}

// addHTTP3 adds HTTP/3 on a UDP port of the same host, unless the options name one.
func (a *advertisement) addHTTP3(port int) {
	if strings.Contains(a.fixed, "h3=") || a.fixed == "clear" {
		return
	}
	v := fmt.Sprintf(`h3=":%d"; ma=%d`, port, altSvcMaxAge)
	if a.fixed != "" {
		v += ", " + a.fixed
	}
	a.all.Store(&v)
}

// altSvcMaxAge is a day, in seconds.
const altSvcMaxAge = 24 * 60 * 60

// An altSvcHandler adds Alt-Svc to HTTP/1.1 responses, the 101 included. RFC 7838, Section 3.
type altSvcHandler struct {
	next   http.Handler
	advert *advertisement
}

func (h *altSvcHandler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h.advertise(w, r)
	next := h.next
	if next == nil {
		next = http.DefaultServeMux
	}
	next.ServeHTTP(w, r)
}

//go:noinline
func (h *altSvcHandler) advertise(w http.ResponseWriter, r *http.Request) {
	if r.ProtoMajor == 1 && transport.AcceptorFrom(r.Context()) == nil {
		if v := h.advert.value(); v != "" {
			w.Header().Set("Alt-Svc", v)
		}
	}
}

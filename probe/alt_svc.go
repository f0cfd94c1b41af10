package probe

import (
	"errors"
	"net/http"
	"os"
	"slices"
	"strings"

	"github.com/weftws/weft/internal/altsvc"
)

// askAltSvc sends an ordinary request, and reports the endpoints that any response has named (RFC 7838). None is connected
// to but for HTTP/3: see askH3.
func (p *prober) askAltSvc(x *exchange) {
	nc, err := x.dial("http/1.1")
	if err == nil {
		defer nc.Close()
		h := p.header.Clone()
		h.Set("Connection", "close")
		var res *http.Response
		if res, _, err = x.roundTrip1(nc, http.MethodHead, "/", h); err == nil {
			p.saw(res.Header)
		}
	}
	switch {
	case len(p.report.altSvc) > 0:
		x.conclude(Advertised, "%s", strings.Join(p.report.altSvc, " and "))
	case noCommonProtocol(err):
		x.conclude(Absent, "no response names another endpoint")
	case errors.Is(err, os.ErrDeadlineExceeded):
		x.conclude(classSilent, "no answer to HEAD within %v", p.opt.Timeout)
	case err != nil:
		x.failed(err)
	default:
		x.conclude(Absent, "no response names another endpoint")
	}
}

// saw takes note of what any response says of the server.
func (p *prober) saw(h http.Header) {
	if s := h.Get("Server"); s != "" {
		p.report.Server = printable(s)
	}
	for _, v := range h.Values("Alt-Svc") {
		p.sawAltSvc(v)
	}
}

// sawAltSvc keeps a value that names an alternative: "clear" and what cannot be read do not.
func (p *prober) sawAltSvc(value string) {
	if len(altsvc.Parse(value).Offers) == 0 {
		return
	}
	if value = printable(value); !slices.Contains(p.report.altSvc, value) && len(p.report.altSvc) < maxAltSvc {
		p.report.altSvc = append(p.report.altSvc, value)
	}
}

const maxAltSvc = 8

package weft

import (
	"net/http"

	"github.com/weftws/weft/negotiate"
)

func (r *race) alternatives() []negotiate.Alternative { return nil }
func (r *race) dropAlternative(negotiate.Alternative) {}
func (r *race) recvAltSvc(origin, value string)       {}
func (r *race) recvAltSvcHeader(res *http.Response)   {}

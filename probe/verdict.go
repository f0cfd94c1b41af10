package probe

import (
	"fmt"
	"net/http"

	"github.com/weftws/weft/internal/h2/wire"
	"github.com/weftws/weft/negotiate"
)

// ofStatus is the verdict for an answer other than a success, on a rung that the server has said it supports.
func ofStatus(status int, rung negotiate.Rung) Verdict {
	switch status {
	case http.StatusMisdirectedRequest:
		return Verdict(negotiate.Misdirected)
	case http.StatusTooEarly:
		return Verdict(negotiate.Early)
	}
	if rung == negotiate.Upgrade {
		return Verdict(negotiate.Application)
	}
	switch status {
	case http.StatusNotImplemented:
		return Verdict(negotiate.Version)
	case http.StatusBadRequest, http.StatusNotFound, http.StatusMethodNotAllowed, http.StatusRequestTimeout, http.StatusGone,
		http.StatusUpgradeRequired, http.StatusRequestHeaderFieldsTooLarge:
		return Verdict(negotiate.Ambiguous)
	}
	return Verdict(negotiate.Application)
}

// ofReset is the verdict for RST_STREAM where the answer should be.
func ofReset(code wire.ErrCode) Verdict {
	switch code {
	case wire.RefusedStream:
		return Verdict(negotiate.Refused)
	case wire.ProtocolError, wire.HTTP11Required:
		return Verdict(negotiate.Version)
	}
	return Verdict(negotiate.Ambiguous)
}

func statusWords(status int) string {
	if text := http.StatusText(status); text != "" {
		return fmt.Sprintf("%d %s", status, text)
	}
	return fmt.Sprint(status)
}

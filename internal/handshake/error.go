package handshake

import (
	"fmt"
	"net/http"
	"strconv"
)

// An Error says which rule a handshake broke, and, on a server, how to answer.
type Error struct {
	Status  int         // server: 400, 403, 405, 426, 500; client: 0
	Header  http.Header // server: what the answer carries (Sec-WebSocket-Version, Upgrade, Connection, Allow); else nil
	Name    string      // kebab-case: "missing-key"
	Section string      // "RFC 6455, Section 4.2.1"
	Detail  string      // "client sent Sec-WebSocket-Version "8", this server speaks 13"
}

func (e *Error) Error() string { return e.Detail + " (" + e.Section + ")" }

func violation(status int, name, section, format string, a ...any) *Error {
	return &Error{Status: status, Name: name, Section: section, Detail: fmt.Sprintf(format, a...)}
}

// quote makes a value fit for an error: at most 64 bytes of it, quoted.
func quote(s string) string {
	if len(s) > maxQuotedBytes {
		return strconv.Quote(s[:maxQuotedBytes]) + "..."
	}
	return strconv.Quote(s)
}

const maxQuotedBytes = 64

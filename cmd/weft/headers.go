package main

import (
	"net/http"
	"strings"

	"golang.org/x/net/http/httpguts"
)

// parseHeaders turns the values of --header into fields, and a Host.
func parseHeaders(lines []string) (host string, h http.Header, err error) {
	h = make(http.Header)
	for _, line := range lines {
		name, value, ok := strings.Cut(line, ":")
		value = strings.TrimSpace(value)
		if !ok || !httpguts.ValidHeaderFieldName(name) || !httpguts.ValidHeaderFieldValue(value) {
			return "", nil, usagef("--header %q: want 'Name: value'", line)
		}
		if strings.EqualFold(name, "Host") {
			host = value
			continue
		}
		h.Add(name, value)
	}
	return host, h, nil
}

package h3

import (
	"bytes"
	"fmt"
	"net/http"
	"strings"

	"github.com/quic-go/qpack"
	"github.com/quic-go/quic-go/quicvarint"

	"github.com/weftws/weft/internal/fields"
	"github.com/weftws/weft/internal/semantics"
	"github.com/weftws/weft/internal/transport"
)

// A request is a HEADERS frame.
type request struct {
	frame []byte
	size  uint64 // of the section before it was encoded, as SETTINGS_MAX_FIELD_SECTION_SIZE counts
}

func (r *request) tooLarge(limit uint64) error {
	return fmt.Errorf("server accepts header sections of %d bytes, the request's has %d", limit, r.size)
}

// appendRequest encodes an Extended CONNECT. RFC 9220, Section 3; RFC 8441, Section 4.
func appendRequest(dst []byte, req transport.ConnectRequest) (*request, error) {
	if req.Authority == "" || !strings.HasPrefix(req.Path, "/") {
		return nil, fmt.Errorf("request for %q at %q has no authority or no path", req.Path, req.Authority)
	}
	var section bytes.Buffer
	enc := qpack.NewEncoder(&section)
	r := &request{}
	field := func(name, value string) {
		// "The size of a field list is calculated based on the uncompressed size of fields, including the length of the name and
		// value in bytes plus an overhead of 32 bytes for each field." RFC 9114, Section 4.2.2.
		r.size += uint64(len(name) + len(value) + 32)
		enc.WriteField(qpack.HeaderField{Name: name, Value: value})
	}
	field(":method", http.MethodConnect)
	field(":protocol", "websocket")
	field(":scheme", req.Scheme)
	field(":authority", req.Authority)
	field(":path", req.Path)
	var names []string
	notHost := func(name string) bool { return http.CanonicalHeaderKey(name) == "Host" }
	for _, f := range semantics.AppendFields([]qpack.HeaderField(nil), &names, req.Header, notHost) {
		field(f.Name, f.Value)
	}
	dst = quicvarint.Append(dst, frameHeaders)
	dst = quicvarint.Append(dst, uint64(section.Len()))
	r.frame = append(dst, section.Bytes()...)
	return r, nil
}

// A malformed is what is wrong with a response, and ends the stream (H3_MESSAGE_ERROR).
type malformed string

func (m malformed) Error() string { return string(m) }

// parseResponse decodes the header section of a response. The error is malformed, or a *violation where the section cannot be
// decoded at all.
func parseResponse(p []byte) (status int, h http.Header, err error) {
	s, err := parseSection(p, fields.Response, fields.Limits{Size: maxResponseSection, Lines: maxFields})
	if b, ok := err.(*fields.Breach); ok {
		return 0, nil, malformed("server " + b.Detail)
	}
	if err != nil {
		return 0, nil, err
	}
	// "HTTP/3 does not support the HTTP Upgrade mechanism or the 101 (Switching Protocols) informational status code."
	// RFC 9114, Section 4.5.
	if s.Pseudo.Status == http.StatusSwitchingProtocols {
		return 0, nil, malformed("server sent :status 101, which HTTP/3 does not have")
	}
	return s.Pseudo.Status, semantics.HeaderOf(s.lines), nil
}

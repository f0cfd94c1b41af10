package h3

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/quic-go/qpack"
	"github.com/quic-go/quic-go/quicvarint"
	"golang.org/x/net/http/httpguts"

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
	for _, name := range sortedNames(req.Header) {
		lower := strings.ToLower(name)
		if semantics.ConnectionSpecific(lower) || lower == "host" || !httpguts.ValidHeaderFieldName(lower) {
			continue
		}
		for _, value := range req.Header[name] {
			if httpguts.ValidHeaderFieldValue(value) && (lower != "te" || value == "trailers") {
				field(lower, strings.Trim(value, " \t"))
			}
		}
	}
	dst = quicvarint.Append(dst, frameHeaders)
	dst = quicvarint.Append(dst, uint64(section.Len()))
	r.frame = append(dst, section.Bytes()...)
	return r, nil
}

func sortedNames(h http.Header) []string {
	names := make([]string, 0, len(h))
	for name := range h {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// A malformed is what is wrong with a response, and ends the stream (H3_MESSAGE_ERROR).
type malformed string

func (m malformed) Error() string { return string(m) }

// parseResponse decodes the header section of a response. The error is malformed, or a *violation where the section cannot be
// decoded at all.
func parseResponse(section []byte) (status int, h http.Header, err error) {
	decode := qpack.NewDecoder().Decode(section)
	h = make(http.Header)
	size := 0
	for {
		f, err := decode()
		if err == io.EOF {
			break
		}
		if err != nil {
			return 0, nil, undecodable(err)
		}
		if size += len(f.Name) + len(f.Value) + 32; size > maxResponseSection {
			return 0, nil, malformed("server sent a header section of more than " + strconv.Itoa(maxResponseSection) + " bytes")
		}
		if strings.HasPrefix(f.Name, ":") {
			// "Pseudo-header fields defined for requests MUST NOT appear in responses ... All pseudo-header fields MUST appear in the
			// header section before regular header fields." RFC 9114, Section 4.3.
			if f.Name != ":status" || status != 0 || len(h) > 0 {
				return 0, nil, malformed("server sent the pseudo-header field " + strconv.Quote(f.Name) + " twice, too late, or at all")
			}
			if status, err = parseStatus(f.Value); err != nil {
				return 0, nil, err
			}
			continue
		}
		if err := addField(h, f); err != nil {
			return 0, nil, err
		}
	}
	if status == 0 {
		return 0, nil, malformed("server sent a response without :status")
	}
	return status, h, nil
}

func parseStatus(value string) (int, error) {
	status, err := strconv.Atoi(value)
	if err != nil || len(value) != 3 || status < 100 {
		return 0, malformed("server sent :status " + strconv.Quote(value))
	}
	// "HTTP/3 does not support the HTTP Upgrade mechanism or the 101 (Switching Protocols) informational status code."
	// RFC 9114, Section 4.5.
	if status == http.StatusSwitchingProtocols {
		return 0, malformed("server sent :status 101, which HTTP/3 does not have")
	}
	return status, nil
}

func addField(h http.Header, f qpack.HeaderField) error {
	// "Characters in field names MUST be converted to lowercase prior to their encoding. A request or response containing uppercase
	// characters in field names MUST be treated as malformed." RFC 9114, Section 4.2.
	if !httpguts.ValidHeaderFieldName(f.Name) || f.Name != strings.ToLower(f.Name) || !httpguts.ValidHeaderFieldValue(f.Value) {
		return malformed("server sent the malformed field " + strconv.Quote(f.Name))
	}
	if semantics.ConnectionSpecific(f.Name) {
		return malformed("server sent the connection-specific field " + strconv.Quote(f.Name))
	}
	h.Add(f.Name, f.Value)
	return nil
}

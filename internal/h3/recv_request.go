package h3

import (
	"io"
	"strconv"
	"strings"

	"github.com/quic-go/qpack"
	"github.com/quic-go/quic-go/http3"
	"golang.org/x/net/http/httpguts"

	"github.com/weftws/weft/internal/semantics"
)

// A requestHead is the header section of a request, and the trailers of one, as it is decoded.
type requestHead struct {
	trailers bool // it is a trailer section

	pseudo        semantics.Pseudo
	seen          pseudoSet
	fields        []qpack.HeaderField // but for the pseudo-header fields
	contentLength int64               // -1: none
	host          string
	hasHost       bool
}

// A pseudoSet says which pseudo-header fields were seen.
type pseudoSet uint8

const (
	seenMethod pseudoSet = 1 << iota
	seenScheme
	seenAuthority
	seenPath
	seenProtocol
)

// parseRequest decodes a header section, or with trailers a trailer section, of limit bytes at most. The error is a *breach, or a *violation where
// it cannot be decoded at all.
func parseRequest(section []byte, limit int, trailers bool) (*requestHead, error) {
	head := &requestHead{trailers: trailers, contentLength: -1}
	decode := qpack.NewDecoder().Decode(section)
	size := 0
	for count := 0; ; count++ {
		f, err := decode()
		if err == io.EOF {
			break
		}
		if err != nil {
			return nil, undecodable(err)
		}
		// "The size of a field list is calculated based on the uncompressed size of fields, including the length of the name and value in
		// bytes plus an overhead of 32 bytes for each field." RFC 9114, Section 4.2.2.
		if size += len(f.Name) + len(f.Value) + 32; size > limit {
			return nil, tooLarge(limit)
		}
		if count == maxFields {
			return nil, breaks(headerListTooLarge, "sent a header section of more than %d lines", maxFields)
		}
		if err := head.recvField(f); err != nil {
			return nil, err
		}
	}
	if !trailers {
		if b := head.check(); b != nil {
			return nil, b
		}
	}
	return head, nil
}

func tooLarge(limit int) *breach {
	return breaks(headerListTooLarge, "sent a header section of more than %d bytes", limit)
}

// undecodable: "Error code QPACK_DECOMPRESSION_FAILED: ... the decoder failed to interpret an encoded field section and is not able to continue
// decoding that field section." RFC 9204, Section 6.
func undecodable(err error) *violation {
	return violates(http3.ErrCodeQPACKDecompressionFailed, "peer sent a header section that cannot be decoded: %v", err)
}

// recvField takes one field line. The error is a *breach.
func (h *requestHead) recvField(f qpack.HeaderField) error {
	if !validValue(f.Value) {
		return breaks(fieldValueInvalid, "sent an invalid value of field %.40q", f.Name)
	}
	if strings.HasPrefix(f.Name, ":") {
		if b := h.recvPseudo(f.Name, f.Value); b != nil {
			return b
		}
		return nil
	}
	// "Characters in field names MUST be converted to lowercase prior to their encoding. A request or response containing uppercase
	// characters in field names MUST be treated as malformed." RFC 9114, Section 4.2.
	if !httpguts.ValidHeaderFieldName(f.Name) || f.Name != strings.ToLower(f.Name) {
		return breaks(fieldNameInvalid, "sent the invalid field name %.40q", f.Name)
	}
	if b := h.recvRegular(f.Name, f.Value); b != nil {
		return b
	}
	h.fields = append(h.fields, f)
	return nil
}

// validValue: RFC 9114, Section 4.2, and RFC 9110, Section 5.5: "a sender MUST NOT generate [...] leading or trailing whitespace".
func validValue(s string) bool {
	return httpguts.ValidHeaderFieldValue(s) && strings.Trim(s, " \t") == s
}

// recvPseudo: RFC 9114, Section 4.3.
func (h *requestHead) recvPseudo(name, value string) *breach {
	if h.trailers {
		// "Pseudo-header fields MUST NOT appear in trailer sections."
		return breaks(pseudoInTrailers, "sent %.40q in trailers", name)
	}
	if len(h.fields) > 0 {
		// "All pseudo-header fields MUST appear in the header section before regular header fields."
		return breaks(pseudoAfterRegular, "sent %.40q after a regular field", name)
	}
	var bit pseudoSet
	p := &h.pseudo
	switch name {
	case ":method":
		bit, p.Method = seenMethod, value
	case ":scheme":
		bit, p.Scheme = seenScheme, value
	case ":authority":
		bit, p.Authority = seenAuthority, value
	case ":path":
		bit, p.Path = seenPath, value
	case ":protocol":
		bit, p.Protocol = seenProtocol, value
	default:
		// "Endpoints MUST treat a request or response that contains undefined or invalid pseudo-header fields as malformed."
		return breaks(pseudoUnknown, "sent the pseudo-header field %.40q", name)
	}
	if h.seen&bit != 0 {
		return breaks(pseudoRepeated, "sent %s twice", name)
	}
	h.seen |= bit
	return nil
}

// recvRegular looks at the fields that mean something to framing.
func (h *requestHead) recvRegular(name, value string) *breach {
	switch {
	case semantics.ConnectionSpecific(name):
		// "An endpoint MUST NOT generate an HTTP/3 field section containing connection-specific fields; any message containing
		// connection-specific fields MUST be treated as malformed." RFC 9114, Section 4.2.
		return breaks(connectionField, "sent the connection-specific field %s", name)
	case name == "te" && !strings.EqualFold(value, "trailers"):
		// "The only exception to this is the TE header field, which MAY be present in an HTTP/3 request header; when it is, it MUST NOT
		// contain any value other than "trailers"." RFC 9114, Section 4.2.
		return breaks(connectionField, "sent te: %.40q", value)
	case name == "content-length" && !h.trailers:
		n, err := strconv.ParseUint(value, 10, 63)
		if err != nil || value[0] == '+' || h.contentLength >= 0 && h.contentLength != int64(n) {
			return breaks(contentLengthInvalid, "sent content-length: %.40q", value)
		}
		h.contentLength = int64(n)
	case name == "host" && !h.trailers:
		if h.hasHost && h.host != value {
			return breaks(hostMismatch, "sent two host fields")
		}
		h.host, h.hasHost = value, true
	}
	return nil
}

// check looks at the section as a whole. RFC 9114, Sections 4.3.1 and 4.4; RFC 9220, Section 3; RFC 8441, Section 4.
func (h *requestHead) check() *breach {
	p := &h.pseudo
	switch {
	case h.seen&seenMethod == 0:
		return breaks(pseudoMissing, "sent a request without :method")
	case !httpguts.ValidHeaderFieldName(p.Method): // a token, too
		return breaks(pseudoInvalid, "sent the invalid method %.40q", p.Method)
	case h.seen&seenProtocol != 0 && p.Method != "CONNECT":
		return breaks(connectForm, "sent :protocol with method %.40q", p.Method)
	case h.seen&seenProtocol != 0 && !httpguts.ValidHeaderFieldName(p.Protocol):
		return breaks(pseudoInvalid, "sent the invalid protocol %.40q", p.Protocol)
	case h.seen&seenProtocol != 0 && h.seen&seenAuthority == 0:
		return breaks(pseudoMissing, "sent :protocol without :authority")
	case p.Method == "CONNECT" && h.seen&seenProtocol == 0:
		// "A CONNECT request MUST be constructed as follows: [...] The :scheme and :path pseudo-header fields are omitted [...] A CONNECT
		// request that does not conform to these restrictions is malformed." RFC 9114, Section 4.4.
		if h.seen != seenMethod|seenAuthority || p.Authority == "" {
			return breaks(connectForm, "sent CONNECT that does not consist of :method and :authority")
		}
		return nil
	}
	return h.checkTarget()
}

// checkTarget: "All HTTP/3 requests MUST include exactly one value for the :method, :scheme, and :path pseudo-header fields, unless the
// request is a CONNECT request". RFC 9114, Section 4.3.1. "On requests that contain the :protocol pseudo-header field, the :scheme and :path
// pseudo-header fields of the target URI MUST also be included." RFC 8441, Section 4.
func (h *requestHead) checkTarget() *breach {
	p := &h.pseudo
	http := strings.EqualFold(p.Scheme, "http") || strings.EqualFold(p.Scheme, "https")
	switch {
	case h.seen&seenScheme == 0 || p.Scheme == "":
		return breaks(pseudoMissing, "sent a request without :scheme")
	case h.seen&seenPath == 0:
		return breaks(pseudoMissing, "sent a request without :path")
	case !http:
		return nil
	case p.Path == "":
		// "This pseudo-header field MUST NOT be empty for "http" or "https" URIs".
		return breaks(pseudoInvalid, "sent an empty :path")
	case p.Path[0] != '/' && !(p.Path == "*" && p.Method == "OPTIONS"):
		path, _, _ := strings.Cut(p.Path, "?") // queries have secrets
		return breaks(pseudoInvalid, "sent the invalid :path %.40q", path)
	case h.seen&seenAuthority == 0 && !h.hasHost:
		// "If the :scheme pseudo-header field identifies a scheme that has a mandatory authority component (including "http" and "https"),
		// the request MUST contain either an :authority pseudo-header field or a Host header field."
		return breaks(pseudoMissing, "sent a request without :authority")
	case h.seen&seenAuthority != 0 && p.Authority == "" || h.hasHost && h.host == "":
		// "If these fields are present, they MUST NOT be empty."
		return breaks(pseudoInvalid, "sent an empty :authority or host")
	case strings.Contains(p.Authority, "@"):
		// "The authority MUST NOT include the deprecated userinfo subcomponent for URIs of scheme "http" or "https"."
		return breaks(pseudoInvalid, "sent :authority with userinfo")
	case h.hasHost && h.seen&seenAuthority != 0 && h.host != p.Authority:
		// "If both fields are present, they MUST contain the same value."
		return breaks(hostMismatch, "sent host: %.40q and :authority %.40q", h.host, p.Authority)
	}
	return nil
}

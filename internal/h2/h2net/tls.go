package h2net

import (
	"crypto/tls"
	"fmt"
	"slices"
)

// inadequateSecurity says what of RFC 9113, Section 9.2, the TLS connection lacks, or "".
func inadequateSecurity(cs *tls.ConnectionState) string {
	switch {
	case cs.Version < tls.VersionTLS12:
		// "Implementations of HTTP/2 MUST use TLS version 1.2 [TLS12] or higher for HTTP/2 over TLS."
		// RFC 9113, Section 9.2.
		return fmt.Sprintf("%s negotiated, HTTP/2 needs TLS 1.2", tls.VersionName(cs.Version))
	case cs.Version == tls.VersionTLS12 && !slices.Contains(tls12Suites, cs.CipherSuite):
		// "An endpoint MAY treat negotiation of any of the prohibited cipher suites with TLS 1.2 as a connection error
		// (Section 5.4.1) of type INADEQUATE_SECURITY." RFC 9113, Section 9.2.2.
		return "prohibited TLS 1.2 cipher suite " + tls.CipherSuiteName(cs.CipherSuite)
	}
	return ""
}

// tls12Suites are the suites of crypto/tls that RFC 9113, Appendix A, does not list: ephemeral key exchange and AEAD.
var tls12Suites = []uint16{
	tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
	tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
	tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
	tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
	tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
	tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
}

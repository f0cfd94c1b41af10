// Package devcert makes self-signed certificates for development: a P-256 key, valid for 13 days, for localhost and the
// loopback addresses. Browsers accept such a certificate by its hash over HTTP/3 only if it lives for less than 14 days.
package devcert

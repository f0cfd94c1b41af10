package netdial

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"

	"github.com/weftws/weft/negotiate"
)

// An Error says which step of a Dial failed, and where.
type Error struct {
	Step   negotiate.Step
	Addr   string // host:port that the step was about
	Doing  string // "TLS handshake with origin.test:443, offering h2"
	Status int    // the proxy's answer to CONNECT; 0: none
	Err    error
}

func (e *Error) Error() string { return fmt.Sprintf("%s: %v", e.Doing, e.Err) }

// Unwrap returns Err.
func (e *Error) Unwrap() error { return e.Err }

// fail makes an Error of err. If ctx is done, what it says is the cause of everything else.
func fail(ctx context.Context, step negotiate.Step, addr, doing string, err error) *Error {
	if cause := context.Cause(ctx); cause != nil && !errors.Is(err, cause) {
		err = cause
	}
	return &Error{Step: step, Addr: addr, Doing: doing, Err: err}
}

// tcpStep tells apart a name that could not be resolved and a connection that could not be made.
func tcpStep(err error) negotiate.Step {
	if _, ok := errors.AsType[*net.DNSError](err); ok {
		return negotiate.StepResolve
	}
	return negotiate.StepTCP
}

// NotTrusted reports whether err says that the peer's certificate is not trusted.
func NotTrusted(err error) bool { return tlsStep(err) == negotiate.StepCertificate }

// tlsStep tells apart a certificate that is not trusted and everything else.
func tlsStep(err error) negotiate.Step {
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return negotiate.StepCertificate
	}
	// VerifyPeerCertificate and VerifyConnection of the caller's may return these.
	if _, ok := errors.AsType[x509.CertificateInvalidError](err); ok {
		return negotiate.StepCertificate
	}
	if _, ok := errors.AsType[x509.HostnameError](err); ok {
		return negotiate.StepCertificate
	}
	if _, ok := errors.AsType[x509.UnknownAuthorityError](err); ok {
		return negotiate.StepCertificate
	}
	return negotiate.StepTLS
}

package devcert

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"sync/atomic"
	"time"
)

const (
	// fileName holds the key and then the certificate, both as PEM.
	fileName = "development.pem"
	// renewBefore is how long a certificate must still be good for to be used again.
	renewBefore = 24 * time.Hour
)

// ErrNotSaved says that a certificate is good but could not be kept in a file.
var ErrNotSaved = errors.New("development certificate lives in memory only")

// Load returns the certificate kept in the folder dir, for localhost, 127.0.0.1 and ::1. A file that is missing or
// damaged, that others may read, or whose certificate ends within a day is replaced; dir is made if need be. If the
// new certificate cannot be saved, it is returned with an error that wraps ErrNotSaved. Safe for concurrent use, by
// several processes too: whoever renames last wins, and every reader sees a whole file.
func Load(dir string, now time.Time) (tls.Certificate, error) {
	file := filepath.Join(dir, fileName)
	if cert, err := read(file); err == nil && usable(cert.Leaf, now) {
		return cert, nil
	}
	cert, text, err := newPEM(now, nil)
	if err != nil {
		return tls.Certificate{}, err
	}
	if err := write(file, text); err != nil {
		return cert, fmt.Errorf("%w: %w", ErrNotSaved, err)
	}
	return cert, nil
}

// read returns the certificate in file, or why it cannot be used.
func read(file string) (tls.Certificate, error) {
	info, err := os.Stat(file)
	if err != nil {
		return tls.Certificate{}, err
	}
	if runtime.GOOS != "windows" && info.Mode().Perm()&0o077 != 0 {
		return tls.Certificate{}, fmt.Errorf("%s may be read by others (mode %#o)", file, info.Mode().Perm())
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return tls.Certificate{}, err
	}
	return tls.X509KeyPair(text, text)
}

// write puts text into file by way of a temporary file beside it, which only the owner may read.
func write(file string, text []byte) error {
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return err
	}
	tmp, err := os.CreateTemp(filepath.Dir(file), fileName+".*") // mode 0600
	if err != nil {
		return err
	}
	_, err = tmp.Write(text)
	if err := errors.Join(err, tmp.Close()); err != nil {
		os.Remove(tmp.Name())
		return err
	}
	if err := os.Rename(tmp.Name(), file); err != nil {
		os.Remove(tmp.Name())
		return err
	}
	return nil
}

// usable reports whether leaf is valid at now and for renewBefore longer, and names every default host.
func usable(leaf *x509.Certificate, now time.Time) bool {
	if now.Before(leaf.NotBefore) || now.Add(renewBefore).After(leaf.NotAfter) {
		return false
	}
	for _, h := range defaultHosts {
		if leaf.VerifyHostname(h) != nil {
			return false
		}
	}
	return true
}

// A Source gives a server its certificate and renews it while the server runs. Get is for tls.Config.GetCertificate.
type Source struct {
	dir  string // "": in memory only
	now  func() time.Time
	cert atomic.Pointer[tls.Certificate]
}

// NewSource returns a Source that keeps its certificate in dir. Its certificate is loaded at once; the error is as
// Load's, and the Source works when it wraps ErrNotSaved. dir "" means memory only. now is time.Now outside tests.
func NewSource(dir string, now func() time.Time) (*Source, error) {
	s := &Source{dir: dir, now: now}
	cert, err := s.load(now())
	if err != nil && !errors.Is(err, ErrNotSaved) {
		return nil, err
	}
	s.cert.Store(&cert)
	return s, err
}

// Get returns the certificate for a handshake, a new one if the last is about to end.
func (s *Source) Get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	now := s.now()
	if cert := s.cert.Load(); usable(cert.Leaf, now) {
		return cert, nil
	}
	// Handshakes that come together may each make one; the last is kept, and all are good.
	cert, err := s.load(now)
	if err != nil && !errors.Is(err, ErrNotSaved) {
		return nil, err
	}
	s.cert.Store(&cert)
	return &cert, nil
}

func (s *Source) load(now time.Time) (tls.Certificate, error) {
	if s.dir == "" {
		return New(now)
	}
	return Load(s.dir, now)
}

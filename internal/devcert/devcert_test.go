package devcert

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"
)

var birth = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func TestNewIsWhatBrowsersAccept(t *testing.T) {
	cert, err := New(birth)
	if err != nil {
		t.Fatal(err)
	}
	leaf := cert.Leaf
	if d := leaf.NotAfter.Sub(leaf.NotBefore); d >= 14*24*time.Hour || d < 12*24*time.Hour {
		t.Errorf("valid for %v, want a little less than 14 days", d)
	}
	if key, ok := leaf.PublicKey.(*ecdsa.PublicKey); !ok || key.Curve != elliptic.P256() {
		t.Errorf("public key is %T, want P-256", leaf.PublicKey)
	}
	for _, h := range []string{"localhost", "127.0.0.1", "::1"} {
		if err := leaf.VerifyHostname(h); err != nil {
			t.Error(err)
		}
	}
	if leaf.VerifyHostname("example.com") == nil {
		t.Error("valid for example.com")
	}
	wantServes(t, cert, "localhost")
}

func TestNewForHosts(t *testing.T) {
	cert, err := New(birth, "ws.example", "192.0.2.7")
	if err != nil {
		t.Fatal(err)
	}
	for _, h := range []string{"ws.example", "192.0.2.7"} {
		if err := cert.Leaf.VerifyHostname(h); err != nil {
			t.Error(err)
		}
	}
	if cert.Leaf.VerifyHostname("localhost") == nil {
		t.Error("valid for localhost, which was not asked for")
	}
}

func TestLoadKeepsTheCertificate(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "cache", "weft")
	first := load(t, dir, birth)
	again := load(t, dir, birth.Add(Lifetime-backdate-renewBefore))
	if !bytes.Equal(first.Certificate[0], again.Certificate[0]) {
		t.Error("a certificate that was still good was replaced")
	}
	wantMode(t, dir, 0o700)
	wantMode(t, filepath.Join(dir, fileName), 0o600)
	wantOneFile(t, dir)
	wantServes(t, again, "127.0.0.1")
}

func TestLoadReplaces(t *testing.T) {
	tests := []struct {
		name  string
		after time.Duration // since the first certificate's birth
		spoil func(t *testing.T, file string)
	}{
		{name: "about to end", after: Lifetime - backdate - renewBefore + time.Second},
		{name: "ended", after: 365 * 24 * time.Hour},
		{name: "not valid yet", after: -2 * backdate},
		{name: "empty", spoil: func(t *testing.T, file string) { rewrite(t, file, nil) }},
		{name: "not PEM", spoil: func(t *testing.T, file string) { rewrite(t, file, []byte("hello\n")) }},
		{name: "cut", spoil: func(t *testing.T, file string) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			rewrite(t, file, text[:len(text)-100])
		}},
		{name: "for other hosts", spoil: func(t *testing.T, file string) {
			_, text, err := newPEM(birth, []string{"example.com"})
			if err != nil {
				t.Fatal(err)
			}
			rewrite(t, file, text)
		}},
		{name: "another's key", spoil: func(t *testing.T, file string) {
			_, a, err := newPEM(birth, nil)
			if err != nil {
				t.Fatal(err)
			}
			_, b, err := newPEM(birth, nil)
			if err != nil {
				t.Fatal(err)
			}
			cut := []byte("-----BEGIN CERTIFICATE-----")
			rewrite(t, file, append(a[:bytes.Index(a, cut)], b[bytes.Index(b, cut):]...))
		}},
		{name: "others may read", spoil: func(t *testing.T, file string) {
			if runtime.GOOS == "windows" {
				t.Skip("Windows has no such mode bits")
			}
			if err := os.Chmod(file, 0o644); err != nil {
				t.Fatal(err)
			}
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			file := filepath.Join(dir, fileName)
			first := load(t, dir, birth)
			if tt.spoil != nil {
				tt.spoil(t, file)
			}
			now := birth.Add(tt.after)
			second := load(t, dir, now)
			if bytes.Equal(first.Certificate[0], second.Certificate[0]) {
				t.Fatal("was used again")
			}
			third := load(t, dir, now)
			if !bytes.Equal(second.Certificate[0], third.Certificate[0]) {
				t.Error("its replacement was not kept")
			}
			wantMode(t, file, 0o600)
			wantOneFile(t, dir)
		})
	}
}

func TestLoadWithoutAPlaceToKeepIt(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	rewrite(t, file, nil)
	cert, err := Load(filepath.Join(file, "weft"), birth) // below a file: nobody, root included, can write there
	if !errors.Is(err, ErrNotSaved) {
		t.Fatalf("err = %v, want ErrNotSaved", err)
	}
	wantServes(t, cert, "localhost")
}

func TestSourceRenewsWhileTheServerRuns(t *testing.T) {
	for _, dir := range []string{"", t.TempDir()} {
		now := birth
		s, err := NewSource(dir, func() time.Time { return now })
		if err != nil {
			t.Fatal(err)
		}
		get := func() *tls.Certificate {
			t.Helper()
			cert, err := s.Get(nil)
			if err != nil {
				t.Fatal(err)
			}
			return cert
		}
		first := get()
		now = birth.Add(24 * time.Hour)
		if get() != first {
			t.Errorf("dir %q: a certificate that was still good was replaced", dir)
		}
		now = birth.Add(30 * 24 * time.Hour)
		renewed := get()
		if !usable(renewed.Leaf, now) {
			t.Errorf("dir %q: certificate of %v used at %v", dir, renewed.Leaf.NotBefore, now)
		}
		if get() != renewed {
			t.Errorf("dir %q: renewed twice", dir)
		}
	}
}

func load(t *testing.T, dir string, now time.Time) tls.Certificate {
	t.Helper()
	cert, err := Load(dir, now)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

func rewrite(t *testing.T, file string, text []byte) {
	t.Helper()
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
}

func wantMode(t *testing.T, name string, mode os.FileMode) {
	t.Helper()
	info, err := os.Stat(name)
	if err != nil {
		t.Fatal(err)
	}
	if runtime.GOOS != "windows" && info.Mode().Perm() != mode {
		t.Errorf("%s has mode %#o, want %#o", filepath.Base(name), info.Mode().Perm(), mode)
	}
}

// wantOneFile fails if a temporary file was left behind.
func wantOneFile(t *testing.T, dir string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	if len(entries) != 1 {
		t.Errorf("%d files, want 1: %v", len(entries), entries)
	}
}

// wantServes fails unless the certificate proves, by its own key, that it is for host.
func wantServes(t *testing.T, cert tls.Certificate, host string) {
	t.Helper()
	roots := x509.NewCertPool()
	roots.AddCert(cert.Leaf)
	if _, err := cert.Leaf.Verify(x509.VerifyOptions{Roots: roots, DNSName: host, CurrentTime: birth}); err != nil {
		t.Error(err)
	}
	key, ok := cert.PrivateKey.(*ecdsa.PrivateKey)
	if !ok || !key.PublicKey.Equal(cert.Leaf.PublicKey) {
		t.Error("the key is not the certificate's")
	}
}

package weft

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"testing"
	"time"
)

func TestSchedule(t *testing.T) {
	s := schedule{backoff: Backoff{}.orDefaults()}
	const almost = 1 - 1e-9
	for i, want := range []time.Duration{5, 10, 20, 40, 60, 60, 60} {
		if got, ok := s.next(0, 0, almost); !ok || got.Round(time.Second) != want*time.Second {
			t.Errorf("retry %d waits %v at most, want %v s", i+1, got, int(want))
		}
		probe := s
		probe.count--
		if got, _ := probe.next(0, 0, 0); got != 0 {
			t.Errorf("retry %d waits %v at least", i+1, got)
		}
	}
	if got, _ := s.next(59*time.Second, 0, almost); got < 59*time.Second {
		t.Errorf("after a WebSocket of 59 s: %v", got)
	}
	if got, _ := s.next(time.Minute, 0, almost); got > 5*time.Second || s.count != 1 {
		t.Errorf("after a healthy WebSocket: %v, retry %d", got, s.count)
	}
	if got, _ := s.next(0, 30*time.Second, 0.5); got != 35*time.Second {
		t.Errorf("with Retry-After: %v", got)
	}
	s = schedule{backoff: Backoff{Base: time.Hour * 24 * 365 * 200, Limit: 40}.orDefaults()}
	for range 40 {
		if d, ok := s.next(0, 0, almost); !ok || d <= 0 || d > s.backoff.Max {
			t.Fatalf("%v, %t of %+v", d, ok, s)
		}
	}
	if _, ok := s.next(0, 0, 0); ok {
		t.Error("a retry over the limit")
	}
	s = schedule{backoff: Backoff{Base: time.Second, Max: 3 * time.Second}.orDefaults()}
	for _, want := range []time.Duration{1, 2, 3, 3} {
		if got, _ := s.next(0, 0, almost); got.Round(time.Second) != want*time.Second {
			t.Errorf("%v, want %v s", got, int(want))
		}
	}
}

// Clients that are told to go at the same time come back evenly: of n whose waits are uniform over Base, a slot of Base/k has n/k in the
// mean, with a standard deviation of less than √(n/k). For 10,000 in slots of 100 ms, 200 ± 14: 300 are seven deviations off, and 50 slots have
// one like that once in 10¹⁰ restarts.
func TestScheduleSpreadsClients(t *testing.T) {
	const clients, slot, bound = 10_000, 100 * time.Millisecond, 300
	for seed := range uint64(20) {
		r := rand.New(rand.NewPCG(seed, 1))
		var slots [50]int
		for range clients {
			s := schedule{backoff: Backoff{}.orDefaults()}
			wait, _ := s.next(time.Hour, 0, r.Float64())
			slots[wait/slot]++
		}
		for i, n := range slots {
			if n > bound || n < 2*200-bound {
				t.Errorf("seed %d: %d clients in slot %d", seed, n, i)
			}
		}
	}
}

func TestRetryAfter(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for value, want := range map[string]time.Duration{
		"": 0, "0": 0, "120": 2 * time.Minute, " 7 ": 7 * time.Second, "-1": 0, "1.5": 0, "soon": 0,
		"3599": 3599 * time.Second, "3600": time.Hour, "99999999999999999999999": time.Hour,
		"Fri, 02 Jan 2026 03:04:35 GMT": 30 * time.Second, "Fri, 02 Jan 2026 03:04:00 GMT": 0, "Sat, 03 Jan 2026 03:04:00 GMT": time.Hour,
	} {
		if got := retryAfter(&http.Response{Header: http.Header{"Retry-After": {value}}}, now); got != want {
			t.Errorf("%q: %v, want %v", value, got, want)
		}
	}
	// Our clock may be far from the server's.
	for _, off := range []time.Duration{-10 * 365 * 24 * time.Hour, -24 * time.Hour, 24 * time.Hour, 10 * 365 * 24 * time.Hour} {
		h := http.Header{"Retry-After": {now.Add(30 * time.Second).Format(http.TimeFormat)}, "Date": {now.Format(http.TimeFormat)}}
		if got := retryAfter(&http.Response{Header: h}, now.Add(off)); got != 30*time.Second {
			t.Errorf("with a clock that is off by %v: %v", off, got)
		}
	}
	if retryAfter(nil, now) != 0 || retryAfter(new(http.Response), now) != 0 {
		t.Error("without a field there is something to wait for")
	}
}

func TestRetryable(t *testing.T) {
	dial := func(err error) error { return &DialError{Err: err} }
	status := func(codes ...int) (errs []error) {
		for _, c := range codes {
			errs = append(errs, dial(&HandshakeError{StatusCode: c, Name: "application"}))
		}
		return errs
	}
	closed := func(codes ...StatusCode) (errs []error) {
		for _, c := range codes {
			errs = append(errs, &CloseError{Code: c})
		}
		return errs
	}
	class := func(name, section string) error {
		return dial(&HandshakeError{Name: name, Section: section, Err: context.DeadlineExceeded})
	}
	yes := []error{
		dial(&net.OpError{Op: "dial", Err: errors.New("connection refused")}), dial(&net.DNSError{IsNotFound: true}), dial(io.EOF),
		dial(context.DeadlineExceeded), class("cancelled", ""), class("silent", ""), class("killed", ""), class("refused", ""),
		fmt.Errorf("wrapped: %w", &CloseError{Code: 1001}), &lostError{io.EOF}, fmt.Errorf("wrapped: %w", &lostError{io.EOF}),
	}
	yes = append(yes, status(408, 425, 429, 500, 502, 503, 504, 599)...)
	yes = append(yes, closed(1001, 1005, 1011, 1012, 1013, 1014)...)
	no := []error{
		nil, io.EOF, net.ErrClosed, closedError("read"), context.Canceled, context.DeadlineExceeded, &ProtocolError{Code: 1002}, errors.New("the program's"),
		dial(&requestError{errors.New("URL")}), dial(context.Canceled), dial(&HandshakeError{Name: "cancelled", Err: context.Canceled}),
		class("policy", ""), class("version", ""), class("handshake", ""), class("bad-accept", "RFC 6455, Section 4.1"),
		dial(&tls.CertificateVerificationError{Err: errors.New("expired")}), dial(x509.HostnameError{Certificate: new(x509.Certificate)}),
		dial(x509.UnknownAuthorityError{}), dial(&net.OpError{Op: "dial", Err: x509.CertificateInvalidError{}}),
		dial(&net.OpError{Op: "dial", Err: &net.AddrError{Err: "invalid port"}}),
	}
	no = append(no, status(101, 200, 301, 400, 401, 403, 404, 421, 426, 501, 505)...)
	no = append(no, closed(1000, 1002, 1003, 1007, 1008, 1009, 1010, 3000, 3003, 4000, 4999)...)
	for _, err := range yes {
		if !Retryable(err) {
			t.Errorf("not retryable: %v (%T)", err, err)
		}
	}
	for _, err := range no {
		if Retryable(err) {
			t.Errorf("retryable: %v (%T)", err, err)
		}
	}
}

package lab

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/weftws/weft/negotiate"
)

// With every server that is here, a dial takes the way that was computed for it. How long it takes is not looked at.
func TestPeers(t *testing.T) {
	for _, p := range Peers() {
		t.Run(p.Name, func(t *testing.T) {
			if why := p.Missing(); why != "" {
				t.Skip(why)
			}
			t.Parallel()
			cases := p.Cases(negotiate.Settings, negotiate.Assume, negotiate.Frame)
			rows, err := Live(t.Context(), cases, Options{RTT: 10 * time.Millisecond})
			if err != nil {
				t.Fatal(err)
			}
			for _, r := range rows {
				if r.Error != "" || r.Live < r.Exact {
					t.Errorf("%s: measured %.2f, computed %v; %s", r, r.Live, r.Exact, r.Error)
				}
			}
		})
	}
}

func TestLiveCancelled(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	enough := errors.New("enough")
	_, err := Live(ctx, Cases(negotiate.Upgrade), Options{RTT: time.Minute, Report: func(int, Row, bool) { cancel(enough) }})
	if !errors.Is(err, enough) {
		t.Errorf("%v, want the cause", err)
	}
}

// A peer that does not come up is a row that says so.
func TestPeerFails(t *testing.T) {
	p := Peer{Name: "sleepy", Features: oldServer, program: "false", args: func(*behind, string) []string { return nil }}
	if p.Missing() != "" {
		t.Skip("there is no program called false")
	}
	rows, err := Live(t.Context(), p.Cases("upgrade"), Options{RTT: time.Millisecond})
	if err != nil || len(rows) != 1 || rows[0].Error == "" || rows[0].Live != 0 || rows[0].Peer != "sleepy" {
		t.Errorf("%+v, %v; want a row with an error", rows, err)
	}
	p.program = "no-such-program"
	if p.Missing() == "" {
		t.Error("no-such-program is not missing")
	}
}

// The configurations of all peers are complete, whether they are installed or not.
func TestPeerConfigurations(t *testing.T) {
	names := make(map[string]bool)
	for _, p := range Peers() {
		if names[p.Name] || len(p.Cases()) == 0 {
			t.Errorf("%s: seen %t, %d cases", p.Name, names[p.Name], len(p.Cases()))
		}
		names[p.Name] = true
		b := &behind{Dir: t.TempDir(), Port: 1234}
		if p.config == "" {
			continue
		}
		if _, err := p.configure(b); err != nil {
			t.Errorf("%s: %v", p.Name, err)
		}
	}
}

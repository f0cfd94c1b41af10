package lab

import (
	"testing"
	"time"

	"github.com/weftws/weft/internal/simnet"
)

// What is computed is what a Dialer and a Server need with real TLS, in fake time: exactly.
func TestExactIsSimulated(t *testing.T) {
	const rtt = 100 * time.Millisecond
	for _, c := range Cases() {
		t.Run(c.Row.String(), func(t *testing.T) {
			want, by, err := c.exact()
			if err != nil {
				t.Fatal(err)
			}
			simnet.Run(t, rtt, func(t *testing.T, n *simnet.Network) {
				s := &site{rtt: rtt, dial: n.DialContext}
				s.cert, s.roots = simnet.Certificate("origin.example")
				defer s.close()
				n.AddHost("origin.example", "10.0.0.2")
				p := place{features: c.origin}
				if c.next != nil {
					p.next = "origin.example:8443"
					s.serve(n.Listen("10.0.0.2:8443"), place{features: *c.next})
				}
				s.serve(n.Listen("10.0.0.2:443"), p)
				took, err := s.measureOnce(t.Context(), c, "wss://origin.example/", by)
				if err != nil {
					t.Fatal(err)
				}
				if got := float64(took) / float64(rtt); got != want {
					t.Errorf("simulated %v round trips, computed %v", got, want)
				}
			})
		})
	}
}

// Every row of the table within the tolerance, in real time and over a short way: what is measured here is that it works.
func TestLive(t *testing.T) {
	var cases []Case
	for _, c := range Cases() {
		if c.Policy == "" && c.Dial == "" && c.Connection == Fresh {
			cases = append(cases, c)
		}
	}
	reported := 0
	rows, err := Live(t.Context(), cases, Options{RTT: 20 * time.Millisecond, Report: func(i int, r Row, done bool) {
		if done {
			reported++
		}
	}})
	if err != nil || len(rows) != len(cases) || reported != len(cases) {
		t.Fatalf("%d rows, %d reported, %v; want %d", len(rows), reported, err, len(cases))
	}
	for _, r := range rows {
		// No upper bound: the machine may be busy.
		if r.Error != "" || r.Live < r.Exact {
			t.Errorf("%s: measured %.2f, computed %v; %s", r, r.Live, r.Exact, r.Error)
		}
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

package weft_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/weftws/weft"
	fake "github.com/weftws/weft/internal/fakeorigin"
	"github.com/weftws/weft/internal/simnet"
)

// The table of failure classes: every row, and every sign in it.
func TestFailureClasses(t *testing.T) {
	flagged := func(connect string) fake.Origin { return fake.Origin{Settings: fake.Flag, Connect: connect} }
	reset := func(code string) fake.Origin { return flagged("RST_STREAM stream=%d " + code + "\n") }
	letter := weft.Policy{Rungs: rungs(weft.Settings, weft.Upgrade)}
	cases := []fakeCase{
		{name: "transport: no such host", prep: func(e *fakeEnv) { e.url = "wss://nobody.example.com" },
			dials: always("0 assume:transport error tcp=0")},
		{name: "transport: refused", prep: func(e *fakeEnv) { e.net.SetLink(serverAddr, simnet.Link{Refuse: true}) },
			dials: always("1 assume:transport error tcp=0")},
		{name: "transport: no TLS", origin: fake.Origin{Hello: fake.HTTP11(400) + fake.FIN},
			dials: always("2 assume:transport upgrade:unused error tcp=2")},
		{name: "transport: reset before TLS was done", origin: fake.Origin{Hello: fake.RST},
			dials: always("2 assume:transport upgrade:unused error tcp=2")},
		{name: "transport: certificate", prep: func(e *fakeEnv) { e.dialer.TLSConfig.ServerName = "example.org" },
			dials: always("2 assume:transport upgrade:unused error tcp=2")},
		{name: "transport: certificate of an alternative", origin: naming(8443), policy: withAlt, prep: alternative("example.org", fake.Origin{}),
			dials:  [3]string{"3 upgrade:open upgrade:unused tcp=2", "5 assume:transport upgrade:open tcp=1", "3 upgrade:open tcp=1"},
			memory: noALPN + " " + upgraded},

		{name: "killed: GOAWAY, last-id below ours", origin: flagged(fake.GoAway),
			dials:  [3]string{"4 assume:killed upgrade:open tcp=2", "7 settings:silent upgrade:open tcp=2", "7 settings:silent upgrade:open tcp=2"},
			memory: killed + " " + upgraded},
		{name: "killed: GOAWAY, last-id above ours", origin: flagged("GOAWAY last=1 INTERNAL_ERROR\n" + fake.CloseNotify),
			dials:  [3]string{"4 assume:killed upgrade:open tcp=2", "7 settings:silent upgrade:open tcp=2", "7 settings:silent upgrade:open tcp=2"},
			memory: killed + " " + upgraded},
		{name: "killed: GOAWAY behind SETTINGS without the flag", origin: fake.Origin{Connect: fake.GoAway},
			dials:  asOld,
			memory: killed + " " + noSetting + " " + upgraded},
		{name: "killed: close_notify", origin: flagged(fake.CloseNotify),
			dials:  [3]string{"4 assume:killed upgrade:open tcp=2", "7 settings:silent upgrade:open tcp=2", "7 settings:silent upgrade:open tcp=2"},
			memory: killed + " " + upgraded},
		{name: "killed: close_notify behind SETTINGS without the flag", origin: fake.Origin{Connect: fake.CloseNotify},
			dials:  asOld,
			memory: killed + " " + noSetting + " " + upgraded},
		{name: "killed: FIN", origin: flagged(fake.FIN),
			dials:  [3]string{"4 assume:killed upgrade:open tcp=2", "7 settings:silent upgrade:open tcp=2", "7 settings:silent upgrade:open tcp=2"},
			memory: lost + " " + upgraded},
		{name: "killed: RST", origin: flagged(fake.RST),
			dials:  [3]string{"4 assume:killed upgrade:open tcp=2", "7 settings:silent upgrade:open tcp=2", "7 settings:silent upgrade:open tcp=2"},
			memory: lost + " " + upgraded},
		{name: "killed: FIN behind SETTINGS without the flag", origin: fake.Origin{Connect: fake.FIN},
			dials:  asOld,
			memory: noSetting + " " + upgraded},
		{name: "killed: an alternative", origin: naming(8443), policy: withAlt, prep: alternative("example.com", flagged(fake.GoAway)),
			dials:  [3]string{"3 upgrade:open upgrade:unused tcp=2", "6 assume:killed upgrade:open tcp=1", "3 upgrade:open tcp=1"},
			memory: noALPN + " " + upgraded},

		{name: "version: an alternative", origin: naming(8443), policy: withAlt, prep: alternative("example.com", fake.Origin{}),
			dials:  [3]string{"3 upgrade:open upgrade:unused tcp=2", "6 assume:version upgrade:open tcp=1", "3 upgrade:open tcp=1"},
			memory: noALPN + " " + upgraded},
		{name: "version: no flag", origin: fake.Origin{Connect: fake.Status(403)},
			dials:  asOld,
			memory: noSetting + " " + upgraded},
		{name: "version: no flag, asked to the letter", policy: letter,
			dials:  [3]string{"6 settings:version upgrade:open tcp=2", "3 upgrade:open tcp=1", "3 upgrade:open tcp=1"},
			memory: noSetting + " " + upgraded},
		{name: "version: RST_STREAM PROTOCOL_ERROR", origin: reset("PROTOCOL_ERROR"),
			dials:  asOld,
			memory: noReset + " " + upgraded},
		{name: "version: RST_STREAM HTTP_1_1_REQUIRED", origin: reset("HTTP_1_1_REQUIRED"),
			dials:  asOld,
			memory: noStatus + " " + upgraded},
		{name: "version: GOAWAY HTTP_1_1_REQUIRED", origin: flagged("GOAWAY last=1 HTTP_1_1_REQUIRED\n" + fake.CloseNotify), policy: letter,
			dials:  [3]string{"7 settings:version upgrade:open tcp=2", "3 upgrade:open tcp=1", "3 upgrade:open tcp=1"},
			memory: noStatus + " " + upgraded},
		{name: "version: H3_VERSION_FALLBACK", origin: reset("0x110"),
			dials:  asOld,
			memory: noStatus + " " + upgraded},
		{name: "version: 501", origin: flagged(fake.Status(501)),
			dials:  asOld,
			memory: noStatus + " " + upgraded},
		{name: "version: 501, over HTTP/1.1 too", origin: *fake.Answers(501),
			dials:  [3]string{"4 assume:version upgrade:application error=application/501 tcp=2", "3 upgrade:application error=application/501 tcp=1", "3 upgrade:application error=application/501 tcp=1"},
			memory: noStatus},

		{name: "refused: REFUSED_STREAM", origin: flagged(fake.Refused),
			dials:  [3]string{"7 assume:refused upgrade:open assume:refused tcp=3", "7 settings:refused assume:refused upgrade:open tcp=2", "7 assume:refused upgrade:open assume:refused tcp=3"},
			memory: upgraded},
		{name: "refused: REFUSED_STREAM, once", origin: flagged(fake.Refused), prep: yesOnTheSecond,
			dials:  [3]string{"6 assume:refused upgrade:unused assume:open tcp=3", "4 settings:refused assume:open tcp=1", "3 assume:open tcp=1"},
			memory: opened},
		{name: "refused: REFUSED_STREAM on a live connection", origin: fake.Origin{Settings: fake.Flag, Connect: fake.Yes, Later: fake.Refused},
			dials:  [3]string{"3 assume:open upgrade:unused tcp=2", "4 settings:refused assume:open tcp=1", "3 assume:open tcp=1"},
			memory: opened},
		{name: "refused: GOAWAY NO_ERROR", origin: flagged("GOAWAY last=0 NO_ERROR\n" + fake.CloseNotify),
			dials:  always("7 assume:refused upgrade:open assume:refused tcp=3"),
			memory: upgraded},
		{name: "refused: no stream left", origin: fake.Origin{Settings: fake.Flag + " MAX_CONCURRENT_STREAMS=0", Connect: fake.Refused}, policy: letter,
			dials:  always("9 settings:refused settings:refused upgrade:open tcp=3"),
			memory: upgraded},

		{name: "misdirected: an alternative", origin: naming(8443), policy: withAlt, prep: alternative("example.com", flagged(fake.Status(421))),
			dials:  [3]string{"3 upgrade:open upgrade:unused tcp=2", "6 assume:misdirected upgrade:open tcp=1", "3 upgrade:open tcp=1"},
			memory: noALPN + " " + upgraded},

		{name: "ambiguous: RST_STREAM INTERNAL_ERROR", origin: reset("INTERNAL_ERROR"),
			dials:  inDoubt,
			memory: noDoubt + " " + upgraded},
		{name: "ambiguous: over HTTP/1.1 too", origin: *fake.Answers(404),
			dials: [3]string{"4 assume:ambiguous upgrade:application error=application/404 tcp=2", "4 settings:ambiguous upgrade:application error=application/404 tcp=1", "4 assume:ambiguous upgrade:application error=application/404 tcp=2"}},

		{name: "early: over HTTP/1.1", origin: fake.Origin{ALPN: []string{"http/1.1"}, Upgrade: fake.HTTP11(425)},
			dials:  [3]string{"6 upgrade:early upgrade:unused upgrade:early error=early/425 tcp=3", "6 upgrade:early upgrade:early error=early/425 tcp=2", "6 upgrade:early upgrade:early error=early/425 tcp=2"},
			memory: noALPN},

		{name: "silent", origin: flagged(""),
			dials:  always("152 assume:silent upgrade:open trace=4 tcp=2"),
			memory: upgraded},
		{name: "silent: everywhere", origin: fake.Origin{Settings: fake.Flag, Upgrade: fake.Silence},
			dials: always("300 assume:silent upgrade:silent error tcp=2")},
		{name: "silent: once is enough", origin: flagged(""), policy: weft.Policy{Once: true},
			dials: [3]string{"300 settings:silent error tcp=1", "300 settings:silent error tcp=0", "300 settings:silent error tcp=1"}},

		{name: "handshake: END_STREAM", origin: flagged(fake.Status(200)),
			dials: [3]string{"3 assume:handshake upgrade:unused error=handshake/200 tcp=2", "1 settings:handshake error=handshake/200 tcp=0", "3 assume:handshake upgrade:unused error=handshake/200 tcp=2"}},
		{name: "handshake: unknown subprotocol", origin: flagged(fake.Yes + "  sec-websocket-protocol: x\n"),
			dials: [3]string{"3 assume:handshake upgrade:unused error=subprotocol-not-offered/200 tcp=2", "1 settings:handshake error=subprotocol-not-offered/200 tcp=0", "3 assume:handshake upgrade:unused error=subprotocol-not-offered/200 tcp=2"}},
		{name: "handshake: unknown extension", origin: flagged(fake.Yes + "  sec-websocket-extensions: x\n"),
			dials: [3]string{"3 assume:handshake upgrade:unused error=extension-not-offered/200 tcp=2", "1 settings:handshake error=extension-not-offered/200 tcp=0", "3 assume:handshake upgrade:unused error=extension-not-offered/200 tcp=2"}},
		{name: "handshake: wrong key", origin: fake.Origin{ALPN: []string{"http/1.1"}, Upgrade: "HTTP/1.1 101 x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: x\r\n\r\n"},
			dials:  [3]string{"3 upgrade:handshake upgrade:unused error=wrong-accept/101 tcp=2", "3 upgrade:handshake error=wrong-accept/101 tcp=1", "3 upgrade:handshake error=wrong-accept/101 tcp=1"},
			memory: noALPN},
		{name: "handshake: invalid first frame", origin: flagged(fake.Yes + "DATA stream=%d \"\\xff\\xff\"\n"),
			dials: [3]string{"3 assume:open upgrade:unused broken tcp=2", "1 settings:open broken tcp=0", "3 assume:open upgrade:unused broken tcp=2"}},
		{name: "handshake: invalid first frame, HTTP/1.1", origin: fake.Origin{ALPN: []string{"http/1.1"}, Upgrade: fake.Switching + "\xff\xff"},
			dials:  [3]string{"3 upgrade:open upgrade:unused broken tcp=2", "3 upgrade:open broken tcp=1", "3 upgrade:open broken tcp=1"},
			memory: noALPN},
	}
	for _, status := range []int{400, 404, 405, 408, 410, 426, 431} {
		cases = append(cases, fakeCase{name: fmt.Sprint("ambiguous: ", status), origin: flagged(fake.Status(status)),
			dials:  inDoubt,
			memory: noDoubt + " " + upgraded})
	}
	for _, status := range []int{302, 401, 403, 407, 429, 500, 502, 503} {
		final := fmt.Sprintf("error=application/%d tcp=", status)
		cases = append(cases, fakeCase{name: fmt.Sprint("application: ", status), origin: *fake.Answers(status),
			dials: [3]string{"3 assume:application upgrade:unused " + final + "2", "1 settings:application " + final + "0", "3 assume:application upgrade:unused " + final + "2"}})
	}
	runFakeCases(t, cases)
}

var withAlt = weft.Policy{Rungs: rungs(weft.AltSvc, weft.Assume, weft.Upgrade)}

// naming is an origin with HTTP/1.1 that names an alternative.
func naming(port int) fake.Origin {
	return fake.Origin{ALPN: []string{"http/1.1"}, Upgrade: fmt.Sprintf("%sAlt-Svc: h2=\":%d\"\r\n\r\n", fake.Switching[:len(fake.Switching)-2], port)}
}

// alternative starts one at example.com:8443 that has a certificate for host.
func alternative(host string, o fake.Origin) func(e *fakeEnv) {
	return func(e *fakeEnv) {
		cert := e.cert
		if host != "example.com" {
			cert, _ = simnet.Certificate(host)
		}
		s := fake.Start(e.net, "10.0.0.2:8443", cert, &o)
		e.t.Cleanup(s.Close)
	}
}

// What is remembered is believed until its time is over, and asked again then; what is found again holds twice as long.
func TestMemoryExpires(t *testing.T) {
	for _, tt := range []struct {
		name        string
		origin      fake.Origin
		rung        weft.Rung
		after, then time.Duration // that it holds, and holds when it was found again
		known, anew string        // dials; known is not tried for a yes, which it would prolong
	}{
		{"no by SETTINGS", fake.Origin{Connect: fake.Reset}, weft.Settings, time.Hour, 2 * time.Hour, "3 upgrade:open tcp=1", "4 assume:version upgrade:open tcp=2"},
		{"no by 501", fake.Origin{Settings: fake.Flag, Connect: fake.Status(501)}, weft.Settings, 24 * time.Hour, 48 * time.Hour, "3 upgrade:open tcp=1", "4 assume:version upgrade:open tcp=2"},
		{"ambiguous", fake.Origin{Settings: fake.Flag, Connect: fake.Status(404)}, weft.Settings, 10 * time.Minute, 20 * time.Minute, "3 upgrade:open tcp=1", "4 assume:ambiguous upgrade:open tcp=2"},
		{"killed", fake.Origin{Settings: fake.Flag, Connect: fake.GoAway}, weft.Assume, 7 * 24 * time.Hour, 7 * 24 * time.Hour, "7 settings:silent upgrade:open tcp=2", "4 assume:killed upgrade:open tcp=2"},
		{"lost", fake.Origin{Settings: fake.Flag, Connect: fake.RST}, weft.Assume, 10 * time.Minute, 10 * time.Minute, "7 settings:silent upgrade:open tcp=2", "4 assume:killed upgrade:open tcp=2"},
		{"ALPN", fake.Origin{ALPN: []string{"http/1.1"}}, weft.Settings, time.Hour, 2 * time.Hour, "3 upgrade:open tcp=1", "3 upgrade:open upgrade:unused tcp=2"},
		{"yes", fake.Origin{Settings: fake.Flag, Connect: fake.Yes}, weft.Assume, 24 * time.Hour, 24 * time.Hour, "", "3 assume:open upgrade:unused tcp=2"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			overFake(t, &tt.origin, func(t *testing.T, e *fakeEnv) {
				finding := func() (since time.Time, ttl time.Duration) {
					f := e.memory.List()[0].Entry.Findings[tt.rung]
					return f.Since, f.Until.Sub(f.Since)
				}
				e.account(nil)
				since, ttl := finding()
				if ttl != tt.after {
					t.Errorf("holds for %v, want %v", ttl, tt.after)
				}
				forget := func() { e.dialer.CloseIdleConnections(); time.Sleep(time.Second) }
				forget()
				time.Sleep(time.Until(since.Add(ttl - 2*time.Second)))
				if tt.known != "" {
					if got := e.account(nil); got != tt.known {
						t.Errorf("before it expires: %s\n              want: %s", got, tt.known)
					}
				}
				forget()
				time.Sleep(time.Until(since.Add(ttl)))
				if got := e.account(nil); got != tt.anew {
					t.Errorf("after it expired: %s\n             want: %s", got, tt.anew)
				}
				if _, ttl := finding(); ttl != tt.then {
					t.Errorf("found again it holds for %v, want %v", ttl, tt.then)
				}
			})
		})
	}
}

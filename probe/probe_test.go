package probe

import (
	"crypto/tls"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	fake "github.com/weftws/weft/internal/fakeorigin"
	"github.com/weftws/weft/internal/simnet"
	"github.com/weftws/weft/negotiate"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	version = Verdict(negotiate.Version)
	killed  = Verdict(negotiate.Killed)
	silent  = Verdict(negotiate.Silent)
)

const (
	fakeAddr = "10.0.0.2:443"
	fakeURL  = "wss://10.0.0.2/socket"
	rtt      = 100 * time.Millisecond
)

// inquire runs the probe against a server that behaves as o says, in fake time.
func inquire(t *testing.T, o fake.Origin, opt Options, check func(t *testing.T, r *Report, took time.Duration)) {
	t.Helper()
	simnet.Run(t, rtt, func(t *testing.T, n *simnet.Network) {
		cert, roots := simnet.Certificate("10.0.0.2")
		defer fake.Start(n, fakeAddr, cert, &o).Close()
		opt.NetDial, opt.NetDialUDP = n.DialContext, n.DialUDP
		opt.TLSConfig = &tls.Config{RootCAs: roots}
		url := fakeURL
		if o.Plain {
			url = "ws://" + fakeAddr + "/socket"
		}
		start := time.Now()
		r, err := Run(t.Context(), url, opt)
		if err != nil {
			t.Fatal(err)
		}
		took := time.Since(start)
		if limit := time.Duration(len(rungs)+1) * DefaultTimeout; opt.Timeout == 0 && took > limit {
			t.Errorf("took %v, more than %v", took, limit)
		}
		for _, result := range r.Rungs {
			if result.Took > DefaultTimeout && opt.Timeout == 0 {
				t.Errorf("%s took %v", result.Rung, result.Took)
			}
		}
		check(t, r, took)
		if t.Failed() {
			for _, result := range r.Rungs {
				t.Logf("%s\n%s", result.Rung, strings.Join(result.Evidence, "\n"))
			}
		}
	})
}

// want is one rung's verdict and its round trips.
type want struct {
	rung       negotiate.Rung
	verdict    Verdict
	roundTrips int
}

func wantResults(t *testing.T, r *Report, wants ...want) {
	t.Helper()
	for _, w := range wants {
		got := r.Result(w.rung)
		if got == nil {
			t.Errorf("%s: not asked", w.rung)
		} else if got.Verdict != w.verdict || got.RoundTrips != w.roundTrips {
			t.Errorf("%s: %s in %d round trips (%s); want %s in %d", w.rung, got.Verdict, got.RoundTrips, got.Reason, w.verdict, w.roundTrips)
		}
	}
}

// The behaviours that were observed at real servers, one a case.
func TestBehaviours(t *testing.T) {
	const rst = "RST PROTOCOL_ERROR"
	upgraded := want{negotiate.Upgrade, Open, 3}
	for _, c := range []struct {
		name  string
		fake  fake.Origin
		wants []want
		found Findings
	}{
		{
			"new", fake.Origin{Settings: fake.Flag, Connect: fake.Yes},
			[]want{upgraded, {negotiate.Settings, Open, 4}, {negotiate.Assume, Open, 3}, {negotiate.Token, version, 2}, {negotiate.H21, version, 2}, {negotiate.Frame, version, 3}, {negotiate.AltSvc, Absent, 3}},
			Findings{"1", "200", "", "200", "silent", "ignored", "alert", "http/1.1", "h2"},
		},
		{
			"old, RST_STREAM", fake.Origin{Connect: fake.Reset},
			[]want{upgraded, {negotiate.Settings, version, 3}, {negotiate.Assume, version, 3}},
			Findings{"absent", rst, "yes", rst, "silent", "ignored", "alert", "http/1.1", "h2"},
		},
		{
			"old, the connection dies of DATA", fake.Origin{Connect: fake.Reset, Early: fake.Reset + "GOAWAY last=0 STREAM_CLOSED\n" + fake.CloseNotify},
			[]want{{negotiate.Assume, version, 3}},
			Findings{"absent", rst, "yes", "GOAWAY STREAM_CLOSED", "silent", "ignored", "alert", "http/1.1", "h2"},
		},
		{
			"old, 400", fake.Origin{Connect: fake.Status(400)},
			[]want{{negotiate.Settings, version, 3}, {negotiate.Assume, version, 3}},
			Findings{"absent", "400", "yes", "400", "silent", "ignored", "alert", "http/1.1", "h2"},
		},
		{
			"flag and 405", fake.Origin{Settings: fake.Flag, Connect: fake.Status(405)},
			[]want{{negotiate.Settings, "ambiguous", 4}, {negotiate.Assume, "ambiguous", 3}},
			Findings{"1", "405", "yes", "405", "silent", "ignored", "alert", "http/1.1", "h2"},
		},
		{
			"500 on early DATA, GOAWAY on the idle frame", fake.Origin{Settings: fake.Flag, Connect: fake.Yes, Early: fake.Status(500), Idle: fake.GoAway},
			[]want{{negotiate.Settings, Open, 4}, {negotiate.Assume, Open, 3}, {negotiate.Frame, version, 3}},
			Findings{"1", "200", "", "500", "GOAWAY PROTOCOL_ERROR", "ignored", "alert", "http/1.1", "h2"},
		},
		{
			"false accept", fake.Origin{Connect: fake.Yes},
			[]want{{negotiate.Settings, version, 3}, {negotiate.Assume, FalseAccept, 3}},
			Findings{"absent", "200", "yes", "200", "silent", "ignored", "alert", "http/1.1", "h2"},
		},
		{
			"false accept, flag 0", fake.Origin{Settings: "ENABLE_CONNECT_PROTOCOL=0", Connect: fake.Yes},
			[]want{{negotiate.Settings, version, 3}, {negotiate.Assume, FalseAccept, 3}},
			Findings{"0", "200", "yes", "200", "silent", "ignored", "alert", "http/1.1", "h2"},
		},
		{
			"GOAWAY", fake.Origin{Connect: fake.GoAway},
			[]want{{negotiate.Settings, version, 3}, {negotiate.Assume, killed, 3}},
			Findings{"absent", "GOAWAY PROTOCOL_ERROR", "no", "GOAWAY PROTOCOL_ERROR", "silent", "ignored", "alert", "http/1.1", "h2"},
		},
		{
			"silence, old", fake.Origin{},
			[]want{{negotiate.Settings, version, 3}, {negotiate.Assume, version, 3}},
			Findings{"absent", "silence", "yes", "silence", "silent", "ignored", "alert", "http/1.1", "h2"},
		},
		{
			"silence, new", fake.Origin{Settings: fake.Flag},
			[]want{{negotiate.Settings, silent, 4}, {negotiate.Assume, silent, 3}},
			Findings{"1", "silence", "yes", "silence", "silent", "ignored", "alert", "http/1.1", "h2"},
		},
		{
			"421", fake.Origin{Settings: fake.Flag, Connect: fake.Status(421), Upgrade: fake.HTTP11(421)},
			[]want{{negotiate.Upgrade, "misdirected", 3}, {negotiate.Settings, "misdirected", 4}, {negotiate.Assume, "misdirected", 3}},
			Findings{"1", "421", "yes", "421", "silent", "ignored", "alert", "http/1.1", "h2"},
		},
		{
			"425", fake.Origin{Settings: fake.Flag, Connect: fake.Status(425), Upgrade: fake.HTTP11(425)},
			[]want{{negotiate.Upgrade, "early", 3}, {negotiate.Settings, "early", 4}, {negotiate.Assume, "early", 3}},
			Findings{"1", "425", "yes", "425", "silent", "ignored", "alert", "http/1.1", "h2"},
		},
		{
			"refused by the application", fake.Origin{Settings: fake.Flag, Connect: fake.Status(403), Upgrade: fake.HTTP11(403)},
			[]want{{negotiate.Upgrade, "application", 3}, {negotiate.Settings, "application", 4}, {negotiate.Assume, "application", 3}},
			Findings{"1", "403", "yes", "403", "silent", "ignored", "alert", "http/1.1", "h2"},
		},
		{
			"REFUSED_STREAM", fake.Origin{Settings: fake.Flag, Connect: fake.Refused},
			[]want{{negotiate.Settings, "refused", 4}, {negotiate.Assume, "refused", 3}},
			Findings{"1", "RST REFUSED_STREAM", "yes", "RST REFUSED_STREAM", "silent", "ignored", "alert", "http/1.1", "h2"},
		},
		{
			"the experimental rungs", fake.Origin{
				ALPN: []string{"wsoverh2", "h2.1", "h2", "http/1.1"}, Connect: fake.Yes,
				WSOpen: "WS_ACCEPT id=%d nonce=%x\n" + fake.Yes,
			},
			[]want{{negotiate.Token, Open, 3}, {negotiate.H21, Open, 3}, {negotiate.Frame, Open, 3}, {negotiate.Settings, version, 3}},
			Findings{"absent", "200", "yes", "200", "silent", "accepted", "chosen", "wsoverh2", "h2.1"},
		},
		{
			"the experimental rungs, taken back", fake.Origin{
				ALPN: []string{"wsoverh2", "h2.1", "h2", "http/1.1"}, Connect: fake.Yes, Settings: "ENABLE_CONNECT_PROTOCOL=0",
				WSOpen: "PING %x ACK\nWS_ACCEPT id=%d nonce=%x\n",
			},
			[]want{{negotiate.Token, "handshake", 3}, {negotiate.H21, FalseAccept, 3}, {negotiate.Frame, version, 3}},
			Findings{"0", "200", "yes", "200", "silent", "ignored", "chosen", "wsoverh2", "h2.1"},
		},
		{
			"killed by WS_OPEN", fake.Origin{WSOpen: fake.GoAway},
			[]want{{negotiate.Frame, killed, 3}},
			Findings{"absent", "silence", "yes", "silence", "silent", "GOAWAY PROTOCOL_ERROR", "alert", "http/1.1", "h2"},
		},
		{
			"none of ours in ALPN", fake.Origin{ALPN: []string{"imap"}},
			[]want{{negotiate.Upgrade, version, 0}, {negotiate.Settings, version, 0}, {negotiate.Assume, version, 0}, {negotiate.Token, version, 0}, {negotiate.AltSvc, Absent, 0}},
			Findings{"", "", "", "", "", "", "alert", "", ""},
		},
		{
			"only http/1.1 in ALPN", fake.Origin{ALPN: []string{"http/1.1"}},
			[]want{upgraded, {negotiate.Settings, version, 2}, {negotiate.Assume, version, 2}, {negotiate.H21, version, 2}, {negotiate.Frame, version, 2}},
			Findings{"", "", "", "", "", "", "alert", "http/1.1", "http/1.1"},
		},
		{
			"no ALPN", fake.Origin{ALPN: []string{}},
			[]want{upgraded, {negotiate.Settings, version, 2}, {negotiate.Token, version, 2}},
			Findings{"", "", "", "", "", "", "none", "", ""},
		},
		{
			"200 and the end of the stream", fake.Origin{Settings: fake.Flag, Connect: fake.Status(200)},
			[]want{{negotiate.Settings, "handshake", 4}, {negotiate.Assume, "handshake", 3}},
			Findings{"1", "200", "yes", "200", "silent", "ignored", "alert", "http/1.1", "h2"},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			inquire(t, c.fake, Options{Thorough: true}, func(t *testing.T, r *Report, _ time.Duration) {
				wantResults(t, r, c.wants...)
				if r.Findings != c.found {
					t.Errorf("found %+v\nwant  %+v", r.Findings, c.found)
				}
				if r.Advice == "" {
					t.Error("no advice")
				}
			})
		})
	}
}

// A server that takes connections and says nothing holds up each rung for its time limit, and no longer.
func TestHang(t *testing.T) {
	inquire(t, fake.Origin{Greeting: fake.Silence, Deaf: true}, Options{Timeout: time.Second, Thorough: true}, func(t *testing.T, r *Report, took time.Duration) {
		wantResults(t, r, want{negotiate.Upgrade, silent, 2}, want{negotiate.Settings, silent, 2}, want{negotiate.Assume, silent, 2},
			want{negotiate.Frame, silent, 2}, want{negotiate.AltSvc, silent, 2})
		if took > 7*time.Second {
			t.Errorf("took %v", took)
		}
		if r.Open() || !strings.HasPrefix(r.Advice, "no WebSocket to be had: no answer to GET") {
			t.Errorf("open %t, advice %q", r.Open(), r.Advice)
		}
	})
}

// Nothing is asked of a server that does not get through its TLS handshake, or cannot be reached.
func TestUnreachable(t *testing.T) {
	for name, c := range map[string]struct {
		origin fake.Origin
		link   simnet.Link
		want   string
		took   time.Duration
	}{
		"no TLS handshake": {origin: fake.Origin{Hello: fake.Silence}, want: "deadline exceeded", took: 2 * time.Second},
		"no TLS":           {origin: fake.Origin{Hello: "HTTP/1.1 400 Bad Request\r\n\r\n" + fake.FIN}, want: "does not speak TLS", took: 2 * rtt},
		"refused":          {link: simnet.Link{Refuse: true}, want: "refused", took: rtt},
		"black hole":       {link: simnet.Link{BlackHole: true}, want: "deadline exceeded", took: 2 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			simnet.Run(t, rtt, func(t *testing.T, n *simnet.Network) {
				n.SetLink(fakeAddr, c.link)
				cert, _ := simnet.Certificate("10.0.0.2")
				defer fake.Start(n, fakeAddr, cert, &c.origin).Close()
				start := time.Now()
				r, err := Run(t.Context(), fakeURL, Options{NetDial: n.DialContext, NetDialUDP: n.DialUDP, Timeout: 2 * time.Second})
				if err != nil {
					t.Fatal(err)
				}
				const noUDP = 800 * time.Millisecond // what HTTP/3 is waited for where nothing names it
				if took := time.Since(start); took != c.took+noUDP {
					t.Errorf("took %v, want %v", took, c.took+noUDP)
				}
				wantResults(t, r, want{negotiate.H3, silent, 0})
				for _, result := range r.Rungs {
					if result.Rung != negotiate.H3 && (result.Verdict != "transport" || !strings.Contains(result.Reason, c.want) || len(result.Evidence) == 0) {
						t.Errorf("%s: %s, %q, evidence %q; want transport, %q", result.Rung, result.Verdict, result.Reason, result.Evidence, c.want)
					}
				}
				if !strings.HasPrefix(r.Advice, "not reached: ") {
					t.Errorf("advice %q", r.Advice)
				}
			})
		})
	}
}

func TestUntrusted(t *testing.T) {
	simnet.Run(t, rtt, func(t *testing.T, n *simnet.Network) {
		cert, _ := simnet.Certificate("10.0.0.2")
		defer fake.Start(n, fakeAddr, cert, &fake.Origin{}).Close()
		r, err := Run(t.Context(), fakeURL, Options{NetDial: n.DialContext, NetDialUDP: n.DialUDP})
		if err != nil {
			t.Fatal(err)
		}
		if r.Open() || r.Reached || !strings.Contains(r.Advice, "--insecure") {
			t.Errorf("open %t, reached %t, advice %q", r.Open(), r.Reached, r.Advice)
		}
	})
}

// A server may choose what was not offered.
func TestStrayALPN(t *testing.T) {
	record := []byte(fake.ServerHello("http/1.1"))
	if got := parseServerALPN(record); got != "http/1.1" {
		t.Fatalf("parsed %q, want http/1.1", got)
	}
	for i := range record { // whatever is cut off, nothing is read behind the end
		parseServerALPN(record[:i])
	}
	// The offer of the token alone has no second protocol.
	f := fake.Origin{Hello: fake.Alert, Pick: func(alpn []string) *fake.Origin {
		if slices.Equal(alpn, []string{"wsoverh2"}) {
			return &fake.Origin{Hello: fake.ServerHello("http/1.1") + fake.Silence}
		}
		return nil
	}}
	inquire(t, f, Options{Rungs: []negotiate.Rung{negotiate.Token}}, func(t *testing.T, r *Report, _ time.Duration) {
		wantResults(t, r, want{negotiate.Token, version, 0})
		if r.Findings.OnlyToken != "stray http/1.1" {
			t.Errorf("only wsoverh2: %q, want stray http/1.1", r.Findings.OnlyToken)
		}
	})
}

// Prior knowledge: HTTP/2 without TLS is asked about, ALPN is not.
func TestPlain(t *testing.T) {
	inquire(t, fake.Origin{Plain: true, Head: "Alt-Svc: h2=\":8443\"\r\nServer: fake\r\n"}, Options{}, func(t *testing.T, r *Report, _ time.Duration) {
		wantResults(t, r, want{negotiate.Upgrade, Open, 2}, want{negotiate.Settings, version, 2}, want{negotiate.Assume, version, 2},
			want{negotiate.Token, NotAsked, 0}, want{negotiate.H21, NotAsked, 0}, want{negotiate.Frame, version, 2},
			want{negotiate.AltSvc, Advertised, 2}, want{negotiate.H3, NotAsked, 0})
		if r.Advice != "reached in 2 round trips" || r.Server != "fake" || r.Result(negotiate.AltSvc).Reason != `h2=":8443"` {
			t.Errorf("advice %q, server %q, alt-svc %q", r.Advice, r.Server, r.Result(negotiate.AltSvc).Reason)
		}
	})
}

func TestAdvice(t *testing.T) {
	for _, c := range []struct {
		name string
		fake fake.Origin
		want []string
	}{
		{"new", fake.Origin{Settings: fake.Flag, Connect: fake.Yes}, []string{"reached in 3 round trips, 1 once a connection is there"}},
		{"old", fake.Origin{Connect: fake.Reset}, []string{"reached in 4 round trips; 3 once it is remembered", "does not announce SETTINGS_ENABLE_CONNECT_PROTOCOL; its operator could switch on RFC 8441"}},
		{"Apache", fake.Origin{Connect: fake.Reset, Head: "Server: Apache/2.4.71 (Debian)\r\n"}, []string{"H2WebSockets on"}},
		{"false accept", fake.Origin{Connect: fake.Yes}, []string{"reached in 4", "says yes to a CONNECT that it has not understood"}},
		{"GOAWAY", fake.Origin{Connect: fake.GoAway}, []string{"reached in 4", "ends the connection over a CONNECT"}},
		{"HTTP/1.1", fake.Origin{ALPN: []string{"http/1.1"}}, []string{"reached in 3 round trips", "no HTTP/2"}},
		{"promises", fake.Origin{Settings: fake.Flag, Connect: fake.Status(405)}, []string{"reached", "does not keep to it", "405 Method Not Allowed"}},
		{"nothing", fake.Origin{Connect: fake.Reset, Upgrade: fake.HTTP11(404)}, []string{"no WebSocket to be had: server answered 404 Not Found"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			inquire(t, c.fake, Options{}, func(t *testing.T, r *Report, _ time.Duration) {
				for _, want := range c.want {
					if !strings.Contains(r.Advice, want) {
						t.Errorf("advice %q lacks %q", r.Advice, want)
					}
				}
			})
		})
	}
}

// What is JSON to others has these names and no more; secrets are not in it.
func TestJSON(t *testing.T) {
	opt := Options{
		Rungs:  []negotiate.Rung{negotiate.Upgrade, negotiate.Assume, negotiate.Frame},
		Header: http.Header{"Authorization": {"Bearer hidden"}, "Cookie": {"id=hidden"}, "X-Shown": {"visible"}},
	}
	inquire(t, fake.Origin{Settings: fake.Flag, Connect: fake.Yes + "  set-cookie: hidden\n"}, opt, func(t *testing.T, r *Report, _ time.Duration) {
		b, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(b), "hidden") || !strings.Contains(string(b), "authorization: (13 bytes)") || !strings.Contains(string(b), "x-shown: visible") {
			t.Errorf("secrets are shown, or what is none is not: %s", b)
		}
		var got struct {
			URL    string
			Rungs  []map[string]any
			Advice string
		}
		if err := json.Unmarshal(b, &got); err != nil {
			t.Fatal(err)
		}
		if got.URL != fakeURL || len(got.Rungs) != 3 || got.Advice == "" {
			t.Errorf("%s", b)
		}
		for _, rung := range got.Rungs {
			if len(rung) != 4 || rung["rung"] == nil || rung["verdict"] == nil || rung["round_trips"] == nil || rung["evidence"] == nil {
				t.Errorf("a rung is %v", rung)
			}
		}
		wantEvidence := []string{"-> PREFACE", "-> SETTINGS ENABLE_PUSH=0", "-> HEADERS stream=1 END_HEADERS", "->   :method: CONNECT"}
		if e := r.Result(negotiate.Assume).Evidence; len(e) < 6 || !slices.Equal(e[2:6], wantEvidence) {
			t.Errorf("evidence %q, want %q from line 3 on", e, wantEvidence)
		}
	})
}

// What is shown does not depend on the network's speed.
func TestRoundTripsAreFlights(t *testing.T) {
	var first []want
	for _, pace := range []time.Duration{time.Millisecond, 400 * time.Millisecond} {
		simnet.Run(t, pace, func(t *testing.T, n *simnet.Network) {
			defer fake.Start(n, "10.0.0.2:80", tls.Certificate{}, &fake.Origin{
				Plain: true, ALPN: []string{"h2"}, Settings: fake.Flag, Connect: fake.Yes,
			}).Close()
			r, err := Run(t.Context(), "ws://10.0.0.2/", Options{NetDial: n.DialContext, Timeout: 10 * time.Second,
				Rungs: []negotiate.Rung{negotiate.Settings, negotiate.Assume, negotiate.Frame}})
			if err != nil {
				t.Fatal(err)
			}
			var got []want
			for _, result := range r.Rungs {
				got = append(got, want{result.Rung, result.Verdict, result.RoundTrips})
			}
			if first == nil {
				first = got
			}
			if !slices.Equal(got, first) {
				t.Errorf("%v, want %v as on a fast network", got, first)
			}
		})
	}
	if wants := []want{{negotiate.Settings, Open, 3}, {negotiate.Assume, Open, 2}, {negotiate.Frame, version, 2}}; !slices.Equal(first, wants) {
		t.Errorf("%v, want %v", first, wants)
	}
}

func TestArguments(t *testing.T) {
	for _, c := range []struct {
		url  string
		opt  Options
		want string
	}{
		{"https://example.com/", Options{}, "no WebSocket URL"},
		{"wss:///path", Options{}, "no WebSocket URL"},
		{"wss://a:b@example.com/", Options{}, "user information"},
		{"wss://example.com/#x", Options{}, "fragment"},
		{"wss://example.com/", Options{Header: http.Header{"A B": {"c"}}}, "malformed"},
		{"wss://example.com/", Options{Header: http.Header{"A": {"c\r\nd"}}}, "malformed"},
		{"wss://example.com/", Options{Header: http.Header{"Sec-Websocket-Key": {"c"}}}, "Sec-WebSocket-Key"},
		{"wss://example.com/", Options{Header: http.Header{"A": {strings.Repeat("c", 9000)}}}, fmt.Sprint(maxHeaderBytes)},
	} {
		if _, err := Run(t.Context(), c.url, c.opt); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s %v: %v, want an error with %q", c.url, c.opt.Header, err, c.want)
		}
	}
}

package probe

import (
	"crypto/tls"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/weftws/weft"
	"github.com/weftws/weft/internal/simnet"
	"github.com/weftws/weft/negotiate"
)

// echo is a handler for WebSockets; to everything else it says 404.
func echo(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path != "/socket" {
		http.NotFound(w, r)
		return
	}
	c, err := weft.Accept(w, r, nil)
	if err != nil {
		return
	}
	defer c.CloseNow()
	for {
		typ, p, err := c.Read(r.Context())
		if err != nil || c.Write(r.Context(), typ, p) != nil {
			return
		}
	}
}

func TestWeftServer(t *testing.T) {
	cert, roots := simnet.Certificate("127.0.0.1")
	for _, c := range []struct {
		name string
		mod  func(*weft.Server)
		want []want
	}{
		{"default", func(*weft.Server) {}, []want{{negotiate.Upgrade, Open, 3}, {negotiate.Settings, Open, 4}, {negotiate.Assume, Open, 3}}},
		{"without the flag", func(s *weft.Server) { s.Options.DisableConnectProtocol = true },
			[]want{{negotiate.Upgrade, Open, 3}, {negotiate.Settings, version, 3}, {negotiate.Assume, version, 3}}},
		{"every rung", func(s *weft.Server) {
			s.Options.Rungs = []weft.Rung{weft.Token, weft.H21, weft.Frame}
			s.Options.AltSvc = `h2.1=":8443"; ma=60`
		}, []want{
			{negotiate.Upgrade, Open, 3}, {negotiate.Settings, Open, 4}, {negotiate.Assume, Open, 3},
			{negotiate.Token, Open, 3}, {negotiate.H21, Open, 3}, {negotiate.Frame, Open, 3}, {negotiate.AltSvc, Advertised, 3},
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := &weft.Server{
				Handler: http.HandlerFunc(echo), TLSConfig: &tls.Config{Certificates: []tls.Certificate{cert}}, ErrorLog: log.New(io.Discard, "", 0),
			}
			c.mod(s)
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			served := make(chan struct{})
			go func() { defer close(served); s.ServeTLS(l, "", "") }()
			defer func() { s.Close(); <-served }()
			wantLive(t, "wss://"+l.Addr().String()+"/socket", &tls.Config{RootCAs: roots}, c.want)
		})
	}
}

func TestNetHTTP(t *testing.T) {
	s := httptest.NewUnstartedServer(http.HandlerFunc(echo))
	s.EnableHTTP2 = true
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.StartTLS()
	defer s.Close()
	r := wantLive(t, "wss"+s.URL[len("https"):]+"/socket", &tls.Config{InsecureSkipVerify: true},
		[]want{{negotiate.Upgrade, Open, 3}, {negotiate.Settings, version, 3}, {negotiate.Assume, version, 3}, {negotiate.Token, version, 2}, {negotiate.H21, version, 2}, {negotiate.Frame, version, 3}})
	if f := r.Findings; f.Assumed != "RST PROTOCOL_ERROR" || f.Usable != "yes" || f.OnlyToken != "alert" || f.IdleFrame != "silent" {
		t.Errorf("found %+v", f)
	}
}

func wantLive(t *testing.T, url string, cfg *tls.Config, wants []want) *Report {
	t.Helper()
	r, err := Run(t.Context(), url, Options{Thorough: true, TLSConfig: cfg})
	if err != nil {
		t.Fatal(err)
	}
	wantResults(t, r, wants...)
	for _, w := range wants {
		if t.Failed() {
			t.Logf("%s: %q", w.rung, r.Result(w.rung).Evidence)
		}
	}
	if !r.Open() {
		t.Errorf("not open: %s", r.Advice)
	}
	return r
}

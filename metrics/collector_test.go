package metrics_test

import (
	"context"
	"crypto/tls"
	"io"
	"log"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	"github.com/prometheus/common/expfmt"

	"github.com/weftws/weft"
	"github.com/weftws/weft/internal/simnet"
	"github.com/weftws/weft/internal/transcript"
	"github.com/weftws/weft/metrics"
)

const rtt = 100 * time.Millisecond

// A stage is a server, a dialer and the metrics of both, on a simulated network.
type stage struct {
	t        *testing.T
	ctx      context.Context
	dialer   *weft.Dialer
	metrics  *metrics.Collector
	registry *prometheus.Registry
	conns    []*weft.Conn
}

// run calls f on a stage; new says that the server carries WebSockets over HTTP/2.
func run(t *testing.T, isNew bool, f func(*stage)) {
	t.Helper()
	simnet.Run(t, rtt, func(t *testing.T, n *simnet.Network) {
		cert, roots := simnet.Certificate("example.com")
		n.AddHost("example.com", "10.0.0.2")
		m := metrics.New()
		s := &stage{t: t, ctx: t.Context(), metrics: m, registry: prometheus.NewPedanticRegistry()}
		s.registry.MustRegister(m)
		server := &weft.Server{
			Handler:   http.HandlerFunc(serve),
			TLSConfig: &tls.Config{Certificates: []tls.Certificate{cert}},
			Options:   weft.ServerOptions{Observer: m.Observer(), DisableConnectProtocol: !isNew},
			ErrorLog:  log.New(io.Discard, "", 0),
		}
		l := n.Listen("10.0.0.2:443")
		served := make(chan error)
		go func() { served <- server.ServeTLS(l, "", "") }()
		s.dialer = &weft.Dialer{TLSConfig: &tls.Config{RootCAs: roots}, NetDial: n.DialContext, Observer: m.Observer()}
		t.Cleanup(func() {
			s.dialer.Close()
			server.Close()
			<-served
		})
		f(s)
	})
}

// serve echoes messages; to "bye" it says 4321.
func serve(w http.ResponseWriter, r *http.Request) {
	c, err := weft.Accept(w, r, nil)
	if err != nil {
		return
	}
	c.Handle(weft.HandlerFuncs{Message: func(c *weft.Conn, typ weft.MessageType, p []byte) {
		if string(p) == "bye" {
			c.Close(4321, "")
			return
		}
		c.Write(context.Background(), typ, p)
	}})
}

// dial opens a WebSocket and lets the server echo message.
func (s *stage) dial(message string) *weft.Conn {
	s.t.Helper()
	c, _, err := s.dialer.Dial(s.ctx, "wss://example.com/", nil)
	if err != nil {
		s.t.Fatal(err)
	}
	s.conns = append(s.conns, c)
	c.SetReadLimit(10)
	if err := c.Write(s.ctx, weft.MessageText, []byte(message)); err != nil {
		s.t.Fatal(err)
	}
	c.Read(s.ctx)
	time.Sleep(rtt)
	return c
}

func (s *stage) refused(origin string) {
	s.t.Helper()
	opts := &weft.DialOptions{HTTPHeader: http.Header{"Origin": {origin}}}
	_, res, err := s.dialer.Dial(s.ctx, "wss://example.com/", opts)
	if err == nil {
		s.t.Fatal("a foreign origin was let in")
	}
	res.Body.Close()
}

// text is what Prometheus would get.
func (s *stage) text() string {
	s.t.Helper()
	families, err := s.registry.Gather()
	if err != nil {
		s.t.Fatal(err)
	}
	var b strings.Builder
	for _, f := range families {
		if _, err := expfmt.MetricFamilyToText(&b, f); err != nil {
			s.t.Fatal(err)
		}
	}
	return b.String()
}

// brief leaves out most buckets of the histogram.
func brief(text string) string {
	lines := slices.DeleteFunc(strings.SplitAfter(text, "\n"), func(l string) bool {
		return strings.Contains(l, "_bucket{") && !strings.Contains(l, `le="0.1"`) && !strings.Contains(l, `le="0.5"`)
	})
	return strings.Join(lines, "")
}

// The whole exposition after a little of everything.
func TestExposition(t *testing.T) {
	got := make(map[string]string)
	for name, isNew := range map[string]bool{"new": true, "old": false} {
		run(t, isNew, func(s *stage) {
			s.dial("hello")
			s.dial("hello").Close(weft.StatusNormalClosure, "")
			s.dial("bye")
			s.dial("more than ten")
			s.dial("hello").CloseNow()
			s.refused("https://evil.example")
			ctx, cancel := context.WithTimeout(s.ctx, rtt/2)
			defer cancel()
			if _, _, err := s.dialer.Dial(ctx, "wss://example.org/", nil); err == nil {
				s.t.Error("Dial of a host that is not there worked")
			}
			time.Sleep(time.Second)
			got[name] = s.text()
			if text := s.text(); text != got[name] {
				s.t.Errorf("asked again, the same WebSockets are\n%s\nthey were\n%s", text, got[name])
			}
			problems, err := promlint.New(strings.NewReader(got[name])).Lint()
			if err != nil {
				s.t.Fatal(err)
			}
			for _, p := range problems {
				s.t.Errorf("%s: %s", p.Metric, p.Text)
			}
			s.conns[0].CloseNow()
		})
	}
	transcript.Run(t, "testdata/*.txt", func(int) transcript.Step {
		return func(t testing.TB, d *datadriven.TestData) string {
			if got[d.CmdArgs[0].Key] == "" {
				t.Fatalf("%s: not \"scrape new\" or \"scrape old\"", d.Pos)
			}
			return brief(got[d.CmdArgs[0].Key])
		}
	})
}

// What open WebSockets have carried is counted while they are open, once, and stays when they have gone.
func TestCountersGrow(t *testing.T) {
	run(t, true, func(s *stage) {
		want := func(when string, lines ...string) {
			s.t.Helper()
			text := s.text()
			for _, l := range lines {
				if !strings.Contains(text, l+"\n") {
					s.t.Errorf("%s: no %s in\n%s", when, l, text)
				}
			}
		}
		const open, in = `weft_websockets_open{side="server",version="HTTP/2.0"} `, `weft_messages_total{direction="in",side="server",version="HTTP/2.0"} `
		c := s.dial("hello")
		want("one is open", open+"1", in+"1")
		s.dial("hello")
		want("two are open", open+"2", in+"2")
		c.Write(s.ctx, weft.MessageText, []byte("hello"))
		c.Close(weft.StatusNormalClosure, "")
		time.Sleep(time.Second)
		want("one has gone", open+"1", in+"3", `weft_message_bytes_total{direction="in",side="server",version="HTTP/2.0"} 15`)
		s.conns[1].CloseNow()
		time.Sleep(time.Second)
		want("all have gone", open+"0", in+"3")
	})
}

// What peers send cannot make more label values than there are.
func TestLabelsAreFinite(t *testing.T) {
	m := metrics.New()
	r := prometheus.NewPedanticRegistry()
	r.MustRegister(m)
	o := m.Observer()
	for code := range weft.StatusCode(1 << 13) {
		o.Closed(weft.Closed{Side: "server", By: "peer", Received: code, Reset: "code " + code.String()})
		o.Refused(context.Background(), weft.Refusal{Version: "HTTP/1." + code.String(), Err: &weft.HandshakeError{Name: "not-get"}})
	}
	families, err := r.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if n := len(f.GetMetric()); n > 20 {
			t.Errorf("%s has %d label values", f.GetName(), n)
		}
	}
}

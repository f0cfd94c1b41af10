package weft_test

import (
	"maps"
	"os"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/net/http2"

	"github.com/weftws/weft"
	"github.com/weftws/weft/metrics"
)

// checkMetrics checks that Prometheus is told of the same attacks as the Observer, under names that docs/troubleshooting.md explains. Every attack
// ends with it.
func (a *arena) checkMetrics() {
	a.Helper()
	var counts, limits, gotCounts, gotLimits map[string]int
	same := false
	a.await("the same count from Prometheus", func() bool {
		a.mu.Lock()
		counts, limits = maps.Clone(a.counts), maps.Clone(a.limits)
		a.mu.Unlock()
		gotCounts, gotLimits = a.scrape()
		same = maps.Equal(counts, gotCounts) && maps.Equal(limits, gotLimits)
		return same
	})
	if !same {
		a.Errorf("the Observer counted %v, of them limits %v, Prometheus %v and %v", counts, limits, gotCounts, gotLimits)
	}
	text, err := os.ReadFile("docs/troubleshooting.md")
	if err != nil {
		a.Fatal(err)
	}
	for what := range counts {
		if _, name, _ := strings.Cut(what, "/"); !strings.Contains(string(text), "`"+name+"`") {
			a.Errorf("docs/troubleshooting.md does not name %s", name)
		}
	}
}

// scrape returns what Prometheus gets, by the same names as arena.counts and arena.limits.
func (a *arena) scrape() (counts, limits map[string]int) { return scrape(a.T, a.metrics) }

func scrape(t *testing.T, c *metrics.Collector) (counts, limits map[string]int) {
	registry := prometheus.NewRegistry()
	registry.MustRegister(c)
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	counts, limits = make(map[string]int), make(map[string]int)
	for _, f := range families {
		for _, m := range f.GetMetric() {
			n := int(m.GetCounter().GetValue())
			label := make(map[string]string)
			for _, l := range m.GetLabel() {
				label[l.GetName()] = l.GetValue()
			}
			switch f.GetName() {
			case "weft_limits_exceeded_total":
				counts[label["protocol"]+"/"+label["limit"]] += n
				limits[label["protocol"]+"/"+label["limit"]] += n
			case "weft_violations_total":
				counts[label["protocol"]+"/"+label["rule"]] += n
			case "weft_handshakes_refused_total":
				counts["refused/"+label["rule"]] += n
			}
		}
	}
	return counts, limits
}

// One attack of each family, and the metrics that show it.
func TestAttacksAreCounted(t *testing.T) {
	for _, attack := range []struct {
		name, metric string
		limit        bool
		mod          func(*weft.Server)
		mount        func(a *arena)
	}{
		{name: "resets", metric: "http2/too-many-resets", limit: true, mount: func(a *arena) {
			x := a.attackH2(false)
			for range 1200 {
				x.fr.WriteRawFrame(http2.FrameWindowUpdate, 0, x.get("/", false), []byte{0, 0, 0, 0})
			}
			x.flush()
		}},
		{name: "frames that break a rule", metric: "http2/stream-increment-zero", mount: func(a *arena) {
			x := a.attackH2(false)
			x.fr.WriteRawFrame(http2.FrameWindowUpdate, 0, x.get("/", false), []byte{0, 0, 0, 0})
			x.flush()
		}},
		{name: "a header bomb", metric: "http2/header-list-too-large", limit: true, mount: func(a *arena) {
			x := a.attackH2(false)
			fields := []string{":method: GET", ":scheme: https", ":path: /", ":authority: localhost"}
			for range 300 {
				fields = append(fields, "cookie: a=b")
			}
			x.request(true, fields...)
			x.flush()
		}},
		{name: "a broken WebSocket", metric: "websocket/unmasked-frame", mount: func(a *arena) {
			a.attackWS(false, false).flood(one(text("x").unlikeSide()), 1)
		}},
		{name: "a flood of a WebSocket's", metric: "websocket/control-flood", limit: true, mount: func(a *arena) {
			a.attackWS(true, false).flood(one(ping("")), 5000)
		}},
		{name: "another origin", metric: "refused/foreign-origin", mount: func(a *arena) {
			x := a.attackH2(false)
			x.open("/ws", "origin: https://evil.example")
			x.flush()
		}},
		{name: "another :protocol", metric: "refused/unknown-protocol", mount: func(a *arena) {
			x := a.attackH2(false)
			x.request(false, ":method: CONNECT", ":protocol: connect-udp", ":scheme: https", ":path: /ws", ":authority: localhost")
			x.flush()
		}},
		{name: "one address", metric: "tcp/too-many-handshakes", limit: true, mod: limitPerIP(weft.IPLimits{Handshakes: 1}), mount: func(a *arena) {
			a.connectTCP(foreign)
			a.connectTCP(foreign)
		}},
		{name: "one address over QUIC", metric: "quic/too-many-connections", limit: true, mod: limitPerIP(weft.IPLimits{Connections: 1}), mount: func(a *arena) {
			a.dialQUIC(foreign)
			a.await("the connection", func() bool { return weft.ConnectionsPerIP(a.server) == 1 })
			a.dialQUIC(foreign)
		}},
		{name: "too many WebSockets", metric: "refused/too-many-websockets", mod: limitPerIP(weft.IPLimits{WebSockets: 1}), mount: func(a *arena) {
			q := a.attackH3From(foreign)
			for range 2 {
				if status := askH3(a.T, q, "/ws"); status != "200" && status != "429" {
					a.Errorf("status %s", status)
				}
			}
		}},
	} {
		t.Run(attack.name, func(t *testing.T) {
			a := newArena(t, true, attack.mod)
			attack.mount(a)
			a.await(attack.metric, func() bool {
				counts, limits := a.scrape()
				return counts[attack.metric] > 0 && (limits[attack.metric] > 0) == attack.limit
			})
		})
	}
}

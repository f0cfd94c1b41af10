package h3

import (
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/quic-go/quic-go"
)

func TestParsePriority(t *testing.T) {
	for value, want := range map[string]priority{
		"":                        {3, false},
		"u=0":                     {0, false},
		"u=7, i":                  {7, true},
		"i":                       {3, true},
		"i=?0":                    {3, false},
		"i, i=?0":                 {3, false},
		" u=1 ,\ti=?1 ":           {1, true},
		"u=5;a=1, b=2":            {5, false},
		`x="a, u=1\", u=2", u=4`:  {4, false},
		"u=8":                     {3, false},
		"u=-1":                    {3, false},
		"u=1.0":                   {3, false},
		"i=1":                     {3, false},
		"u=1, =":                  {3, false},
		"u=1,, i":                 {3, false},
		`u=1, x="`:                {3, false},
		"u=1, u=6":                {6, false},
		strings.Repeat("a,", 999): {3, false},
	} {
		if got := parsePriority(value); got != want {
			t.Errorf("%q: %+v, want %+v", value, got, want)
		}
	}
}

// What is more urgent comes first, whoever says so; what is as urgent comes in order or in turns.
func TestPriorities(t *testing.T) {
	update := func(id byte, value string) []byte { return frameOf(framePriorityRequest, string([]byte{id})+value) }
	for name, c := range map[string]struct {
		before, after []byte // on the control stream, before and after the requests
		first, second []string
		want          string // which response ends first
	}{
		"nothing said":               {want: "turns"},
		"by the header":              {first: []string{"priority", "u=5"}, second: []string{"priority", "u=1"}, want: "second"},
		"as urgent":                  {first: []string{"priority", "u=1"}, second: []string{"priority", "u=1"}, want: "first"},
		"as urgent, incremental":     {first: []string{"priority", "u=1, i"}, second: []string{"priority", "u=1, i"}, want: "turns"},
		"the default":                {first: []string{"priority", "u=4"}, want: "second"},
		"by PRIORITY_UPDATE":         {after: update(0, "u=6"), want: "second"},
		"before the requests":        {before: update(0, "u=6"), want: "second"},
		"it outdoes the header":      {before: update(4, "u=7"), second: []string{"priority", "u=0"}, want: "first"},
		"the last one counts":        {before: join(update(0, "u=6"), update(0, "u=1")), want: "first"},
		"of streams that never come": {before: join(update(60, "u=0"), update(0, "u=5")), want: "second"},
	} {
		t.Run(name, func(t *testing.T) {
			const size = 1 << 20
			var start chan struct{}
			handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				<-start
				w.Write(make([]byte, size))
			})
			inFakeTime(t, &Server{}, handler, func(t *testing.T, fx *fixture) {
				start = make(chan struct{})
				q := fx.rawDial(&quic.Config{InitialStreamReceiveWindow: 4 << 20, InitialConnectionReceiveWindow: 16 << 20})
				control := q.uni(controlStream(frameOf(frameSettings, ""), c.before))
				pass(time.Second)
				var mu sync.Mutex
				var order []string
				var at []time.Duration
				var wg sync.WaitGroup
				begun := time.Now()
				for _, r := range []struct {
					name   string
					fields []string
				}{{"first", c.first}, {"second", c.second}} {
					s := q.request(requestOf("GET", r.fields...))
					s.Close()
					wg.Go(func() {
						io.Copy(io.Discard, s)
						mu.Lock()
						defer mu.Unlock()
						order, at = append(order, r.name), append(at, time.Since(begun))
					})
				}
				pass(time.Second)
				control.Write(c.after)
				pass(time.Second)
				close(start)
				wg.Wait()
				got := order[0]
				if at[1]-at[0] < 10*time.Millisecond { // the last packets
					got = "turns"
				}
				if got != c.want {
					t.Errorf("%v after %v, want %s", order, at, c.want)
				}
			})
		})
	}
}

// What is kept of priorities is bounded, and goes with the streams.
func TestPrioritiesAreBounded(t *testing.T) {
	inFakeTime(t, &Server{}, http.NotFoundHandler(), func(t *testing.T, fx *fixture) {
		q := fx.rawDial(nil)
		var updates []byte
		for id := range 200 {
			updates = append(updates, frameOf(framePriorityRequest, string([]byte{0x40 | byte(id>>6), byte(id << 2)})+"u=1")...)
		}
		q.uni(controlStream(frameOf(frameSettings, ""), updates))
		pass(time.Second)
		for range 10 {
			if status := fx.ask(q.Conn, requestOf("GET")); status != 404 {
				t.Fatalf("status %d", status)
			}
		}
		pass(time.Second)
		for sc := range fx.srv.conns {
			sc.mu.Lock()
			if len(sc.ahead) != maxAheadPriorities-10 || len(sc.live) != 0 {
				t.Errorf("%d priorities, %d streams are kept", len(sc.ahead), len(sc.live))
			}
			sc.mu.Unlock()
		}
	})
}

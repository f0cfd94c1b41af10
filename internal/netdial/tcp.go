package netdial

import (
	"context"
	"fmt"
	"net"
	"net/http/httptrace"
	"strings"
	"sync"
	"time"

	"github.com/weftws/weft/negotiate"
)

// tcp resolves addr and connects. Names with several addresses are raced by net.Dialer (RFC 8305).
func (a *attempt) tcp(ctx context.Context, addr string) (net.Conn, error) {
	dial := a.d.NetDial
	if dial == nil {
		dial = new(net.Dialer).DialContext
	}
	w := &watcher{start: time.Now()}
	nc, err := dial(w.watch(ctx), "tcp", addr)
	resolved, connecting, refused := w.end()

	var failed *Error
	if err != nil {
		failed = fail(ctx, tcpStep(err), addr, "connecting to "+addr, err)
	}
	if resolved != nil {
		a.report(*resolved)
		if failed != nil && failed.Step == negotiate.StepResolve {
			return nil, failed
		}
	}
	if failed != nil {
		a.step(failed.Step, connecting, refused, failed)
		return nil, failed
	}
	a.roundTrips++
	a.step(negotiate.StepTCP, connecting, strings.TrimSuffix(nc.RemoteAddr().String()+"; "+refused, "; "), nil)
	return nc, nil
}

// A watcher sees what net.Dialer does for one dial. Its hooks may be called at the same time, and after the dial is over.
type watcher struct {
	mu         sync.Mutex
	over       bool
	start      time.Time
	resolving  time.Time
	resolved   *Step
	connecting time.Time
	refused    []string
}

func (w *watcher) watch(ctx context.Context) context.Context {
	return httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		DNSStart: func(httptrace.DNSStartInfo) {
			w.note(func() { w.resolving = time.Now() })
		},
		DNSDone: func(info httptrace.DNSDoneInfo) {
			w.note(func() {
				var addrs []string
				for _, ip := range info.Addrs {
					addrs = append(addrs, ip.String())
				}
				w.resolved = &Step{
					Name: negotiate.StepResolve, Start: w.resolving, End: time.Now(), Detail: strings.Join(addrs, ", "), Err: info.Err,
				}
			})
		},
		ConnectStart: func(_, _ string) {
			w.note(func() {
				if w.connecting.IsZero() {
					w.connecting = time.Now()
				}
			})
		},
		ConnectDone: func(_, addr string, err error) {
			if err != nil {
				w.note(func() { w.refused = append(w.refused, fmt.Sprintf("%s: %v", addr, err)) })
			}
		},
	})
}

func (w *watcher) note(f func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.over {
		f()
	}
}

// end returns the resolve step, if one was seen, when connecting began, and what became of addresses that failed.
func (w *watcher) end() (resolved *Step, connecting time.Time, refused string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.over = true
	if w.connecting.IsZero() {
		w.connecting = w.start
	}
	return w.resolved, w.connecting, strings.Join(w.refused, "; ")
}

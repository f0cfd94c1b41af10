package weft

import (
	"context"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/weftws/weft/negotiate"
	"github.com/weftws/weft/resolver"
)

// An HTTPSResolver looks up HTTPS records, in which an origin says that it speaks HTTP/3, and where, before anybody has connected
// to it (RFC 9460). A *resolver.Resolver is one; LookupHTTPS is as documented there.
type HTTPSResolver interface {
	LookupHTTPS(ctx context.Context, host, port string) ([]resolver.HTTPS, error)
}

// hintTime is what a dial waits for HTTPS records: as long as RFC 8305, Section 3, waits for the second of two answers.
const hintTime = 50 * time.Millisecond

// hintLookupTime bounds a lookup, which goes on for the next dial's sake.
const hintLookupTime = 5 * time.Second

// lookUpHints asks for HTTPS records, and waits a little.
func (r *race) lookUpHints() {
	if r.d.HTTPSResolver == nil || !r.key.secure || r.proxy != nil || !r.policy.Allows(negotiate.H3) {
		return
	}
	if live, _ := r.d.pool.facts(r.key); len(live) > 0 {
		return
	}
	host, port, _ := net.SplitHostPort(r.key.addr)
	found := make(chan []negotiate.Alternative, 1)
	go func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(r.ctx), hintLookupTime)
		defer cancel()
		records, err := r.d.HTTPSResolver.LookupHTTPS(ctx, host, port)
		if err != nil {
			records = nil
		}
		found <- hintsOf(records, host, port)
	}()
	wait := time.NewTimer(hintTime)
	defer wait.Stop()
	select {
	case r.hints = <-found:
		if len(r.hints) > 0 {
			r.event(0, "https-record", formatHints(r.hints))
		}
	case <-wait.C:
		r.event(0, "https-record", "no answer within "+hintTime.String())
	case <-r.ctx.Done():
	}
}

func formatHints(hints []negotiate.Alternative) string {
	var list []string
	for _, h := range hints {
		list = append(list, h.String())
	}
	return strings.Join(list, " ")
}

// hintsOf are the places that records name for HTTP/3.
func hintsOf(records []resolver.HTTPS, host, port string) (hints []negotiate.Alternative) {
	for _, rec := range records {
		if rec.Priority == 0 || !slices.Contains(rec.ALPN, "h3") {
			continue
		}
		alt := negotiate.Alternative{ALPN: "h3", Host: host, Port: port, Hint: true}
		if target := strings.TrimSuffix(rec.Target, "."); target != "" {
			alt.Host = target
		}
		if rec.Port != 0 {
			alt.Port = strconv.Itoa(int(rec.Port))
		}
		hints = append(hints, alt)
	}
	return hints
}

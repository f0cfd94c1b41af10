package websocket

import (
	"context"
	"math"
	"net"
	"net/http"
	"net/url"
	"reflect"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"weak"

	"github.com/weftws/weft"
	"github.com/weftws/weft/internal/memory"
)

// under returns the weft.Dialer that carries d's WebSockets, and the URL to dial with it.
func (d *Dialer) under(u *url.URL) (*weft.Dialer, *url.URL) {
	target := *u
	target.Scheme = map[string]string{"http": "ws", "https": "wss"}[u.Scheme]
	if u.Scheme == "https" && d.NetDialTLSContext != nil {
		return d.overTLS(&target)
	}
	now := *d
	key := weak.Make(d)
	if v, ok := carriers.Load(key); ok && v.(*carrier).adopt(&now) {
		return v.(*carrier).dialer, &target
	}
	made := newCarrier(&now)
	v, loaded := carriers.LoadOrStore(key, made)
	switch old := v.(*carrier); {
	case !loaded:
		runtime.AddCleanup(d, func(k weak.Pointer[Dialer]) { carriers.Delete(k) }, key)
	case old.adopt(&now): // somebody else's Dial was first
		made = old
	default:
		carriers.Store(key, made)
		old.dialer.CloseIdleConnections()
	}
	return made.dialer, &target
}

// carriers has the HTTP/2 connections of each Dialer. They are not in the Dialer itself because it may be copied.
//
// Invariant: keys are weak.Pointer[Dialer], values *carrier.
var carriers sync.Map

// found is what all Dialers have found out about servers: many programs make one for each Dial.
var found = memory.NewMap(0)

// A carrier is a weft.Dialer and the Dialer that it is for, as it was at its latest Dial.
type carrier struct {
	dialer *weft.Dialer
	of     atomic.Pointer[Dialer]
}

func newCarrier(of *Dialer) *carrier {
	c := &carrier{dialer: &weft.Dialer{
		TLSConfig: of.TLSClientConfig, Memory: found,
		HandshakeTimeout: math.MaxInt64, // DialContext has set it
	}}
	c.of.Store(of)
	c.dialer.Proxy = func(r *http.Request) (*url.URL, error) { return c.of.Load().proxy(r) }
	c.dialer.NetDial = func(ctx context.Context, network, addr string) (net.Conn, error) {
		return c.of.Load().netDial(ctx, network, addr)
	}
	if t := of.TLSClientConfig; t != nil && len(t.NextProtos) > 0 && !slices.Contains(t.NextProtos, "h2") {
		c.dialer.Policy.Rungs = []weft.Rung{weft.Upgrade}
	}
	return c
}

// adopt makes now the Dialer that c is for, and reports whether the connections that c has still fit.
//
// Choice: another way of making connections may reuse those that are there if it is the same code: closures cannot be told apart.
func (c *carrier) adopt(now *Dialer) bool {
	of := c.of.Load()
	if of.TLSClientConfig != now.TLSClientConfig || !isSameCode(of.NetDial, now.NetDial) || !isSameCode(of.NetDialContext, now.NetDialContext) {
		return false
	}
	c.of.Store(now)
	return true
}

func isSameCode(a, b any) bool { return reflect.ValueOf(a).Pointer() == reflect.ValueOf(b).Pointer() }

func (d *Dialer) proxy(r *http.Request) (*url.URL, error) {
	if d.Proxy == nil {
		return nil, nil
	}
	return d.Proxy(r)
}

func (d *Dialer) netDial(ctx context.Context, network, addr string) (net.Conn, error) {
	switch {
	case d.NetDialContext != nil:
		return d.NetDialContext(ctx, network, addr)
	case d.NetDial != nil:
		return d.NetDial(network, addr)
	}
	return new(net.Dialer).DialContext(ctx, network, addr)
}

// overTLS is under for connections that come with TLS: to weft they are plain.
func (d *Dialer) overTLS(target *url.URL) (*weft.Dialer, *url.URL) {
	proxy := d.proxy
	dialer := &weft.Dialer{
		NetDial: d.NetDialTLSContext, Policy: weft.Policy{Rungs: []weft.Rung{weft.Upgrade}}, HandshakeTimeout: math.MaxInt64,
		Proxy: func(r *http.Request) (*url.URL, error) {
			secure := *r
			secure.URL = &url.URL{Scheme: "https", Host: target.Host, Path: r.URL.Path, RawQuery: r.URL.RawQuery}
			return proxy(&secure)
		},
	}
	plain := *target
	plain.Scheme = "ws"
	if plain.Port() == "" {
		plain.Host = net.JoinHostPort(plain.Hostname(), "443")
	}
	return dialer, &plain
}

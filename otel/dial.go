package weftotel

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"

	"github.com/weftws/weft"
	"github.com/weftws/weft/negotiate"
)

// A dial is a Dial under way, in its context.
type dial struct {
	span   trace.Span
	parent context.Context
}

type dialKey struct{}

func dialFrom(ctx context.Context) *dial {
	d, _ := ctx.Value(dialKey{}).(*dial)
	return d
}

func (o *observer) dialStart(ctx context.Context, target string, header http.Header) context.Context {
	d := &dial{parent: ctx}
	ctx, d.span = o.tracer.Start(ctx, "websocket dial", trace.WithSpanKind(trace.SpanKindClient), trace.WithAttributes(urlAttributes(target)...))
	o.propagator.Inject(ctx, propagation.HeaderCarrier(header))
	return context.WithValue(ctx, dialKey{}, d)
}

func (o *observer) dialDone(ctx context.Context, r weft.DialReport) {
	d := dialFrom(ctx)
	if d == nil || !d.span.IsRecording() {
		return
	}
	span, end := d.span, r.Start.Add(r.Duration)
	ctx = trace.ContextWithSpan(ctx, span)
	for _, a := range r.Trace.Attempts {
		o.attempt(ctx, r, a)
	}
	span.SetAttributes(attribute.String("weft.verdict", r.Verdict), attribute.Int("weft.round_trips", r.Trace.RoundTrips))
	if r.Err == nil {
		span.SetAttributes(networkAttributes(r.Trace)...)
		span.SetAttributes(attribute.String("weft.rung", string(r.Trace.Rung)), attribute.Bool("weft.reused", r.Trace.Reused))
	} else {
		span.SetAttributes(semconv.ErrorTypeKey.String(r.Verdict))
		if he, ok := errors.AsType[*weft.HandshakeError](r.Err); ok && he.StatusCode != 0 {
			span.SetAttributes(semconv.HTTPResponseStatusCode(he.StatusCode))
		}
		span.SetStatus(codes.Error, reason(r))
	}
	span.End(trace.WithTimestamp(end))
}

// reason is the error without the URL's query.
func reason(r weft.DialReport) string {
	if e, ok := errors.AsType[*weft.DialError](r.Err); ok {
		return e.Err.Error()
	}
	return r.Verdict
}

// attempt makes the span of one attempt of r, which is over.
func (o *observer) attempt(ctx context.Context, r weft.DialReport, a weft.Attempt) {
	var start, end time.Duration // since the Dial began
	for i, s := range a.Steps {
		if i == 0 || s.Start < start {
			start = s.Start
		}
		end = max(end, s.Start+s.Duration)
	}
	attrs := []attribute.KeyValue{
		attribute.Int("weft.attempt", a.ID), attribute.String("weft.rung", string(a.Rung)), attribute.String("weft.verdict", a.Verdict),
	}
	if a.ALPN != "" {
		attrs = append(attrs, semconv.TLSNextProtocol(a.ALPN))
	}
	attrs = append(attrs, addressAttributes(a.Addr, semconv.ServerAddressKey, semconv.ServerPortKey)...)
	_, span := o.tracer.Start(ctx, "websocket attempt", trace.WithTimestamp(r.Start.Add(start)), trace.WithAttributes(attrs...))
	for _, s := range a.Steps {
		span.AddEvent(s.Name, trace.WithTimestamp(r.Start.Add(s.Start+s.Duration)), trace.WithAttributes(
			attribute.Float64("weft.step.duration", s.Duration.Seconds()), attribute.String("weft.step.detail", s.Detail),
		))
	}
	if a.Verdict != negotiate.VerdictOpen && a.Verdict != negotiate.VerdictUnused {
		span.SetAttributes(semconv.ErrorTypeKey.String(a.Verdict))
		span.SetStatus(codes.Error, a.Reason)
	}
	span.End(trace.WithTimestamp(r.Start.Add(end)))
}

// connAttributes are those of an open WebSocket.
func connAttributes(target string, t weft.Trace) []attribute.KeyValue {
	attrs := networkAttributes(t)
	if t.URL != "" {
		return append(attrs, urlAttributes(target)...)
	}
	return append(attrs, semconv.URLPath(target))
}

func networkAttributes(t weft.Trace) []attribute.KeyValue {
	version := map[string]string{"HTTP/1.1": "1.1", "HTTP/2.0": "2", "HTTP/3.0": "3"}[t.Version]
	attrs := []attribute.KeyValue{semconv.NetworkProtocolName("http"), semconv.NetworkProtocolVersion(version)}
	return append(attrs, addressAttributes(t.RemoteAddr, semconv.NetworkPeerAddressKey, semconv.NetworkPeerPortKey)...)
}

// urlAttributes take a URL without query.
func urlAttributes(target string) []attribute.KeyValue {
	attrs := []attribute.KeyValue{semconv.URLFull(target)}
	u, err := url.Parse(target)
	if err != nil {
		return attrs
	}
	host := u.Host
	if u.Port() == "" {
		host += map[string]string{"ws": ":80", "wss": ":443"}[u.Scheme]
	}
	return append(attrs, addressAttributes(host, semconv.ServerAddressKey, semconv.ServerPortKey)...)
}

func addressAttributes(hostPort string, address, port attribute.Key) []attribute.KeyValue {
	u := url.URL{Host: hostPort}
	if u.Hostname() == "" {
		return nil
	}
	attrs := []attribute.KeyValue{address.String(u.Hostname())}
	if n, err := strconv.Atoi(u.Port()); err == nil {
		attrs = append(attrs, port.Int(n))
	}
	return attrs
}

// errorType says what was wrong with the end of a WebSocket; "": nothing.
func errorType(e weft.Closed) string {
	if v, ok := errors.AsType[*weft.ProtocolError](e.Err); ok {
		return v.Name
	}
	switch {
	case e.Reset != "":
		return e.Reset
	case e.By == "network":
		return "network"
	}
	return ""
}

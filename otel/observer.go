package weftotel

import (
	"context"
	"net/http"
	"sync"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"

	"github.com/weftws/weft"
)

// Options say where spans go. The zero value: the global TracerProvider and propagator.
type Options struct {
	TracerProvider trace.TracerProvider
	Propagator     propagation.TextMapPropagator
}

func (o *Options) tracer() trace.Tracer {
	p := otel.GetTracerProvider()
	if o != nil && o.TracerProvider != nil {
		p = o.TracerProvider
	}
	return p.Tracer("github.com/weftws/weft/otel", trace.WithSchemaURL(semconv.SchemaURL))
}

func (o *Options) propagator() propagation.TextMapPropagator {
	if o != nil && o.Propagator != nil {
		return o.Propagator
	}
	return otel.GetTextMapPropagator()
}

// Observer returns what a weft.Dialer, weft.ServerOptions or weft.AcceptOptions is to be given, alone or joined with others; opts may be nil.
func Observer(opts *Options) *weft.Observer {
	o := &observer{tracer: opts.tracer(), propagator: opts.propagator(), open: make(map[*weft.Conn]trace.Span)}
	return &weft.Observer{
		DialStart: o.dialStart,
		DialDone:  o.dialDone,
		Opened:    o.opened,
		Refused:   refused,
		Closed:    o.closed,
		Violation: o.violation,
	}
}

// Handler lets the spans of next's WebSockets continue the traces that requests name in their header, as otelhttp does, which it is not
// needed beside. opts may be nil.
func Handler(next http.Handler, opts *Options) http.Handler {
	p := opts.propagator()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		next.ServeHTTP(w, r.WithContext(p.Extract(r.Context(), propagation.HeaderCarrier(r.Header))))
	})
}

type observer struct {
	tracer     trace.Tracer
	propagator propagation.TextMapPropagator

	mu   sync.Mutex
	open map[*weft.Conn]trace.Span
}

// opened begins the span of a WebSocket.
func (o *observer) opened(ctx context.Context, e weft.Opened) {
	var opts []trace.SpanStartOption
	if d := dialFrom(ctx); d != nil {
		// The Dial is over: what it was part of is the parent.
		ctx = d.parent
		opts = append(opts, trace.WithLinks(trace.Link{SpanContext: d.span.SpanContext()}))
	}
	_, span := o.tracer.Start(ctx, "websocket", opts...)
	if !span.IsRecording() {
		return
	}
	t := e.Conn.Trace()
	attrs := append(connAttributes(e.Target, t), attribute.String("weft.side", e.Side))
	if t.Subprotocol != "" {
		attrs = append(attrs, attribute.String("weft.subprotocol", t.Subprotocol))
	}
	if t.Compression != "" {
		attrs = append(attrs, attribute.String("weft.compression", t.Compression))
	}
	span.SetAttributes(attrs...)
	o.mu.Lock()
	defer o.mu.Unlock()
	o.open[e.Conn] = span
}

// closed ends it.
func (o *observer) closed(e weft.Closed) {
	o.mu.Lock()
	span := o.open[e.Conn]
	delete(o.open, e.Conn)
	o.mu.Unlock()
	if span == nil {
		return
	}
	if e.By != "" {
		span.SetAttributes(
			attribute.String("weft.close.by", e.By),
			attribute.Int("weft.close.code", int(e.Code())),
			attribute.Int64("weft.messages.in", e.Stats.MessagesIn),
			attribute.Int64("weft.messages.out", e.Stats.MessagesOut),
			attribute.Int64("weft.message_bytes.in", e.Stats.BytesIn),
			attribute.Int64("weft.message_bytes.out", e.Stats.BytesOut),
		)
	}
	if kind := errorType(e); kind != "" {
		span.SetAttributes(semconv.ErrorTypeKey.String(kind))
		span.SetStatus(codes.Error, e.Err.Error())
	}
	span.End(trace.WithTimestamp(e.Start.Add(e.Duration)))
}

func (o *observer) violation(v weft.Violation) {
	o.mu.Lock()
	span := o.open[v.Conn]
	o.mu.Unlock()
	if span != nil {
		span.AddEvent("violation", trace.WithAttributes(
			attribute.String("weft.violation.side", v.Side),
			attribute.String("weft.violation.name", v.Name),
			attribute.Bool("weft.violation.limit", v.Limit),
			attribute.String("weft.violation.section", v.Section),
		))
	}
}

// refused notes the refusal on the request's span, if somebody made one.
func refused(ctx context.Context, r weft.Refusal) {
	trace.SpanFromContext(ctx).AddEvent("websocket refused", trace.WithAttributes(
		attribute.String("weft.rule", r.Err.Name),
		semconv.HTTPResponseStatusCode(r.Err.StatusCode),
	))
}

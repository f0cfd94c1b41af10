package weftotel_test

import (
	"cmp"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"log"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	"github.com/weftws/weft"
	"github.com/weftws/weft/internal/simnet"
	weftotel "github.com/weftws/weft/otel"
)

const rtt = 100 * time.Millisecond

// run opens a WebSocket in a span "caller", lets the server echo a message of five bytes, and calls end. It returns all spans.
func run(t *testing.T, isNew bool, policy weft.Policy, header http.Header, end func(context.Context, *weft.Conn)) (spans tracetest.SpanStubs) {
	t.Helper()
	simnet.Run(t, rtt, func(t *testing.T, n *simnet.Network) {
		exporter := tracetest.NewInMemoryExporter()
		provider := sdktrace.NewTracerProvider(sdktrace.WithSyncer(exporter))
		opts := &weftotel.Options{TracerProvider: provider, Propagator: propagation.TraceContext{}}
		cert, roots := simnet.Certificate("example.com")
		n.AddHost("example.com", "10.0.0.2")
		server := &weft.Server{
			Handler:   weftotel.Handler(http.HandlerFunc(echo), opts),
			TLSConfig: &tls.Config{Certificates: []tls.Certificate{cert}},
			Options:   weft.ServerOptions{Observer: weftotel.Observer(opts), DisableConnectProtocol: !isNew},
			ErrorLog:  log.New(io.Discard, "", 0),
		}
		l := n.Listen("10.0.0.2:443")
		served := make(chan error)
		go func() { served <- server.ServeTLS(l, "", "") }()
		dialer := &weft.Dialer{Policy: policy, TLSConfig: &tls.Config{RootCAs: roots}, NetDial: n.DialContext, Observer: weftotel.Observer(opts)}
		t.Cleanup(func() {
			dialer.Close()
			server.Close()
			<-served
		})
		ctx, caller := provider.Tracer("test").Start(t.Context(), "caller")
		c, res, err := dialer.Dial(ctx, "wss://example.com/chat?token=secret", &weft.DialOptions{HTTPHeader: header})
		caller.End()
		if err == nil {
			c.Write(t.Context(), weft.MessageText, []byte("hello"))
			c.Read(t.Context())
			end(t.Context(), c)
		} else if res != nil {
			res.Body.Close()
		}
		time.Sleep(time.Second)
		spans = exporter.GetSpans()
	})
	return spans
}

func echo(w http.ResponseWriter, r *http.Request) {
	if c, err := weft.Accept(w, r, nil); err == nil {
		c.Handle(weft.HandlerFuncs{Message: func(c *weft.Conn, typ weft.MessageType, p []byte) {
			c.Write(context.Background(), typ, p)
		}})
	}
}

// describe writes spans as a tree, with times since the first one began.
func describe(spans tracetest.SpanStubs) string {
	began := slices.MinFunc(spans, func(a, b tracetest.SpanStub) int { return a.StartTime.Compare(b.StartTime) }).StartTime
	var b strings.Builder
	var write func(parent trace.SpanID, indent string)
	write = func(parent trace.SpanID, indent string) {
		for _, s := range spans {
			if s.Parent.SpanID() != parent {
				continue
			}
			fmt.Fprintf(&b, "%s%s %v-%v %s", indent, s.Name, s.StartTime.Sub(began), s.EndTime.Sub(began), s.SpanKind)
			if s.Status.Description != "" {
				fmt.Fprintf(&b, " %s: %s", s.Status.Code, s.Status.Description)
			}
			b.WriteString("\n")
			for _, a := range s.Attributes {
				if a.Key != "network.peer.port" { // random
					fmt.Fprintf(&b, "%s  %s=%s\n", indent, a.Key, a.Value.String())
				}
			}
			slices.SortStableFunc(s.Events, func(a, b sdktrace.Event) int { // some happen at the same time
				return cmp.Or(a.Time.Compare(b.Time), strings.Compare(a.Name, b.Name))
			})
			for _, e := range s.Events {
				if e.Name == "response" && s.Status.Code == codes.Error {
					continue // it comes with the SETTINGS that make it meaningless, and may not be noticed
				}
				fmt.Fprintf(&b, "%s  * %s %v\n", indent, e.Name, e.Time.Sub(began))
			}
			for _, l := range s.Links {
				for _, to := range spans {
					if to.SpanContext.SpanID() == l.SpanContext.SpanID() {
						fmt.Fprintf(&b, "%s  -> %s\n", indent, to.Name)
					}
				}
			}
			write(s.SpanContext.SpanID(), indent+"  ")
		}
	}
	write(trace.SpanID{}, "")
	return b.String()
}

func wantSpans(t *testing.T, spans tracetest.SpanStubs, want string) {
	t.Helper()
	got := describe(spans)
	if got != want {
		t.Errorf("spans are\n%s\nwant\n%s", got, want)
	}
	if strings.Contains(got, "secret") {
		t.Error("the query is in the spans")
	}
	for _, s := range spans {
		if s.SpanContext.TraceID() != spans[0].SpanContext.TraceID() {
			t.Errorf("%s is in a trace of its own", s.Name)
		}
	}
}

// withoutSpare makes one connection.
var withoutSpare = weft.Policy{Spare: weft.Never}

// A WebSocket over HTTP/2: both sides are in the caller's trace.
func TestSpans(t *testing.T) {
	spans := run(t, true, withoutSpare, nil, func(_ context.Context, c *weft.Conn) {
		time.Sleep(10 * time.Second)
		c.Close(weft.StatusNormalClosure, "")
	})
	wantSpans(t, spans, `caller 0s-300ms internal
  websocket dial 0s-300ms client
    url.full=wss://example.com/chat
    server.address=example.com
    server.port=443
    weft.verdict=open
    weft.round_trips=3
    network.protocol.name=http
    network.protocol.version=2
    network.peer.address=10.0.0.2
    weft.rung=assume
    weft.reused=false
    websocket attempt 0s-300ms internal
      weft.attempt=1
      weft.rung=assume
      weft.verdict=open
      tls.next_protocol=h2
      server.address=example.com
      server.port=443
      * tcp 100ms
      * tls 200ms
      * response 300ms
      * settings 300ms
    websocket 250ms-10.45s internal
      network.protocol.name=http
      network.protocol.version=2
      network.peer.address=10.0.0.1
      url.path=/chat
      weft.side=server
      weft.close.by=peer
      weft.close.code=1000
      weft.messages.in=1
      weft.messages.out=1
      weft.message_bytes.in=5
      weft.message_bytes.out=5
  websocket 300ms-10.5s internal
    network.protocol.name=http
    network.protocol.version=2
    network.peer.address=10.0.0.2
    url.full=wss://example.com/chat
    server.address=example.com
    server.port=443
    weft.side=client
    weft.close.by=local
    weft.close.code=1000
    weft.messages.in=1
    weft.messages.out=1
    weft.message_bytes.in=5
    weft.message_bytes.out=5
    -> websocket dial
`)
}

// A server without WebSockets over HTTP/2: the attempt that failed is there, and the one that took its place.
func TestSpansOfFallback(t *testing.T) {
	spans := run(t, false, weft.Policy{}, nil, func(_ context.Context, c *weft.Conn) { c.CloseNow() })
	wantSpans(t, spans, `caller 0s-400ms internal
  websocket dial 0s-400ms client
    url.full=wss://example.com/chat
    server.address=example.com
    server.port=443
    weft.verdict=open
    weft.round_trips=4
    network.protocol.name=http
    network.protocol.version=1.1
    network.peer.address=10.0.0.2
    weft.rung=upgrade
    weft.reused=false
    websocket attempt 0s-300ms internal Error: server's SETTINGS do not have ENABLE_CONNECT_PROTOCOL = 1 (RFC 8441, Section 3)
      weft.attempt=1
      weft.rung=assume
      weft.verdict=version
      tls.next_protocol=h2
      server.address=example.com
      server.port=443
      error.type=version
      * tcp 100ms
      * tls 200ms
      * settings 300ms
    websocket attempt 100ms-400ms internal
      weft.attempt=2
      weft.rung=upgrade
      weft.verdict=open
      tls.next_protocol=http/1.1
      server.address=example.com
      server.port=443
      * tcp 200ms
      * tls 300ms
      * response 400ms
    websocket 350ms-550ms internal
      network.protocol.name=http
      network.protocol.version=1.1
      network.peer.address=10.0.0.1
      url.path=/chat
      weft.side=server
      weft.close.by=peer
      weft.close.code=1006
      weft.messages.in=1
      weft.messages.out=1
      weft.message_bytes.in=5
      weft.message_bytes.out=5
  websocket 400ms-500ms internal
    network.protocol.name=http
    network.protocol.version=1.1
    network.peer.address=10.0.0.2
    url.full=wss://example.com/chat
    server.address=example.com
    server.port=443
    weft.side=client
    weft.close.by=local
    weft.close.code=1006
    weft.messages.in=1
    weft.messages.out=1
    weft.message_bytes.in=5
    weft.message_bytes.out=5
    -> websocket dial
`)
}

// A Dial that is refused.
func TestSpansOfFailure(t *testing.T) {
	wantSpans(t, run(t, true, withoutSpare, http.Header{"Origin": {"https://evil.example"}}, nil), `caller 0s-300ms internal
  websocket dial 0s-300ms client Error: weft: server answered 403 Forbidden
    url.full=wss://example.com/chat
    server.address=example.com
    server.port=443
    weft.verdict=application
    weft.round_trips=3
    error.type=application
    http.response.status_code=403
    websocket attempt 0s-300ms internal Error: server answered 403 Forbidden
      weft.attempt=1
      weft.rung=assume
      weft.verdict=application
      tls.next_protocol=h2
      server.address=example.com
      server.port=443
      error.type=application
      * tcp 100ms
      * tls 200ms
      * settings 300ms
`)
}

// A violation is an event, and the end an error.
func TestSpansOfViolation(t *testing.T) {
	text := describe(run(t, true, withoutSpare, nil, func(ctx context.Context, c *weft.Conn) {
		c.SetReadLimit(3)
		c.Write(ctx, weft.MessageText, []byte("four"))
		c.Read(ctx)
	}))
	for _, want := range []string{"Error: weft: server sent", "error.type=message-too-big", "* violation", "weft.close.code=1009"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
}

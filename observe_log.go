package weft

import (
	"context"
	"errors"
	"log/slog"

	"github.com/weftws/weft/negotiate"
)

// LogObserver returns an Observer that writes records to l: Info for WebSockets that open and close, Warn for failed Dials, refused
// requests and violations, Debug for Dials that open. There are no header fields, queries or payloads in them; the reason in a Close frame
// is. l must not block for long.
func LogObserver(l *slog.Logger) *Observer {
	return &Observer{
		DialDone: func(ctx context.Context, d DialReport) { logDial(ctx, l, d) },
		Opened: func(ctx context.Context, o Opened) {
			if !l.Enabled(ctx, slog.LevelInfo) {
				return
			}
			t := o.Conn.Trace()
			attrs := append(connAttrs(o.Side, o.Target, t), slog.String("remote", t.RemoteAddr))
			attrs = appendSet(attrs, "rung", string(t.Rung), "subprotocol", t.Subprotocol, "compression", t.Compression)
			l.LogAttrs(ctx, slog.LevelInfo, "websocket opened", attrs...)
		},
		Refused: func(ctx context.Context, r Refusal) {
			// Not Err.Detail, which quotes header fields.
			l.LogAttrs(ctx, slog.LevelWarn, "websocket refused", appendSet([]slog.Attr{
				slog.String("target", r.Target), slog.String("version", r.Version), slog.String("remote", r.RemoteAddr),
				slog.String("rule", r.Err.Name), slog.Int("status", r.Err.StatusCode),
			}, "section", r.Err.Section)...)
		},
		Closed: func(c Closed) { logClosed(l, c) },
		Violation: func(v Violation) {
			kind := "rule"
			if v.Limit {
				kind = "limit"
			}
			l.LogAttrs(context.Background(), slog.LevelWarn, "violation by peer", slog.String("side", v.Side),
				slog.String("protocol", v.Protocol), slog.String(kind, v.Name), slog.String("section", v.Section),
				slog.String("detail", v.Detail), slog.String("remote", v.RemoteAddr))
		},
	}
}

func logDial(ctx context.Context, l *slog.Logger, d DialReport) {
	level, msg := slog.LevelDebug, "websocket dialed"
	if d.Err != nil {
		level, msg = slog.LevelWarn, "websocket dial failed"
		if d.Verdict == string(negotiate.CallerLeft) && errors.Is(d.Err, context.Canceled) {
			level = slog.LevelInfo // nobody wants it any more
		}
	}
	if !l.Enabled(ctx, level) {
		return
	}
	attrs := []slog.Attr{
		slog.String("target", d.URL), slog.String("verdict", d.Verdict), slog.Int("attempts", len(d.Trace.Attempts)),
		slog.Int("round_trips", d.Trace.RoundTrips), slog.Duration("duration", d.Duration),
	}
	attrs = appendSet(attrs, "rung", string(d.Trace.Rung))
	if he, ok := errors.AsType[*HandshakeError](d.Err); ok {
		if he.StatusCode != 0 {
			attrs = append(attrs, slog.Int("status", he.StatusCode))
		}
		attrs = appendSet(attrs, "rule", he.Name, "section", he.Section)
		if he.Section == "" { // else the detail quotes header fields
			attrs = append(attrs, slog.String("error", he.Detail))
		}
	} else if de, ok := errors.AsType[*DialError](d.Err); ok {
		attrs = append(attrs, slog.String("error", de.Err.Error())) // without the URL and its query
	}
	l.LogAttrs(ctx, level, msg, attrs...)
}

func logClosed(l *slog.Logger, c Closed) {
	ctx := context.Background()
	if !l.Enabled(ctx, slog.LevelInfo) {
		return
	}
	attrs := connAttrs(c.Side, c.Target, c.Conn.Trace())
	if c.By != "" {
		attrs = append(attrs, slog.String("by", c.By), slog.Int("code", int(c.Code())))
	}
	attrs = appendSet(attrs, "reason", c.Reason, "reset", c.Reset)
	attrs = append(attrs, slog.Duration("duration", c.Duration), slog.Int64("messages_in", c.Stats.MessagesIn),
		slog.Int64("messages_out", c.Stats.MessagesOut), slog.Int64("bytes_in", c.Stats.BytesIn), slog.Int64("bytes_out", c.Stats.BytesOut))
	if c.Err != nil && c.Sent == 0 && c.Received == 0 {
		attrs = append(attrs, slog.String("error", c.Err.Error()))
	}
	l.LogAttrs(ctx, slog.LevelInfo, "websocket closed", attrs...)
}

// connAttrs say which WebSocket a record is about: conn and stream are the same in all of one WebSocket's.
func connAttrs(side, target string, t Trace) []slog.Attr {
	attrs := []slog.Attr{
		slog.String("side", side), slog.String("target", target), slog.String("version", t.Version), slog.Uint64("conn", t.ConnID),
	}
	if t.streams() {
		attrs = append(attrs, slog.Uint64("stream", t.StreamID))
	}
	return attrs
}

// appendSet appends pairs of names and values that are not "".
func appendSet(attrs []slog.Attr, pairs ...string) []slog.Attr {
	for i := 0; i < len(pairs); i += 2 {
		if pairs[i+1] != "" {
			attrs = append(attrs, slog.String(pairs[i], pairs[i+1]))
		}
	}
	return attrs
}

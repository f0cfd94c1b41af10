// Package weftotel makes OpenTelemetry spans of what a [weft.Observer] is told. It is a module of its own, so that who does not import
// it does not get OpenTelemetry's modules.
//
//	dialer := &weft.Dialer{Observer: weftotel.Observer(nil)}
//	server := &weft.Server{
//		Handler: weftotel.Handler(mux, nil),
//		Options: weft.ServerOptions{Observer: weftotel.Observer(nil)},
//	}
//
// A Dial is a span "websocket dial" with a child "websocket attempt" for each attempt, on which every step is an event; its context travels
// in the request's header. An open WebSocket is a span "websocket" from its opening to its end, on either side: a child of what
// the Dial or the request was part of, with a link to the Dial's. Messages are counted in it, and make no spans of their own.
//
// Attributes are those of the semantic conventions (url, server, network, http, error, tls) where there are any; none are for WebSockets, and the
// rest is named weft.*.
package weftotel

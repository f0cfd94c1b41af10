package probe

import (
	"fmt"
	"slices"
	"strings"

	"github.com/weftws/weft/negotiate"
)

// advise says in one sentence what a dial costs at this server and who could make it cheaper.
func advise(r *Report) string {
	switch {
	case r.untrusted:
		return "not reached: its certificate is not trusted; --insecure asks all the same"
	case !r.Reached:
		return "not reached: " + reasonOf(r)
	case len(r.Rungs) == 0:
		return "nothing was asked"
	case !r.Open():
		return strings.Join(append([]string{"no WebSocket to be had: " + reasonOf(r)}, r.lacks()...), "; ")
	}
	words := append(r.costs(), r.http3Costs()...)
	return strings.Join(append(words, r.lacks()...), "; ")
}

// reasonOf is the reason that matters most to people: that of the oldest rung.
func reasonOf(r *Report) string {
	for _, result := range r.Rungs {
		if result.Verdict != NotAsked && result.Verdict != Absent && result.Verdict != Advertised {
			return result.Reason
		}
	}
	return "no rung that was asked on can tell"
}

// costs says what a dial with the default policy takes, the first time and later.
func (r *Report) costs() []string {
	upgrade := r.open(negotiate.Upgrade)
	switch {
	case !r.secure && upgrade:
		return []string{fmt.Sprintf("reached in %d round trips", r.base+1)}
	case r.ALPN == "h2" && r.open(negotiate.Assume):
		return []string{fmt.Sprintf("reached in %d round trips, 1 once a connection is there", r.base+1)}
	case r.ALPN == "h2" && r.open(negotiate.Settings):
		return []string{fmt.Sprintf("reached in %d round trips, 1 once a connection is there", r.base+2)}
	case r.ALPN == "h2" && upgrade && r.Findings.Flag != "":
		// The verdict falls one round trip after TLS; the Upgrade on the spare takes one more.
		return []string{fmt.Sprintf("reached in %d round trips; %d once it is remembered", r.base+2, r.base+1)}
	case r.ALPN != "h2" && upgrade:
		return []string{fmt.Sprintf("reached in %d round trips", r.base+1)}
	}
	for _, result := range r.Rungs {
		if result.Verdict == Open {
			return []string{fmt.Sprintf("reached in %d round trips by %s alone", result.RoundTrips, result.Rung)}
		}
	}
	return nil
}

// http3Costs says what it would take by HTTP/3, where there is another way.
func (r *Report) http3Costs() []string {
	if !r.open(negotiate.H3) || !slices.ContainsFunc(r.Rungs, func(o Result) bool { return o.Rung != negotiate.H3 && o.Verdict == Open }) {
		return nil
	}
	when := "if an Alt-Svc field or an HTTPS record named it"
	if r.http3.named != "" {
		when = "once its " + r.http3.named + " is known"
	}
	return []string{fmt.Sprintf("h3 would reach it in %d, %s", r.Result(negotiate.H3).RoundTrips, when)}
}

// lacks says what the server could do and does not.
func (r *Report) lacks() (words []string) {
	if r.noTCP != "" {
		return []string{"over TCP it is not: " + r.noTCP}
	}
	settings := r.Result(negotiate.Settings)
	if settings == nil {
		settings = r.Result(negotiate.Assume)
	}
	switch {
	case settings == nil || !r.secure:
	case r.ALPN != "h2":
		words = append(words, "this server has no HTTP/2: every WebSocket takes a TCP connection of its own; its operator could switch on HTTP/2 with RFC 8441")
	case r.Findings.Flag == "absent" || r.Findings.Flag == "0":
		words = append(words, "this server does not announce SETTINGS_ENABLE_CONNECT_PROTOCOL; "+remedy(r.Server))
	case settings.Verdict != Open && r.Findings.Flag == "1":
		words = append(words, "this server announces SETTINGS_ENABLE_CONNECT_PROTOCOL and does not keep to it for this URL: "+settings.Reason)
	}
	if a := r.Result(negotiate.Assume); a != nil {
		switch a.Verdict {
		case FalseAccept:
			words = append(words, "it says yes to a CONNECT that it has not understood, so that no client can go by its answer")
		case classKilled:
			words = append(words, "it ends the connection over a CONNECT that it does not know, where RST_STREAM would do")
		}
	}
	if h3 := r.Result(negotiate.H3); h3 != nil && h3.Verdict != Open {
		switch {
		case r.spoken:
			words = append(words, "its HTTP/3 opens no WebSocket: "+h3.Reason)
		case r.http3.named != "":
			words = append(words, fmt.Sprintf("its %s names HTTP/3 at %s: %s", r.http3.named, r.http3.addr, h3.Reason))
		}
	}
	if !r.open(negotiate.Upgrade) && r.Result(negotiate.Upgrade) != nil && r.Open() {
		words = append(words, "HTTP/1.1 clients do not get a WebSocket here")
	}
	return words
}

// remedy is what the operator of a server could do, by the name that it gives itself.
func remedy(server string) string {
	for _, s := range []struct{ name, could string }{
		{"Apache", "its operator could say H2WebSockets on (2.4.58 or later)"},
		{"HAProxy", "its operator could drop h2-workaround-bogus-websocket-clients"},
		{"nginx", "its operator could put a proxy with RFC 8441 in front (HAProxy, nghttpx, weft)"},
	} {
		if strings.Contains(strings.ToLower(server), strings.ToLower(s.name)) {
			return s.could
		}
	}
	return "its operator could switch on RFC 8441 (Go: GODEBUG=http2xconnect=1; Node: settings.enableConnectProtocol; Apache: H2WebSockets on; " +
		"weft: by default)"
}

package probe

import (
	"time"

	"github.com/weftws/weft/negotiate"
)

// A Report is what Run found. As JSON it is {"url","rungs":[{"rung","verdict","round_trips","evidence"}],"advice"}.
type Report struct {
	URL    string   `json:"url"`
	Rungs  []Result `json:"rungs"`  // those asked on, in the order of the documentation
	Advice string   `json:"advice"` // one sentence for people

	Reached     bool   `json:"-"` // there is a server
	TLS         string `json:"-"` // "TLS 1.3"; "": without
	Certificate string `json:"-"` // whose and until when, in words
	ALPN        string `json:"-"` // chosen from h2, http/1.1
	Server      string `json:"-"` // the Server field of its responses

	Findings Findings `json:"-"`

	secure    bool
	untrusted bool     // its certificate was
	base      int      // round trips of TCP and TLS
	altSvc    []string // Alt-Svc values seen
	http3     h3Place  // where HTTP/3 was asked for
	spoken    bool     // HTTP/3 was, there
	noTCP     string   // why there is no connection of TCP; "": there is one
}

// Open reports whether a WebSocket can be had, on any of the rungs asked on.
func (r *Report) Open() bool {
	for _, result := range r.Rungs {
		if result.Verdict == Open {
			return true
		}
	}
	return false
}

// Result returns what was found on one rung; nil: it was not asked on.
func (r *Report) Result(rung negotiate.Rung) *Result {
	for i := range r.Rungs {
		if r.Rungs[i].Rung == rung {
			return &r.Rungs[i]
		}
	}
	return nil
}

func (r *Report) open(rung negotiate.Rung) bool {
	result := r.Result(rung)
	return result != nil && result.Verdict == Open
}

// A Result is what one rung gave.
type Result struct {
	Rung    negotiate.Rung `json:"rung"`
	Verdict Verdict        `json:"verdict"`
	// RoundTrips is the cost from the first packet to the verdict, counted in flights: what was sent and then waited for. 0: there was no
	// verdict to wait for.
	RoundTrips int `json:"round_trips"`
	// Evidence is what went over the wire, in the notation of transcripts: -> is ours, <- the server's, # a remark.
	Evidence []string `json:"evidence"`

	Reason string        `json:"-"` // the verdict in words
	Log    []Line        `json:"-"` // Evidence with its times
	Spans  []Span        `json:"-"` // what the time was spent on, in order
	Took   time.Duration `json:"-"` // from SYN to the end of the questions
}

// A Line is a line of evidence.
type Line struct {
	At   time.Duration // since the rung began
	Text string
}

// A Span is a wait for the server.
type Span struct {
	Name       string // "resolve", "tcp", "proxy", "tls", "quic", "settings", "request", "check"
	Start, End time.Duration
	Failed     bool
}

// Findings are the answers to single questions, as docs/field-guide.md lists them. "" means not asked or not answered.
type Findings struct {
	Flag       string // ENABLE_CONNECT_PROTOCOL in the first SETTINGS: "absent", "0", "1"
	Assumed    string // what became of the assumed CONNECT: "200", "RST PROTOCOL_ERROR", "GOAWAY PROTOCOL_ERROR", "closed", "silence"
	Usable     string // "yes", "no": the connection, after that
	EarlyData  string // the same as Assumed with DATA behind it; where the connection ended after another answer, how
	IdleFrame  string // an unknown frame on an idle stream: "silent", "GOAWAY PROTOCOL_ERROR", "closed"
	OpenFrame  string // WS_OPEN: "accepted", "ignored", or what ended the connection
	OnlyToken  string // ALPN wsoverh2 alone: "alert", "none", "chosen", "stray NAME", else the error
	TokenALPN  string // chosen from wsoverh2, http/1.1
	FutureALPN string // chosen from h2.1, h2, http/1.1
}

// A Verdict says what a rung is good for at this server: Open and those below, else the class of the failure as package
// negotiate has it: "version", "killed", "silent", "application" ...
type Verdict string

const (
	// Open: a WebSocket was opened.
	Open Verdict = "open"
	// FalseAccept: 2xx to a CONNECT that the server had not said it understands. It is not to be believed.
	FalseAccept Verdict = "false-accept"
	// Advertised and Absent: responses name another endpoint (Alt-Svc), or none. Absent is also HTTP/3 where nobody listens.
	Advertised Verdict = "advertised"
	Absent     Verdict = "absent"
	// NotAsked: this rung cannot be asked about, for the reason given.
	NotAsked Verdict = "not-asked"
)

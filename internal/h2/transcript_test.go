package h2

import (
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"

	"github.com/weftws/weft/internal/h2/wire"
	"github.com/weftws/weft/internal/transcript"
)

// The scripts in testdata talk to one engine. Frames are written in the notation of package wire.
//
//	new server|client [ready] [Config's fields]   ready: SETTINGS are exchanged and acknowledged, nothing is shown
//	recv [repeat=n [id=k]] [quiet]                the peer's frames; repeat: $id is k (1), k+2 ... in turn;
//	                                              quiet: lines are counted by what they begin with
//	... raw                                       after any command: the frames as bytes
//	advance 10s                                   time passes; timeouts are obeyed on the way
//	open [end]                                    Open, with the fields of the input
//	openframe 0102030405060708                    OpenFrame with this nonce, likewise
//	altsvc [stream=1] [origin=o]                  SendAltSvc, the input as value
//	headers stream=1 [end]                        SendHeaders, likewise
//	data stream=1 [len=n] [end]                   SendData, the input as it is or repeated up to len
//	consume stream=1 n=5                          Consume
//	autoconsume stream=1                          AutoConsume
//	reset stream=1 CANCEL                         Reset
//	overload limit=1000                           Overload
//	release stream=1                              Release
//	ping 0102030405060708                         Ping
//	goaway NO_ERROR                               GoAway, the input as debug data
//	state [stream=1] [connect]                    what the questions answer; connect: more of PeerSettings
//
// In the input, $get and $websocket stand for the pseudo-header fields of such requests, $long for 16 KiB of text.
//
// The output is first the events ("event Reset ..."), then the frames ("-> RST_STREAM ...").
func TestTranscripts(t *testing.T) {
	transcript.Run(t, "testdata/*.txt", func(chunk int) transcript.Step {
		return (&script{chunk: chunk}).step
	})
}

// Every rule has a transcript in which a peer breaks it.
func TestTranscriptsShowEveryViolation(t *testing.T) {
	paths, err := filepath.Glob("testdata/*.txt")
	if err != nil {
		t.Fatal(err)
	}
	shown := make(map[string]bool)
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range regexp.MustCompile(`event .* violation=(\S+)`).FindAllStringSubmatch(string(text), -1) {
			shown[m[1]] = true
		}
	}
	for _, v := range Violations() {
		if !shown[v.Name] {
			t.Errorf("no transcript shows %s (%s)", v.Name, v.Section)
		}
		delete(shown, v.Name)
	}
	for name := range shown {
		t.Errorf("transcripts show %s, which is not in the table", name)
	}
}

// A script is one engine and its peer.
type script struct {
	chunk   int
	now     time.Time
	conn    *Conn
	parser  *wire.Parser
	printer *wire.Printer
	in      []byte // what Recv did not take
	streams map[uint32]*Stream
	lines   []string
}

var scriptStart = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

func (x *script) step(t testing.TB, d *datadriven.TestData) string {
	x.lines = nil
	if d.Cmd == "new" {
		x.new(t, d)
		return x.output(d)
	}
	switch d.Cmd {
	case "recv":
		x.recv(t, d)
	case "advance":
		x.advance(t, d)
	case "open":
		p, fields := parseFields(t, d)
		s, err := x.conn.Open(x.now, p, fields, d.HasArg("end"))
		if err != nil {
			x.printf("error: %v", err)
			break
		}
		x.streams[s.ID] = s
	case "openframe":
		p, fields := parseFields(t, d)
		s, err := x.conn.OpenFrame(x.now, p, fields, eightBytes(t, d))
		if err != nil {
			x.printf("error: %v", err)
			break
		}
		x.streams[s.ID] = s
	case "altsvc":
		var s *Stream
		if d.HasArg("stream") {
			s = x.stream(t, d)
		}
		var origin string
		d.MaybeScanArgs(t, "origin", &origin)
		x.conn.SendAltSvc(s, origin, strings.TrimSuffix(d.Input, "\n"))
	case "headers":
		p, fields := parseFields(t, d)
		x.conn.SendHeaders(x.stream(t, d), p, fields, d.HasArg("end"))
	case "data":
		text := strings.TrimSuffix(d.Input, "\n")
		if n := number(t, d, "len", len(text)); n > len(text) {
			text = strings.Repeat(text, n/len(text)+1)[:n]
		}
		head := len(text) / 2
		x.conn.SendData(x.stream(t, d), []byte(text[:head]), []byte(text[head:]), d.HasArg("end"))
	case "consume":
		x.conn.Consume(x.stream(t, d), number(t, d, "n", 0))
	case "autoconsume":
		x.conn.AutoConsume(x.stream(t, d), true)
	case "overload":
		x.conn.Overload(int64(number(t, d, "limit", 0)))
	case "reset":
		x.conn.Reset(x.now, x.stream(t, d), code(t, d))
	case "release":
		x.conn.Release(x.stream(t, d))
	case "ping":
		x.conn.Ping(x.now, eightBytes(t, d))
	case "goaway":
		x.conn.GoAway(code(t, d), d.Input)
	case "state":
		x.state(t, d)
	default:
		d.Fatalf(t, "unknown command %s", d.Cmd)
	}
	return x.output(d)
}

func (x *script) new(t testing.TB, d *datadriven.TestData) {
	var cfg Config
	ready := false
	for _, arg := range d.CmdArgs {
		switch arg.Key {
		case "server":
			cfg.Side = Server
		case "client":
			cfg.Side = Client
		case "ready":
			ready = true
		default:
			setConfig(t, d, &cfg, arg)
		}
	}
	*x = script{
		chunk: x.chunk, now: scriptStart, conn: New(scriptStart, cfg),
		parser: wire.NewParser(), printer: wire.NewPrinter(), streams: make(map[uint32]*Stream),
	}
	if ready {
		frames := "SETTINGS\nSETTINGS ACK"
		if cfg.Side == Server {
			frames = "PREFACE\n" + frames
		}
		x.feed(t, d, frames)
		x.output(d)
		x.lines = nil
	}
}

func setConfig(t testing.TB, d *datadriven.TestData, cfg *Config, arg datadriven.CmdArg) {
	f := reflect.ValueOf(cfg).Elem().FieldByName(arg.Key)
	if !f.IsValid() {
		d.Fatalf(t, "Config has no field %s", arg.Key)
	}
	if len(arg.Vals) == 0 {
		f.SetBool(true)
		return
	}
	if dur, err := time.ParseDuration(arg.Vals[0]); err == nil && f.Type() == reflect.TypeOf(dur) {
		f.SetInt(int64(dur))
		return
	}
	for _, rule := range []ConnectRule{Announced, Implied, UnlessOff} {
		if f.Type() == reflect.TypeOf(rule) && arg.Vals[0] == rule.String() {
			f.Set(reflect.ValueOf(rule))
			return
		}
	}
	n, err := strconv.ParseInt(arg.Vals[0], 10, 64)
	if err != nil {
		d.Fatalf(t, "%v: %v", arg, err)
	}
	f.Set(reflect.ValueOf(n).Convert(f.Type()))
}

func (x *script) recv(t testing.TB, d *datadriven.TestData) {
	if !d.HasArg("repeat") {
		x.feed(t, d, d.Input)
		return
	}
	first := number(t, d, "id", 1)
	for i := range number(t, d, "repeat", 1) {
		x.feed(t, d, strings.ReplaceAll(d.Input, "$id", strconv.Itoa(first+2*i)))
	}
}

// feed has the peer say something.
func (x *script) feed(t testing.TB, d *datadriven.TestData, frames string) {
	b, err := x.parser.Append(nil, strings.NewReplacer("$get", getLines, "$websocket", websocketLines).Replace(frames))
	if err != nil {
		d.Fatalf(t, "%v", err)
	}
	for piece := range transcript.Split(b, x.chunk) {
		x.in = append(x.in, piece...)
		n := x.conn.Recv(x.now, x.in)
		x.events()
		x.in = x.in[n:]
	}
}

const (
	getLines       = ":method: GET\n  :scheme: https\n  :authority: example.com\n  :path: /"
	websocketLines = ":method: CONNECT\n  :protocol: websocket\n  :scheme: https\n  :authority: example.com\n  :path: /chat"
)

func (x *script) advance(t testing.TB, d *datadriven.TestData) {
	by, err := time.ParseDuration(d.CmdArgs[0].Key)
	if err != nil {
		d.Fatalf(t, "%v", err)
	}
	until := x.now.Add(by)
	for {
		due := x.conn.NextTimeout()
		if due.IsZero() || due.After(until) {
			break
		}
		x.now = due
		x.conn.Advance(x.now)
		x.events()
		if !x.conn.NextTimeout().After(due) && !x.conn.Failed() {
			d.Fatalf(t, "NextTimeout is still %v after Advance to it", due.Sub(scriptStart))
		}
	}
	x.now = until
	x.conn.Advance(x.now)
}

func (x *script) state(t testing.TB, d *datadriven.TestData) {
	if d.HasArg("stream") {
		s := x.stream(t, d)
		x.printf("pending=%d send-closed=%v recv-closed=%v closed=%v", s.Pending(), s.SendClosed(), s.RecvClosed(), s.Closed())
		return
	}
	c := x.conn
	timeout := "never"
	if at := c.NextTimeout(); !at.IsZero() {
		timeout = at.Sub(x.now).String()
	}
	x.printf("streams=%d slots=%d failed=%v draining=%v timeout=%s connect-protocol=%v", c.OpenStreams(), c.Slots(), c.Failed(),
		c.Draining(), timeout, c.PeerSettings().ConnectProtocol)
	if d.HasArg("connect") {
		ps := c.PeerSettings()
		x.printf("present=%v at-first=%v", ps.ConnectPresent, ps.ConnectAtFirst)
	}
}

// output drains the engine and returns what happened in this step.
func (x *script) output(d *datadriven.TestData) string {
	x.events()
	var frames []byte
	for x.conn.HasOutput() {
		out := x.conn.AppendOutput(nil, 1<<16)
		if d.HasArg("raw") {
			frames = fmt.Appendf(frames, "RAW %x\n", out)
			x.printer.Append(nil, out)
			continue
		}
		frames = x.printer.Append(frames, out)
	}
	for line := range strings.Lines(string(frames)) {
		if !strings.HasPrefix(line, " ") {
			line = "-> " + line
		}
		x.printf("%s", strings.TrimSuffix(line, "\n"))
	}
	x.events() // AppendOutput gives rise to Writable
	if d.HasArg("quiet") {
		return countLines(x.lines)
	}
	return strings.Join(append(x.lines, ""), "\n")
}

// countLines counts lines by their first two words, without the streams' numbers.
func countLines(lines []string) string {
	var order []string
	count := make(map[string]int)
	for _, line := range lines {
		words := strings.Fields(line)
		if strings.HasPrefix(line, " ") || len(words) < 2 {
			continue
		}
		kind := strings.Join(words[:2], " ")
		if strings.Contains(line, "GOAWAY") || strings.Contains(line, "ConnFailed") {
			kind = line
		}
		if count[kind] == 0 {
			order = append(order, kind)
		}
		count[kind]++
	}
	var b strings.Builder
	for _, kind := range order {
		fmt.Fprintf(&b, "%d x %s\n", count[kind], kind)
	}
	return b.String()
}

func (x *script) printf(format string, args ...any) {
	x.lines = append(x.lines, fmt.Sprintf(format, args...))
}

// events prints the events that are due.
func (x *script) events() {
	for ev := x.conn.NextEvent(); ev != nil; ev = x.conn.NextEvent() {
		if ev.Stream != nil && x.streams[ev.Stream.ID] == nil {
			x.streams[ev.Stream.ID] = ev.Stream
		}
		x.event(ev)
	}
}

func (x *script) event(ev *Event) {
	line := "event " + ev.Kind.String()
	if ev.Stream != nil && ev.Kind != EventData {
		line += fmt.Sprintf(" stream=%d", ev.Stream.ID)
	}
	switch ev.Kind {
	case EventSettings:
		if ev.First {
			line += " first"
		}
	case EventHeaders, EventTrailers:
		line += pseudoText(ev.Pseudo)
		if ev.End {
			line += " END_STREAM"
		}
	case EventData:
		frame := wire.NewPrinter().Append(nil, wire.AppendData(nil, ev.Stream.ID, ev.Data, ev.End))
		line += strings.TrimSuffix(strings.TrimPrefix(string(frame), "DATA"), "\n")
	case EventReset, EventConnFailed:
		if ev.Violation == nil {
			line += " " + ev.Code.String()
		} else {
			line += " violation=" + ev.Violation.Name
		}
		line += " initiator=" + ev.Initiator.String()
		if ev.Unprocessed {
			line += " unprocessed"
		}
	case EventPong:
		line += fmt.Sprintf(" %x rtt=%v", ev.Ping, ev.RTT)
	case EventGoAway:
		line += fmt.Sprintf(" last=%d %v %q", ev.LastStreamID, ev.Code, ev.Debug)
	case EventAltSvc:
		line += fmt.Sprintf(" origin=%q %q", ev.Advert.Origin, ev.Advert.Value)
	case EventOrigin:
		line += fmt.Sprintf(" %q", ev.Advert.Origins)
	}
	x.printf("%s", line)
	if ev.Kind == EventReset {
		x.printf("  %s", ev.Detail)
	}
	for _, f := range ev.Fields {
		x.printf("  %s: %s", f.Name, f.Value)
	}
}

// pseudoText makes " GET https://example.com/" or " 200".
func pseudoText(p Pseudo) string {
	var b strings.Builder
	if p.Status != 0 {
		fmt.Fprintf(&b, " %d", p.Status)
	}
	for _, s := range []string{p.Method, p.Protocol} {
		if s != "" {
			b.WriteString(" " + s)
		}
	}
	switch {
	case p.Scheme != "":
		b.WriteString(" " + p.Scheme + "://" + p.Authority + p.Path)
	case p.Authority != "":
		b.WriteString(" " + p.Authority)
	}
	return b.String()
}

func (x *script) stream(t testing.TB, d *datadriven.TestData) *Stream {
	id := number(t, d, "stream", 0)
	s := x.streams[uint32(id)]
	if s == nil {
		d.Fatalf(t, "there was no stream %d", id)
	}
	return s
}

// parseFields reads the field lines of the input.
func parseFields(t testing.TB, d *datadriven.TestData) (p Pseudo, fields []Field) {
	for line := range strings.Lines(strings.NewReplacer("$get", getLines, "$websocket", websocketLines, "$long", strings.Repeat("x", 16384)).Replace(d.Input)) {
		line = strings.TrimSpace(line)
		i := strings.Index(line[1:], ": ")
		if i < 0 {
			d.Fatalf(t, "not a field line: %q", line)
		}
		name, value := line[:i+1], line[i+3:]
		switch name {
		case ":method":
			p.Method = value
		case ":scheme":
			p.Scheme = value
		case ":authority":
			p.Authority = value
		case ":path":
			p.Path = value
		case ":protocol":
			p.Protocol = value
		case ":status":
			p.Status, _ = strconv.Atoi(value)
		default:
			fields = append(fields, Field{name, value})
		}
	}
	return p, fields
}

func eightBytes(t testing.TB, d *datadriven.TestData) [8]byte {
	b, err := hex.DecodeString(d.CmdArgs[0].Key)
	if err != nil || len(b) != 8 {
		d.Fatalf(t, "not eight bytes: %v", err)
	}
	return [8]byte(b)
}

func number(t testing.TB, d *datadriven.TestData, key string, missing int) int {
	n := missing
	d.MaybeScanArgs(t, key, &n)
	return n
}

// code finds the argument that is an error code.
func code(t testing.TB, d *datadriven.TestData) wire.ErrCode {
	for _, arg := range d.CmdArgs {
		if c, ok := wire.ErrCodeByName(arg.Key); ok {
			return c
		}
	}
	d.Fatalf(t, "no error code")
	return 0
}

package interop

import (
	"fmt"
	"strings"

	"github.com/weftws/weft/negotiate"
	"github.com/weftws/weft/probe"
)

// writeGuide is docs/field-guide.md.
func writeGuide(rows []guideRow) string {
	var b strings.Builder
	b.WriteString(guideHead)
	b.WriteString("| server | version | flag | assumed CONNECT | usable after | with DATA behind it | frame on idle stream | WS_OPEN on stream 0 | only `wsoverh2` |\n")
	b.WriteString("| --- | --- | --- | --- | --- | --- | --- | --- | --- |\n")
	for _, r := range rows {
		f := r.report.Findings
		assumed := f.Assumed
		if r.report.Result(negotiate.Assume).Verdict == probe.FalseAccept {
			assumed = "**" + assumed + ", falsely**"
		} else if strings.HasPrefix(assumed, "GOAWAY") {
			assumed = "**" + assumed + "**"
		}
		usable := f.Usable
		if usable == "" {
			usable = "yes"
		}
		fmt.Fprintf(&b, "| %s |\n", strings.Join([]string{
			r.name, orDash(r.number), dashForAbsent(f.Flag), assumed, usable, f.EarlyData, f.IdleFrame, f.OpenFrame, f.OnlyToken,
		}, " | "))
	}
	b.WriteString(guideRungs)
	b.WriteString("| server | TLS | upgrade | settings | assume | token | h2.1 | frame | h3 | a dial |\n| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |\n")
	for _, r := range rows {
		cells := []string{r.name, strings.TrimPrefix(r.report.TLS, "TLS ")}
		for _, rung := range []negotiate.Rung{negotiate.Upgrade, negotiate.Settings, negotiate.Assume, negotiate.Token, negotiate.H21, negotiate.Frame, negotiate.H3} {
			result := r.report.Result(rung)
			cell := string(result.Verdict)
			if result.RoundTrips > 0 {
				cell += fmt.Sprintf(", %d", result.RoundTrips)
			}
			cells = append(cells, cell)
		}
		first, _, _ := strings.Cut(r.report.Advice, "; this server")
		cells = append(cells, first)
		fmt.Fprintf(&b, "| %s |\n", strings.Join(cells, " | "))
	}
	b.WriteString("\n## Notes\n\n")
	for _, r := range rows {
		if r.note != "" {
			fmt.Fprintf(&b, "- **%s**: %s\n", r.name, r.note)
		}
	}
	b.WriteString(guideTail)
	return b.String()
}

func orDash(s string) string {
	if s == "" {
		return "–"
	}
	return s
}

func dashForAbsent(s string) string {
	if s == "absent" {
		return "–"
	}
	return s
}

const guideHead = `# Field guide

What servers do with what they do not know, as ` + "`weft probe --thorough`" + ` finds it on loopback. Made by ` + "`make field-guide`" + `, which
starts each server, asks it, fails where an answer is not the one that was known, and writes this file.

` + "`flag`" + ` is ENABLE_CONNECT_PROTOCOL in the server's first SETTINGS. The assumed CONNECT is an Extended CONNECT in the first flight of a
connection, before those SETTINGS are there; "usable" says whether a PING and an ordinary request were answered on that connection
afterwards. The frame on an idle stream is of the unknown type 0xf7. Where a server is a proxy, a weft server is behind it.

`

const guideRungs = `
## Rungs

Verdict and round trips of each, from SYN to the verdict, over TCP and a full TLS handshake, which takes one round trip more before
TLS 1.3; then what a dial with the default policy takes. ` + "`h3`" + ` is over QUIC, where Alt-Svc says or on the UDP port of the same number, and absent
where nobody listens there.

`

const guideTail = `
## How to have it made again

` + "`make field-guide`" + ` installs from Debian what is missing, where it may, and writes this file only if every server was there. A row that
changes is a failing test first: ` + "`interop/guide_test.go`" + ` has what is expected of each. A new server is an entry there.
`

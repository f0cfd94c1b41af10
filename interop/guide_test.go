package interop

import (
	"cmp"
	"crypto/tls"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"

	"github.com/weftws/weft"
	"github.com/weftws/weft/negotiate"
	"github.com/weftws/weft/probe"
)

var fieldGuide = flag.String("field-guide", "", "write what TestFieldGuide finds to this file")

// A specimen is a server of the field guide.
type specimen struct {
	name    string
	program string   // "": this process
	debian  string   // its package
	version []string // arguments that make it print its version
	start   func(t *testing.T, path string, cert *certificate) (url string)
	want    sighting
	open    []negotiate.Rung // experimental rungs that it has
	h3      probe.Verdict    // of that rung; "": absent
	note    string           // what the guide says of it beside the table
}

// A sighting is a row of the guide. An answer that begins as expected is the one expected: codes of errors may follow.
type sighting struct {
	flag, assumed, usable, early, idle, token string
}

// specimens are in the order of the guide.
var specimens = []specimen{
	{
		name: "weft", start: startWeftSpecimen(), want: sighting{"1", "200", "", "200", "silent", "alert"},
		h3: probe.Open,
	},
	{
		name: "weft, every rung switched on", start: startWeftSpecimen(weft.Token, weft.H21, weft.Frame),
		want: sighting{"1", "200", "", "200", "silent", "chosen"},
		open: []negotiate.Rung{negotiate.Token, negotiate.H21, negotiate.Frame},
		h3:   probe.Open,
	},
	{
		name: "Go net/http", start: startGoSpecimen("http2xconnect=0"),
		want: sighting{"absent", "RST PROTOCOL_ERROR", "yes", "RST", "silent", "alert"},
	},
	{
		name: "Go net/http, GODEBUG=http2xconnect=1", start: startGoSpecimen("http2xconnect=1"),
		want: sighting{"1", "200", "", "200", "silent", "alert"},
	},
	{
		name: "nginx", program: "nginx", debian: "nginx-light", version: []string{"-v"},
		start: startConfigured("nginx.conf", nil, "-e", "stderr", "-c"),
		want:  sighting{"absent", "400", "yes", "400", "silent", "alert"},
	},
	{
		name: "Apache", program: "apache2", debian: "apache2", version: []string{"-v"},
		start: startConfigured("apache.conf", off, "-DFOREGROUND", "-f"),
		want:  sighting{"absent", "RST PROTOCOL_ERROR", "yes", "RST", "silent", "stray http/1.1"},
	},
	{
		name: "Apache, H2WebSockets on", program: "apache2", debian: "apache2", version: []string{"-v"},
		start: startConfigured("apache.conf", on, "-DFOREGROUND", "-f"),
		want:  sighting{"1", "200", "", "200", "silent", "stray http/1.1"},
	},
	{
		name: "HAProxy", program: "haproxy", debian: "haproxy", version: []string{"-v"},
		start: startConfigured("guide-haproxy.cfg", on, "-db", "-f"),
		want:  sighting{"1", "200", "", "500", "GOAWAY", "none"},
	},
	{
		name: "HAProxy, WebSockets off", program: "haproxy", debian: "haproxy", version: []string{"-v"},
		start: startConfigured("guide-haproxy.cfg", off, "-db", "-f"),
		want:  sighting{"absent", "200", "yes", "500", "GOAWAY", "none"},
		note:  "With `h2-workaround-bogus-websocket-clients` it does not announce WebSockets and takes the CONNECT for one without `:protocol`: the 200 is false.",
	},
	{
		name: "nghttpx", program: "nghttpx", debian: "nghttp2-proxy", version: []string{"--version"}, start: startNghttpxSpecimen,
		want: sighting{"1", "200", "", "200", "silent", "none"},
	},
	{
		name: "nghttpd", program: "nghttpd", debian: "nghttp2-server", version: []string{"--version"}, start: startNghttpd,
		want: sighting{"absent", "RST PROTOCOL_ERROR", "yes", "RST", "silent", "none"},
	},
	{
		name: "Node", program: "node", debian: "nodejs", version: []string{"--version"}, start: startNode("off"),
		want: sighting{"absent", "RST PROTOCOL_ERROR", "yes", "RST", "silent", "alert"},
	},
	{
		name: "Node, enableConnectProtocol", program: "node", debian: "nodejs", version: []string{"--version"}, start: startNode("on"),
		want: sighting{"1", "200", "", "200", "silent", "alert"},
	},
	{
		name: "h2o", program: "h2o", debian: "h2o", version: []string{"--version"},
		start: startConfigured("h2o.conf", nil, "-c"),
		want:  sighting{"absent", "GOAWAY", "no", "GOAWAY", "silent", "none"},
	},
	{
		name: "lighttpd, files", program: "lighttpd", debian: "lighttpd lighttpd-mod-openssl", version: []string{"-v"},
		start: startLighttpd(off),
		want:  sighting{"1", "405", "yes", "405", "silent", "alert"},
		note:  "It announces WebSockets whatever is behind it; a file takes none.",
	},
	{
		name: "lighttpd, mod_proxy with upgrade", program: "lighttpd", debian: "lighttpd lighttpd-mod-openssl", version: []string{"-v"},
		start: startLighttpd(on),
		want:  sighting{"1", "200", "", "200", "silent", "alert"},
	},
	{
		name: "Caddy", program: "caddy", debian: "caddy", version: []string{"version"},
		start: startConfigured("Caddyfile", nil, "run", "--adapter", "caddyfile", "--config"),
		want:  sighting{"absent", "RST PROTOCOL_ERROR", "yes", "GOAWAY", "silent", "alert"},
		h3:    "version",
		note:  "It has HTTP/3, and names it in Alt-Svc; its SETTINGS there do not announce WebSockets (RFC 9220).",
	},
}

// TestFieldGuide asks every server that is here by weft probe's own means, and compares with what is known of it.
func TestFieldGuide(t *testing.T) {
	cert := newCertificate(t)
	var rows []guideRow
	for _, s := range specimens {
		t.Run(s.name, func(t *testing.T) {
			var path string
			if s.program != "" {
				path = program(t, s.program, s.debian)
			}
			url := s.start(t, path, cert)
			r, err := probe.Run(t.Context(), url, probe.Options{Thorough: true, TLSConfig: &tls.Config{RootCAs: cert.roots}})
			if err != nil {
				t.Fatal(err)
			}
			f := r.Findings
			got := sighting{f.Flag, f.Assumed, f.Usable, f.EarlyData, f.IdleFrame, f.OnlyToken}
			rows = append(rows, guideRow{s, versionOf(t, s, path), got, r})
			if !s.want.fits(got) {
				t.Errorf("found %+v, want %+v", got, s.want)
			}
			s.judge(t, r)
			if t.Failed() {
				for _, result := range r.Rungs {
					t.Logf("%s\n%s", result.Rung, strings.Join(result.Evidence, "\n"))
				}
			}
		})
	}
	if *fieldGuide == "" {
		return
	}
	if len(rows) != len(specimens) {
		t.Fatalf("%d of %d servers are here: the guide is not written", len(rows), len(specimens))
	}
	if err := os.WriteFile(*fieldGuide, []byte(writeGuide(rows)), 0o644); err != nil {
		t.Fatal(err)
	}
}

// judge checks the verdicts that follow from what is expected.
func (s *specimen) judge(t *testing.T, r *probe.Report) {
	// WS_OPEN is discarded in silence, on stream 0, by every server that does not know it.
	want := map[negotiate.Rung]probe.Verdict{
		negotiate.Token: "version", negotiate.H21: "version", negotiate.Frame: "version", negotiate.H3: cmp.Or(s.h3, probe.Absent),
	}
	for _, r := range s.open {
		want[r] = probe.Open
	}
	switch {
	case s.want.flag != "1" && s.want.assumed == "200":
		want[negotiate.Assume] = probe.FalseAccept
	case strings.HasPrefix(s.want.assumed, "GOAWAY"):
		want[negotiate.Assume] = "killed"
	case s.want.flag != "1":
		want[negotiate.Assume] = "version"
	case s.want.assumed == "200":
		want[negotiate.Assume], want[negotiate.Settings] = probe.Open, probe.Open
	default:
		want[negotiate.Assume], want[negotiate.Settings] = "ambiguous", "ambiguous"
	}
	if s.want.flag != "1" {
		want[negotiate.Settings] = "version"
	}
	for rung, verdict := range want {
		if got := r.Result(rung); got.Verdict != verdict {
			t.Errorf("%s: %s (%s), want %s", rung, got.Verdict, got.Reason, verdict)
		}
	}
}

func (w sighting) fits(got sighting) bool {
	return w.flag == got.flag && strings.HasPrefix(got.assumed, w.assumed) && w.usable == got.usable &&
		strings.HasPrefix(got.early, w.early) && strings.HasPrefix(got.idle, w.idle) && got.token == w.token
}

// ---- the servers

var on, off = map[string]any{"WebSockets": true}, map[string]any{"WebSockets": false}

// startConfigured starts a program with a configuration from testdata, in front of a weft server.
func startConfigured(conf string, values map[string]any, args ...string) func(*testing.T, string, *certificate) string {
	return func(t *testing.T, path string, cert *certificate) string {
		port := freePort(t)
		all := map[string]any{
			"Port": port, "Cert": cert.certFile, "Key": cert.keyFile, "Both": cert.both, "Behind": startWeft(t, nil, nil).port,
			"Modules": "/usr/lib/apache2/modules",
		}
		for k, v := range values {
			all[k] = v
		}
		start(t, path, append(args, configure(t, conf, all))...).wait(t, port)
		return guideURL(port)
	}
}

func startLighttpd(values map[string]any) func(*testing.T, string, *certificate) string {
	return func(t *testing.T, path string, cert *certificate) string {
		if _, err := os.Stat("/usr/lib/lighttpd/mod_openssl.so"); err != nil {
			t.Skip("lighttpd has no TLS: apt-get install lighttpd-mod-openssl")
		}
		url := startConfigured("guide-lighttpd.conf", values, "-D", "-f")(t, path, cert)
		if values["WebSockets"] == false {
			url = strings.Replace(url, "/echo", "/guide-lighttpd.conf", 1) // a file that is there
		}
		return url
	}
}

func startWeftSpecimen(rungs ...weft.Rung) func(*testing.T, string, *certificate) string {
	return func(t *testing.T, _ string, cert *certificate) string {
		return guideURL(startWeftHTTP3(t, cert, func(s *weft.Server) { s.Options.Rungs = rungs }).port)
	}
}

func startGoSpecimen(godebug string) func(*testing.T, string, *certificate) string {
	return func(t *testing.T, _ string, cert *certificate) string {
		_, url := startNetHTTP(t, cert, godebug)
		return url + "/echo"
	}
}

func startNghttpxSpecimen(t *testing.T, path string, cert *certificate) string {
	port := freePort(t)
	start(t, path, "--conf=/dev/null", "-k", "--workers=1", "--no-ocsp", fmt.Sprintf("--frontend=127.0.0.1,%d", port),
		fmt.Sprintf("--backend=127.0.0.1,%d", startWeft(t, nil, nil).port), cert.keyFile, cert.certFile).wait(t, port)
	return guideURL(port)
}

func startNghttpd(t *testing.T, path string, cert *certificate) string {
	port := freePort(t)
	start(t, path, "-a", "127.0.0.1", "-d", t.TempDir(), fmt.Sprint(port), cert.keyFile, cert.certFile).wait(t, port)
	return guideURL(port)
}

func startNode(connect string) func(*testing.T, string, *certificate) string {
	return func(t *testing.T, path string, cert *certificate) string {
		port := freePort(t)
		start(t, path, "testdata/guide-node.js", fmt.Sprint(port), cert.keyFile, cert.certFile, connect).wait(t, port)
		return guideURL(port)
	}
}

func guideURL(port int) string { return fmt.Sprintf("wss://127.0.0.1:%d/echo", port) }

// ---- the document

// A guideRow is what was found at one server.
type guideRow struct {
	specimen
	number string // its version
	got    sighting
	report *probe.Report
}

var versionNumber = regexp.MustCompile(`\d+(\.\d+)+`)

func versionOf(t *testing.T, s specimen, path string) string {
	switch {
	case strings.HasPrefix(s.name, "weft"):
		return ""
	case s.program == "":
		return versionNumber.FindString(runtime.Version())
	}
	out, err := exec.Command(path, s.version...).CombinedOutput()
	number := versionNumber.FindString(string(out))
	if err != nil || number == "" {
		t.Errorf("%s %s: %v, no version in %q", filepath.Base(path), strings.Join(s.version, " "), err, out)
	}
	return number
}

package lab

import (
	"embed"
	"fmt"
	"os/exec"
	"path/filepath"
	"slices"

	"github.com/weftws/weft/negotiate"
)

// A Peer is a server that others have written, in one of its ways of being configured.
type Peer struct {
	Name     string
	Features Features // with which its rows are computed

	program string
	debian  string // its package
	config  string // of the directory peers
	on      bool   // what the configuration can switch is on
	args    func(b *behind, config string) []string
}

//go:embed peers
var peerFiles embed.FS

// Peers returns all there are, installed or not.
func Peers() []Peer { return slices.Clone(peers) }

// Missing is the reason why p cannot be measured here, "" if it can.
func (p Peer) Missing() string {
	if _, err := p.find(); err != nil {
		return fmt.Sprintf("%s is not installed (Debian's package is %s)", p.program, p.debian)
	}
	return ""
}

func (p Peer) find() (string, error) {
	path, err := exec.LookPath(p.program)
	if err != nil {
		path, err = exec.LookPath(filepath.Join("/usr/sbin", p.program)) // not in everybody's PATH
	}
	return path, err
}

// Cases returns the usual rows of the given rungs, or of all, with p as the server, and what the default policy costs when it is
// remembered. None of them is configured for HTTP/3, or for naming another place.
func (p Peer) Cases(rungs ...negotiate.Rung) []Case {
	var list []Case
	for _, c := range Cases(rungs...) {
		remembered := c.Rung == negotiate.Assume && c.Only == "" && c.Dial == "remembered"
		if c.Note() != "" && !remembered || c.Rung == negotiate.AltSvc || c.Rung == negotiate.H3 || c.Server != p.Features.kind(c.Rung) {
			continue
		}
		c.Peer, c.peer, c.origin = p.Name, &p, p.Features
		list = append(list, c)
	}
	return list
}

// kind says whether a server is new to r, or old.
func (f Features) kind(r negotiate.Rung) string {
	if map[negotiate.Rung]bool{
		negotiate.Settings: f.Connect, negotiate.Assume: f.Connect, negotiate.Token: f.Token, negotiate.H21: f.H21, negotiate.Frame: f.Frame,
	}[r] {
		return New
	}
	return Old
}

var withConnect = Features{HTTP2: true, Connect: true}

var peers = []Peer{
	{Name: "nginx", Features: oldServer, program: "nginx", debian: "nginx-light", config: "nginx.conf", args: nginxArgs},
	{Name: "apache", Features: oldServer, program: "apache2", debian: "apache2", config: "apache.conf", args: apacheArgs},
	{Name: "apache-h2ws", Features: withConnect, program: "apache2", debian: "apache2", config: "apache.conf", on: true, args: apacheArgs},
	{Name: "haproxy", Features: withConnect, program: "haproxy", debian: "haproxy", config: "haproxy.cfg", on: true, args: haproxyArgs},
	{Name: "haproxy-noh2ws", Features: oldServer, program: "haproxy", debian: "haproxy", config: "haproxy.cfg", args: haproxyArgs},
	{Name: "nghttpx", Features: withConnect, program: "nghttpx", debian: "nghttp2-proxy", args: nghttpxArgs},
	{Name: "node", Features: oldServer, program: "node", debian: "nodejs", config: "node.js", args: nodeArgs("off")},
	{Name: "node-h2ws", Features: withConnect, program: "node", debian: "nodejs", config: "node.js", on: true, args: nodeArgs("on")},
	{Name: "h2o", Features: oldServer, program: "h2o", debian: "h2o", config: "h2o.conf", args: h2oArgs},
}

func nginxArgs(_ *behind, config string) []string { return []string{"-e", "stderr", "-c", config} }

func apacheArgs(_ *behind, config string) []string { return []string{"-DFOREGROUND", "-f", config} }

func haproxyArgs(_ *behind, config string) []string { return []string{"-db", "-f", config} }

func h2oArgs(_ *behind, config string) []string { return []string{"-m", "worker", "-c", config} }

func nghttpxArgs(b *behind, _ string) []string {
	return []string{
		"--conf=/dev/null", "-k", "--workers=1", "--no-ocsp", "--single-process", fmt.Sprintf("--frontend=127.0.0.1,%d", b.Port),
		fmt.Sprintf("--backend=127.0.0.1,%d", b.Behind), b.Key, b.Cert,
	}
}

func nodeArgs(connect string) func(*behind, string) []string {
	return func(b *behind, config string) []string {
		return []string{config, fmt.Sprint(b.Port), b.Key, b.Cert, connect}
	}
}

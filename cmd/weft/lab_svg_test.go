package main

import (
	"encoding/xml"
	"errors"
	"io"
	"os"
	"strings"
	"testing"

	"github.com/weftws/weft/lab"
)

// The picture of the documentation is what the command draws, which is what the machines compute.
func TestPictureIsCurrent(t *testing.T) {
	committed, err := os.ReadFile("../../docs/round-trips.svg")
	if err != nil {
		t.Fatal(err)
	}
	drawn, err := labPictureSVG(nil)
	if err != nil {
		t.Fatal(err)
	}
	// A checkout on Windows may have other line ends.
	if strings.ReplaceAll(string(committed), "\r\n", "\n") != drawn {
		t.Error("docs/round-trips.svg is not what weft lab rtt --exact-only --svg draws; make picture writes it")
	}
	wantDesc := "upgrade (RFC 6455 on HTTP/1.1): 3 on a new server, 3 on an old one. " +
		"settings (RFC 8441: wait, then ask): 4 on a new server, 6 on an old one. " +
		"assume, alone (ask at once): 3 on a new server, 6 on an old one. " +
		"assume, with a spare (weft, first dial): 3 on a new server, 4 on an old one. " +
		"and from then on (weft, next dials): 1 on a new server, 3 on an old one. " +
		"over HTTP/3 (once Alt-Svc has named it): 2 on a new server."
	if !strings.Contains(drawn, ">"+wantDesc+"</desc>") {
		t.Errorf("the description is not %q", wantDesc)
	}
}

// The picture stands alone: it is well-formed, runs nothing and loads nothing.
func TestPictureStandsAlone(t *testing.T) {
	drawn, err := labPictureSVG(nil)
	if err != nil {
		t.Fatal(err)
	}
	d := xml.NewDecoder(strings.NewReader(drawn))
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		element, ok := token.(xml.StartElement)
		if !ok {
			continue
		}
		switch element.Name.Local {
		case "svg", "title", "desc", "style", "g", "rect", "line", "circle", "path", "text", "tspan":
		default:
			t.Errorf("element %s", element.Name.Local)
		}
		for _, a := range element.Attr {
			if strings.HasPrefix(a.Name.Local, "on") || a.Name.Local == "href" || a.Name.Local == "style" {
				t.Errorf("attribute %s of %s", a.Name.Local, element.Name.Local)
			}
		}
	}
	for _, s := range []string{"url(", "@import", "@font-face"} {
		if strings.Contains(drawn, s) {
			t.Errorf("the picture has %q", s)
		}
	}
}

// What was measured stands beside what was computed, in its place and no other.
func TestPictureMeasured(t *testing.T) {
	row := func(r lab.Row) lab.Row {
		r.Rung, r.Server = "assume", lab.Old
		return r
	}
	drawn, err := labPictureSVG([]lab.Row{
		row(lab.Row{Connection: lab.Fresh, Exact: 4, Live: 4.071}),
		row(lab.Row{Connection: lab.Fresh, Exact: 3, Live: 3.049, Dial: "remembered"}),
		row(lab.Row{Connection: lab.Fresh, Exact: 4, Live: 9.5, Peer: "nginx"}),
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`>4<tspan class="quiet small" dx="9" dy="-3">4.07 once<`, `>3<tspan class="quiet small" dx="9" dy="-3">3.05 remembered<`, "measured"} {
		if strings.Count(drawn, want) != 1 {
			t.Errorf("%q is there %d times, want once", want, strings.Count(drawn, want))
		}
	}
	if strings.Contains(drawn, "9.50") {
		t.Error("a peer's row stands in the picture of ours")
	}
}

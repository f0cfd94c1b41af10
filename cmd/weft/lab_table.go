package main

import (
	"fmt"
	"math"
	"strings"
	"unicode/utf8"

	"github.com/weftws/weft/lab"
)

// labTable draws the rows as text: the module's own first, then those of each peer.
func labTable(rows []lab.Row, color bool) string {
	lines := [][]string{{"rung", "server", "connection", "", "exact", "live", "off by"}}
	paint := []string{""}
	peer := ""
	for _, r := range rows {
		if r.Peer != peer {
			peer = r.Peer
			lines, paint = append(lines, nil, []string{peer}), append(paint, "", bold)
		}
		line := []string{string(r.Rung), r.Server, r.Connection, r.Note(), exactText(r), "", ""}
		look := ""
		switch {
		case r.Error != "":
			line[5], look = "failed", alarming
		case r.Live != 0:
			line[5], line[6] = fmt.Sprintf("%.2f", r.Live), deviation(r)
			if !r.Agrees() {
				look = alarming
			}
		}
		lines, paint = append(lines, line), append(paint, look)
	}
	width := make([]int, len(lines[0]))
	for _, line := range lines {
		for i, cell := range line {
			if len(line) > 1 {
				width[i] = max(width[i], utf8.RuneCountInString(cell))
			}
		}
	}
	var b strings.Builder
	for n, line := range lines {
		text := ""
		for i, cell := range line {
			pad := strings.Repeat(" ", max(0, width[i]-utf8.RuneCountInString(cell)))
			if i >= 4 { // numbers
				cell, pad = pad+cell, ""
			}
			text += cell + pad + "  "
		}
		text = strings.TrimRight(text, " ")
		if color && paint[n] != "" {
			text = paint[n] + text + "\x1b[0m"
		}
		b.WriteString(text + "\n")
	}
	return b.String()
}

const alarming = "\x1b[31m"

// exactText is what was computed, and how where not all of it is round trips: "3 + 50 ms = 3.5".
func exactText(r lab.Row) string {
	s := fmt.Sprint(hundredths(r.Exact))
	if r.Sum != "" {
		s = r.Sum + " = " + s
	}
	return s
}

func deviation(r lab.Row) string { return fmt.Sprintf("%+.1f %%", 100*r.Deviation()) }

func hundredths(x float64) float64 { return math.Round(100*x) / 100 }

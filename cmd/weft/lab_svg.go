package main

import (
	_ "embed"
	"fmt"
	"html/template"
	"strings"

	"github.com/weftws/weft/lab"
	"github.com/weftws/weft/negotiate"
)

//go:embed lab.svg
var labPictureText string

var labPictureTemplate = template.Must(template.New("lab.svg").Parse(labPictureText))

// labStory is what the picture tells, from top to bottom: the rows of the table that it draws, by their names.
var labStory = []struct {
	name, about string
	halves      [2]labHalfStory // new, old
	ours        bool            // it is what a Dialer does
}{
	{"upgrade", "RFC 6455 on HTTP/1.1", [2]labHalfStory{
		{row: "upgrade, new server, fresh connection"}, {row: "upgrade, old server, fresh connection"},
	}, false},
	{"settings", "RFC 8441: wait, then ask", [2]labHalfStory{
		{row: "settings, new server, fresh connection"}, {row: "settings, old server, fresh connection"},
	}, false},
	{"assume, alone", "ask at once", [2]labHalfStory{
		{row: "assume, new server, fresh connection, Spare: Never"}, {row: "assume, old server, fresh connection, Spare: Never"},
	}, false},
	{"assume, with a spare", "weft, first dial", [2]labHalfStory{
		{row: "assume, new server, fresh connection"}, {row: "assume, old server, fresh connection", note: "once"},
	}, true},
	{"and from then on", "weft, next dials", [2]labHalfStory{
		{row: "assume, new server, live connection", note: "the connection is there"},
		{row: "assume, old server, fresh connection, remembered", note: "remembered"},
	}, true},
	{"over HTTP/3", "once Alt-Svc has named it", [2]labHalfStory{
		{row: "h3, new server, fresh connection, default policy, second", note: "a new connection"},
		{note: "nothing names it: not tried"},
	}, true},
}

// A labHalfStory is a row, or, without its name, why there is none.
type labHalfStory struct{ row, note string }

// A labPicture is the waterfall of these rows, in the picture's units.
type labPicture struct {
	Desc, Source               string
	Width, Height              int
	CardWidth, CardHeight      int
	New, Old                   int // where the halves begin
	Top, Bottom                int // of the rows
	Ours, OursWidth            int // what a Dialer does
	OursHeight                 int
	FootTop, FootMiddle, FootY int
	Ticks                      []int
	Rows                       []labPictureRow
}

type labPictureRow struct {
	Name, About      string
	Y, NameY, AboutY int
	Halves           []labHalf
}

// A labHalf is a row with one kind of server.
type labHalf struct {
	Title            string
	Blocks           []labBlock
	Badges           []labPoint // where an attempt has failed
	NumberX, NumberY int
	Number, Note     string
}

// A labBlock is a wait.
type labBlock struct {
	X, Y, Width, Height, TextX, TextY int
	Class, Text, TextClass            string
}

type labPoint struct{ X, Y int }

// The picture's measures.
const (
	tripsWidth = 960
	tripsNew   = 208
	tripsOld   = 516
	tripsUnit  = 60 // a round trip
	tripsTop   = 108
	tripsBlock = 24 // the height of a connection
	tripsLane  = 29 // and that with the space below it
	tripsPad   = 13 // above and below a row
	tripsFoot  = 42
)

// labPictureSVG draws where the round trips go: as computed, with the numbers of those rows that were measured.
func labPictureSVG(rows []lab.Row) (string, error) {
	cases := make(map[string]lab.Case)
	for _, c := range lab.Cases() {
		cases[c.Row.String()] = c
	}
	measured := make(map[string]float64)
	for _, r := range rows {
		measured[r.String()] = r.Live
	}
	p := labPicture{
		Width: tripsWidth, CardWidth: tripsWidth - 1, OursWidth: tripsWidth - 2, New: tripsNew, Old: tripsOld,
		Top: tripsTop, Source: "computed by weft lab rtt",
	}
	for i, n := range []int{4, 6} {
		for trip := range n + 1 {
			p.Ticks = append(p.Ticks, []int{tripsNew, tripsOld}[i]+trip*tripsUnit)
		}
	}
	var desc []string
	y := tripsTop
	for _, s := range labStory {
		if s.ours && p.Ours == 0 {
			p.Ours = y
		}
		row := labPictureRow{Name: s.name, About: s.about, Y: y, NameY: y + tripsPad + 11, AboutY: y + tripsPad + 29}
		height := tripsBlock
		for i, half := range s.halves {
			if half.row == "" {
				row.Halves = append(row.Halves, labHalf{Note: half.note, NumberX: []int{tripsNew, tripsOld}[i], NumberY: y + tripsPad + tripsBlock/2 + 4})
				continue
			}
			c, ok := cases[half.row]
			if !ok {
				return "", fmt.Errorf("picture: there is no row %q", half.row)
			}
			lanes, err := c.Lanes()
			if err != nil {
				return "", err
			}
			h := drawLanes(lanes, []int{tripsNew, tripsOld}[i], y+tripsPad, half.note, measured[half.row])
			if measured[half.row] != 0 {
				p.Source = "computed, and measured, by weft lab rtt"
			}
			h.Title = half.row + ": " + h.Number
			row.Halves = append(row.Halves, h)
			height = max(height, len(lanes)*tripsLane-(tripsLane-tripsBlock), row.AboutY-y-tripsPad+4)
		}
		told := fmt.Sprintf("%s (%s): %s on a new server", s.name, s.about, row.Halves[0].Number)
		if n := row.Halves[1].Number; n != "" {
			told += fmt.Sprintf(", %s on an old one", n)
		}
		desc = append(desc, told+".")
		p.Rows = append(p.Rows, row)
		y += height + 2*tripsPad
	}
	p.Desc, p.OursHeight = strings.Join(desc, " "), y-p.Ours
	p.Bottom, p.FootTop, p.FootMiddle, p.FootY, p.Height, p.CardHeight = y, y+13, y+21, y+25, y+tripsFoot, y+tripsFoot-1
	var b strings.Builder
	err := labPictureTemplate.Execute(&b, p)
	return b.String(), err
}

// drawLanes draws a dial that starts at x, with its first connection at y.
func drawLanes(lanes []lab.Lane, x, y int, note string, measured float64) labHalf {
	var h labHalf
	at := func(trips float64) int { return x + int(trips*tripsUnit) }
	for _, l := range lanes {
		middle := y + tripsBlock/2
		for _, s := range l.Spans {
			b := labBlock{
				X: at(s.Start) + 1, Y: y, Width: at(s.End) - at(s.Start) - 2, Height: tripsBlock,
				TextX: (at(s.Start) + at(s.End)) / 2, TextY: middle + 4, Class: s.Name, Text: labBlockText(l, s), TextClass: "in",
			}
			if l.Verdict == negotiate.VerdictUnused {
				b.Class, b.TextClass = "unused", "out"
			}
			h.Blocks = append(h.Blocks, b)
		}
		end := at(l.Spans[len(l.Spans)-1].End)
		switch l.Verdict {
		case negotiate.VerdictUnused:
		case negotiate.VerdictOpen:
			h.Number, h.Note = fmt.Sprint(l.Spans[len(l.Spans)-1].End), note
			h.NumberX, h.NumberY = end+10, middle+8
			if measured != 0 {
				h.Note = strings.TrimSuffix(fmt.Sprintf("%.2f %s", measured, note), " ")
			}
		default:
			h.Badges = append(h.Badges, labPoint{end + 11, middle})
		}
		y += tripsLane
	}
	return h
}

// labBlockText is what is waited for.
func labBlockText(l lab.Lane, s lab.Span) string {
	switch {
	case s.Name != "request":
		return strings.ToUpper(s.Name)
	case l.Rung == negotiate.Upgrade:
		return "GET"
	}
	return "CONNECT"
}

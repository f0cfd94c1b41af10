package main

import (
	_ "embed"
	"fmt"
	"html/template"
	"io"

	"github.com/weftws/weft/lab"
)

//go:embed lab.html
var labPageText string

var labPageTemplate = template.Must(template.New("lab.html").Parse(labPageText))

// A labPage is what the template gets.
type labPage struct {
	Setting string
	Picture template.HTML
	Parts   []labPart
	Rows    []labLine
	Remarks []string
}

// A labPart is the picture of the rows of one peer, or of our own, in the picture's units.
type labPart struct {
	Title         string
	Width, Height int
	Ticks         []probeTick
	Bars          []labBar
}

// A labBar is a row: a frame as long as what was computed, and in it a bar as long as what was measured.
type labBar struct {
	Rung, Label, Number, Title string
	Class, TextClass           string
	Y, LiveY, TextY            int
	X, Exact, Live, EndX       float64
}

// A labLine is a row of the table.
type labLine struct {
	Rung, Server, Connection, Note, Exact, Live, Off string
	Bad                                              bool
}

// writeLabPage writes the page.
func writeLabPage(w io.Writer, rows []lab.Row, setting string, remarks []string) error {
	picture, err := labPictureSVG(rows)
	if err != nil {
		return err
	}
	page := labPage{Setting: setting, Picture: template.HTML(picture), Remarks: remarks} // it comes from a template that escapes
	for len(rows) > 0 {
		n := 1
		for n < len(rows) && rows[n].Peer == rows[0].Peer {
			n++
		}
		page.Parts = append(page.Parts, drawLab(rows[:n]))
		for _, r := range rows[:n] {
			page.Rows = append(page.Rows, labLineOf(r))
		}
		rows = rows[n:]
	}
	return labPageTemplate.Execute(w, page)
}

// The picture's measures, beside those of the probe's.
const (
	labLabel = 330
	labTrips = 7 // how many round trips it is wide
)

func drawLab(rows []lab.Row) labPart {
	part := labPart{Title: rows[0].Peer, Width: pictureWidth}
	if part.Title == "" {
		part.Title = "this module's server"
	}
	const unit = (pictureWidth - labLabel - pictureRight) / float64(labTrips)
	for n := range labTrips + 1 {
		part.Ticks = append(part.Ticks, probeTick{X: hundredths(labLabel + float64(n)*unit), Text: fmt.Sprint(n)})
	}
	y := pictureTop
	for _, r := range rows {
		b := labBar{
			Rung: string(r.Rung), Label: fmt.Sprintf("%s server, %s connection", r.Server, r.Connection), Class: r.Server,
			Y: y + 6, LiveY: y + 9, TextY: y + pictureRow*2/3, X: labLabel, Exact: hundredths(min(r.Exact, labTrips) * unit), Live: hundredths(min(r.Live, labTrips) * unit),
			Number: fmt.Sprint(hundredths(r.Exact)), Title: fmt.Sprintf("%s: computed %s", r, exactText(r)),
		}
		if note := r.Note(); note != "" {
			b.Label = fmt.Sprintf("%s, %s: %s", r.Server, r.Connection, note)
		}
		switch {
		case r.Error != "":
			b.Number, b.TextClass = "failed", "bad"
			b.Title += ", " + r.Error
		case r.Live != 0:
			b.Number = fmt.Sprintf("%.2f", r.Live)
			b.Title += fmt.Sprintf(", measured %.2f", r.Live)
		}
		if !r.Agrees() {
			b.Class, b.TextClass = "bad", "bad"
		}
		b.EndX = hundredths(b.X + max(b.Exact, b.Live) + 6)
		part.Bars = append(part.Bars, b)
		y += pictureRow
	}
	part.Height = y + pictureBottom
	return part
}

func labLineOf(r lab.Row) labLine {
	line := labLine{
		Rung: string(r.Rung), Server: r.Server, Connection: r.Connection, Note: r.Note(), Exact: exactText(r),
		Bad: r.Error != "" || !r.Agrees(),
	}
	if r.Peer != "" {
		line.Server = r.Peer + " (" + r.Server + ")"
	}
	switch {
	case r.Error != "":
		line.Live = "failed: " + r.Error
	case r.Live != 0:
		line.Live, line.Off = fmt.Sprintf("%.2f", r.Live), deviation(r)
	}
	return line
}

package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// document writes the tables, the pictures and the words that follow from them into the module in dir.
func (rep *report) document(dir, tables string) error {
	if err := spliceFile(filepath.Join(dir, "bench", "README.md"), tables); err != nil {
		return err
	}
	words, err := rep.summary()
	if err != nil {
		return err
	}
	if err := spliceFile(filepath.Join(dir, "README.md"), words); err != nil {
		return err
	}
	for name, draw := range map[string]func() (string, error){"bench.svg": rep.drawPicture, "growth.svg": rep.drawGrowth} {
		svg, err := draw()
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(dir, "docs", name), []byte(svg), 0o644); err != nil {
			return err
		}
	}
	return nil
}

const (
	beginMark = "<!-- bench: begin -->\n"
	endMark   = "<!-- bench: end -->\n"
)

// spliceFile replaces what stands between the marks in file.
func spliceFile(file, text string) error {
	b, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	s, err := splice(string(b), text)
	if err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	return os.WriteFile(file, []byte(s), 0o644)
}

func splice(doc, text string) (string, error) {
	head, rest, ok := strings.Cut(doc, beginMark)
	if !ok {
		return "", errors.New("no begin mark")
	}
	_, tail, ok := strings.Cut(rest, endMark)
	if !ok {
		return "", errors.New("no end mark")
	}
	return head + beginMark + text + endMark + tail, nil
}

package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"

	"github.com/weftws/weft"
)

// A printer writes what arrives to standard output. Safe for concurrent use.
type printer struct {
	mu        sync.Mutex
	w         io.Writer
	json, raw bool
	terminal  bool // control characters are shown, not obeyed
}

// shownBytes is how much of a binary message is printed.
const shownBytes = 16

func (p *printer) message(m message) error {
	switch {
	case p.json:
		// encoding/json writes a []byte as base64.
		if m.typ == weft.MessageBinary {
			return p.object(struct {
				Type string `json:"type"`
				Data []byte `json:"data"`
			}{m.typ.String(), m.data})
		}
		return p.object(struct {
			Type string `json:"type"`
			Data string `json:"data"`
		}{m.typ.String(), string(m.data)})
	case p.raw:
		return p.write(m.data)
	case m.typ == weft.MessageBinary:
		return p.write([]byte(dump(m.data) + "\n"))
	case p.terminal:
		return p.write([]byte(visible(string(m.data)) + "\n"))
	default:
		return p.write(append(m.data, '\n'))
	}
}

func (p *printer) write(b []byte) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if _, err := p.w.Write(b); err != nil {
		return fmt.Errorf("standard output: %w", err)
	}
	return nil
}

// object writes v as a line of JSON.
func (p *printer) object(v any) error {
	var b strings.Builder
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return err
	}
	return p.write([]byte(b.String()))
}

// opened, closed and failure print events, with --json only; whoever cannot write them will fail on a message.

func (p *printer) opened(url, subprotocol string, tr weft.Trace, whole bool) {
	if !p.json {
		return
	}
	var account *weft.Trace
	if whole {
		account = &tr
	}
	p.object(struct {
		Event       string      `json:"event"`
		URL         string      `json:"url"`
		Version     string      `json:"version"`
		Rung        string      `json:"rung"`
		RoundTrips  int         `json:"round_trips"`
		Conn        uint64      `json:"conn"`
		Stream      uint64      `json:"stream"`
		Remote      string      `json:"remote"`
		Subprotocol string      `json:"subprotocol"`
		Compression string      `json:"compression"`
		Trace       *weft.Trace `json:"trace,omitempty"`
	}{"open", url, tr.Version, tr.Rung.String(), tr.RoundTrips, tr.ConnID, tr.StreamID, tr.RemoteAddr, subprotocol, tr.Compression, account})
}

func (p *printer) closed(code weft.StatusCode, reason string) {
	if !p.json {
		return
	}
	p.object(struct {
		Event  string `json:"event"`
		Code   int    `json:"code"`
		Reason string `json:"reason"`
	}{"close", int(code), reason})
}

func (p *printer) failure(err error, attempts []weft.Attempt) {
	if !p.json {
		return
	}
	p.object(struct {
		Event    string         `json:"event"`
		Error    string         `json:"error"`
		Attempts []weft.Attempt `json:"attempts,omitempty"`
	}{"error", trimmed{err}.Error(), attempts})
}

// dump describes bytes in one line: `binary, 5 bytes: 68 65 6c 6c 6f  |hello|`.
func dump(data []byte) string {
	unit := "bytes"
	if len(data) == 1 {
		unit = "byte"
	}
	if len(data) == 0 {
		return "binary, 0 bytes"
	}
	shown, more := data, ""
	if len(data) > shownBytes {
		shown, more = data[:shownBytes], " ..."
	}
	ascii := make([]byte, len(shown))
	for i, b := range shown {
		ascii[i] = '.'
		if b >= ' ' && b <= '~' {
			ascii[i] = b
		}
	}
	return fmt.Sprintf("binary, %d %s: % x%s  |%s|", len(data), unit, shown, more, ascii)
}

// visible replaces control characters, which a peer could use to take over a terminal, with symbols for them; line feeds
// and tabs stay.
func visible(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\t':
			return r
		case r < ' ':
			return '␀' + r // the Unicode block of control pictures
		case unicode.IsControl(r) || unicode.Is(unicode.Cf, r):
			return utf8.RuneError
		}
		return r
	}, s)
}

package main

import (
	"strings"
	"testing"

	"github.com/weftws/weft"
)

func TestPrinter(t *testing.T) {
	text := func(s string) message { return message{weft.MessageText, []byte(s)} }
	binary := func(s string) message { return message{weft.MessageBinary, []byte(s)} }
	tests := []struct {
		name string
		mode string
		m    message
		want string
	}{
		{"text", "", text("żółć"), "żółć\n"},
		{"empty text", "", text(""), "\n"},
		{"escape sequence into a pipe", "", text("\x1b[2J"), "\x1b[2J\n"},
		{"escape sequence at a terminal", "terminal", text("a\x1b[2J\tb\u009b\u202e"), "a␛[2J\tb\ufffd\ufffd\n"},
		{"binary", "", binary("hi\x00\x7f"), "binary, 4 bytes: 68 69 00 7f  |hi..|\n"},
		{"one byte", "", binary("!"), "binary, 1 byte: 21  |!|\n"},
		{"no bytes", "", binary(""), "binary, 0 bytes\n"},
		{"16 bytes", "", binary("0123456789abcdef"), "binary, 16 bytes: 30 31 32 33 34 35 36 37 38 39 61 62 63 64 65 66  |0123456789abcdef|\n"},
		{"17 bytes", "", binary("0123456789abcdefg"), "binary, 17 bytes: 30 31 32 33 34 35 36 37 38 39 61 62 63 64 65 66 ...  |0123456789abcdef|\n"},
		{"raw", "raw", binary("a\n\x00"), "a\n\x00"},
		{"JSON text", "json", text("<\"\n>"), `{"type":"text","data":"<\"\n>"}` + "\n"},
		{"JSON binary", "json", binary("\x00\xff"), `{"type":"binary","data":"AP8="}` + "\n"},
		{"JSON no bytes", "json", binary(""), `{"type":"binary","data":""}` + "\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var b strings.Builder
			p := &printer{w: &b, json: tt.mode == "json", raw: tt.mode == "raw", terminal: tt.mode == "terminal"}
			if err := p.message(tt.m); err != nil {
				t.Fatal(err)
			}
			if b.String() != tt.want {
				t.Errorf("printed %q, want %q", b.String(), tt.want)
			}
		})
	}
}

func TestCatOptions(t *testing.T) {
	c := cat{
		url: "wss://example.com/x", headers: []string{"Host: other.example", "X-A:1", "x-a:  2 "},
		subprotocols: []string{"v2", "v1"}, rungs: "settings", deflate: true, insecure: true,
	}
	dialer, opt, err := c.options()
	if err != nil {
		t.Fatal(err)
	}
	if opt.Host != "other.example" || opt.HTTPHeader.Get("Host") != "" {
		t.Errorf("Host is %q, and %q among the fields", opt.Host, opt.HTTPHeader.Get("Host"))
	}
	if got := strings.Join(opt.HTTPHeader.Values("X-A"), "|"); got != "1|2" {
		t.Errorf("X-A is %q, want 1|2", got)
	}
	if opt.Policy == nil || len(opt.Policy.Rungs) != 1 || opt.Policy.Rungs[0] != weft.Settings {
		t.Errorf("policy is %+v, want the rung settings alone", opt.Policy)
	}
	if opt.CompressionMode == weft.CompressionDisabled {
		t.Error("--deflate offers nothing")
	}
	if !dialer.TLSConfig.InsecureSkipVerify {
		t.Error("--insecure verifies")
	}
	if dialer.HTTPSResolver == nil || opt.Policy.EarlyConnect || opt.Policy.HeadStart != -1 {
		t.Errorf("resolver %v, policy %+v; want one, and no head start", dialer.HTTPSResolver, opt.Policy)
	}
	plain := cat{url: "ws://example.com/", headStart: defaultHeadStart, noRecords: true}
	dialer, opt, err = plain.options()
	if err != nil {
		t.Fatal(err)
	}
	if dialer.TLSConfig != nil || opt.Policy.Rungs != nil || opt.Policy.EarlyConnect || dialer.HTTPSResolver != nil || opt.Policy.HeadStart != defaultHeadStart || opt.CompressionMode != weft.CompressionDisabled || dialer.PriorKnowledge {
		t.Errorf("without flags: %+v, %+v", dialer, opt)
	}
}

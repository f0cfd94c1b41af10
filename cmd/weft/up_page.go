package main

import (
	"bytes"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"fmt"
	"net/http"
	"regexp"
	"strings"
)

// page is one file that asks for nothing else: its style and script are inline.
//
//go:embed page.html
var page []byte

// pagePolicy allows the page its own style and script, by hash, and WebSockets to where it came from; %s is its host.
var pagePolicy = strings.Join([]string{
	"default-src 'none'",
	"style-src " + inlineHash("style"),
	"script-src " + inlineHash("script"),
	"img-src data:",
	"connect-src 'self'%s",
	"base-uri 'none'", "form-action 'none'", "frame-ancestors 'none'",
}, "; ")

// inlineHash returns the source expression for the page's one element of that name. Content Security Policy Level 3,
// Section 2.3.1.
func inlineHash(element string) string {
	_, rest, _ := bytes.Cut(page, []byte("<"+element+">"))
	body, _, found := bytes.Cut(rest, []byte("</"+element+">"))
	if !found {
		panic("page.html has no <" + element + ">")
	}
	sum := sha256.Sum256(body)
	return "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
}

// plainHost matches a Host that is safe to repeat in a header.
var plainHost = regexp.MustCompile(`^[A-Za-z0-9.\-:\[\]]{1,255}$`)

func servePage(w http.ResponseWriter, r *http.Request) {
	// 'self' covers wss in browsers that follow the third level of the policy; older ones want it spelled out.
	sockets := ""
	if plainHost.MatchString(r.Host) {
		sockets = " ws://" + r.Host + " wss://" + r.Host
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", fmt.Sprintf(pagePolicy, sockets))
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cache-Control", "no-cache")
	// Isolated, the page may use the precise clock.
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Embedder-Policy", "require-corp")
	w.Write(page)
}

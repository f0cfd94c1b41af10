package main

import (
	"net/http"

	"github.com/weftws/weft"
)

// A site is the playground's handlers.
type site struct {
	log       *connLog
	anyOrigin bool
	chat      *chatRoom
}

func newSite(l *connLog, anyOrigin bool) http.Handler {
	s := &site{log: l, anyOrigin: anyOrigin, chat: newChatRoom()}
	mux := http.NewServeMux()
	mux.HandleFunc("/echo", s.serveEcho)
	mux.HandleFunc("/chat", s.serveChat)
	mux.HandleFunc("/stream", s.serveStream)
	mux.HandleFunc("GET /{$}", servePage)
	return mux
}

// accept opens the WebSocket, or answers why not and returns nil.
func (s *site) accept(w http.ResponseWriter, r *http.Request, opt weft.AcceptOptions) *session {
	opt.InsecureSkipVerify = s.anyOrigin
	c, err := weft.Accept(w, r, &opt) // answers itself
	if err != nil {
		return nil
	}
	return newSession(s.log, r, c)
}

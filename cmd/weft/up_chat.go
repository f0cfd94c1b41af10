package main

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"

	"github.com/weftws/weft"
)

const (
	chatLimit     = 4 << 10 // bytes in a message
	chatNameRunes = 32
	// chatBacklog is how many messages may wait for one member; who falls further behind is closed with 1013.
	chatBacklog = 64
)

// A chatRoom passes every member's messages on to all. Nobody waits for a slow member: each has a queue and a goroutine
// that writes it.
type chatRoom struct {
	mu      sync.Mutex
	guests  int
	members map[*chatMember]struct{}
}

type chatMember struct {
	*session
	room  *chatRoom
	name  string
	queue chan []byte   // never closed
	gone  chan struct{} // closed by OnClose
}

func newChatRoom() *chatRoom { return &chatRoom{members: map[*chatMember]struct{}{}} }

func (s *site) serveChat(w http.ResponseWriter, r *http.Request) {
	name := r.URL.Query().Get("name")
	if utf8.RuneCountInString(name) > chatNameRunes || strings.ContainsFunc(name, unprintable) {
		http.Error(w, fmt.Sprintf("name may have up to %d printable characters", chatNameRunes), http.StatusBadRequest)
		return
	}
	c := s.accept(w, r, weft.AcceptOptions{CompressionMode: weft.CompressionNoContextTakeover})
	if c == nil {
		return
	}
	c.SetReadLimit(chatLimit)
	m := &chatMember{
		session: c, room: s.chat, name: name,
		queue: make(chan []byte, chatBacklog), gone: make(chan struct{}),
	}
	s.chat.join(m)
	go m.write()
	c.Handle(m)
}

func (room *chatRoom) join(m *chatMember) {
	room.mu.Lock()
	if m.name == "" {
		room.guests++
		m.name = fmt.Sprintf("guest-%d", room.guests)
	}
	room.members[m] = struct{}{}
	room.mu.Unlock()
	room.say("* " + m.name + " joined")
}

func (room *chatRoom) leave(m *chatMember) {
	room.mu.Lock()
	_, in := room.members[m]
	delete(room.members, m)
	room.mu.Unlock()
	if in {
		room.say("* " + m.name + " left")
	}
}

// say queues text for every member. It does not block.
func (room *chatRoom) say(text string) {
	line := []byte(text)
	var slow []*chatMember
	room.mu.Lock()
	for m := range room.members {
		select {
		case m.queue <- line:
		default:
			slow = append(slow, m)
			delete(room.members, m)
		}
	}
	room.mu.Unlock()
	for _, m := range slow {
		go m.Close(weft.StatusTryAgainLater, fmt.Sprintf("%d messages behind", chatBacklog))
		room.say("* " + m.name + " is too slow and had to leave")
	}
}

// write sends what is queued until the WebSocket ends.
func (m *chatMember) write() {
	for {
		select {
		case line := <-m.queue:
			if m.send(weft.MessageText, line) != nil {
				return
			}
		case <-m.gone:
			return
		}
	}
}

func (m *chatMember) OnMessage(_ *weft.Conn, typ weft.MessageType, p []byte) {
	m.in.Add(1)
	if typ != weft.MessageText {
		go m.Close(weft.StatusUnsupportedData, "chat takes text")
		return
	}
	// A message is one line, so that nobody can write another's.
	text := strings.Map(func(r rune) rune {
		if unprintable(r) {
			return ' '
		}
		return r
	}, string(p))
	m.room.say(m.name + ": " + text)
}

func (m *chatMember) OnClose(_ *weft.Conn, err error) {
	close(m.gone)
	m.ended(err)
	m.room.leave(m)
}

func unprintable(r rune) bool { return !unicode.IsGraphic(r) }

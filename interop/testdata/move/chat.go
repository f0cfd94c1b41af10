package main

import (
	"bytes"
	"fmt"
	"log"
	"net/http"
	"time"

	"github.com/gorilla/websocket"
)

const maxMessageSize = 512

type member struct {
	name string
	hub  *hub
	conn *websocket.Conn
	send chan []byte
}

type hub struct {
	members              map[*member]bool
	broadcast            chan []byte
	register, unregister chan *member
}

func newHub() *hub {
	return &hub{
		members: map[*member]bool{}, broadcast: make(chan []byte),
		register: make(chan *member), unregister: make(chan *member),
	}
}

func (h *hub) run() {
	for {
		select {
		case m := <-h.register:
			h.members[m] = true
			m.send <- []byte("welcome " + m.name)
		case m := <-h.unregister:
			if h.members[m] {
				delete(h.members, m)
				close(m.send)
			}
		case message := <-h.broadcast:
			for m := range h.members {
				select {
				case m.send <- message:
				default:
					delete(h.members, m)
					close(m.send)
				}
			}
		}
	}
}

func (m *member) readPump() {
	m.conn.SetReadLimit(maxMessageSize)
	m.conn.SetReadDeadline(time.Now().Add(pongWait))
	m.conn.SetPongHandler(func(string) error { m.conn.SetReadDeadline(time.Now().Add(pongWait)); return nil })
	for {
		_, message, err := m.conn.ReadMessage()
		if err != nil {
			m.hub.unregister <- m
			unexpected := websocket.IsUnexpectedCloseError(err, websocket.CloseGoingAway, websocket.CloseAbnormalClosure)
			m.hub.broadcast <- fmt.Appendf(nil, "%s left: %v (unexpected: %v)", m.name, err, unexpected)
			m.conn.Close()
			return
		}
		m.hub.broadcast <- fmt.Appendf(nil, "%s: %s", m.name, bytes.TrimSpace(message))
	}
}

func (m *member) writePump() {
	ticker := time.NewTicker(pingPeriod)
	defer ticker.Stop()
	defer m.conn.Close()
	for {
		select {
		case message, ok := <-m.send:
			m.conn.SetWriteDeadline(time.Now().Add(writeWait))
			if !ok {
				m.conn.WriteMessage(websocket.CloseMessage, []byte{})
				return
			}
			w, err := m.conn.NextWriter(websocket.TextMessage)
			if err != nil {
				return
			}
			w.Write(message)
			w.Write([]byte{'\n'})
			if err := w.Close(); err != nil {
				return
			}
		case <-ticker.C:
			m.conn.SetWriteDeadline(time.Now().Add(writeWait))
			if err := m.conn.WriteMessage(websocket.PingMessage, nil); err != nil {
				return
			}
		}
	}
}

func serveChat(h *hub, w http.ResponseWriter, r *http.Request) {
	conn, err := upgrader.Upgrade(w, r, nil)
	if err != nil {
		log.Println(err)
		return
	}
	m := &member{name: r.URL.Query().Get("name"), hub: h, conn: conn, send: make(chan []byte, 256)}
	h.register <- m
	go m.writePump()
	go m.readPump()
}

func dialChat(url string) {
	members := map[string]*websocket.Conn{}
	show := func(names ...string) {
		for _, name := range names {
			_, message, err := members[name].ReadMessage()
			fmt.Printf("%s sees %q, %v\n", name, message, err)
		}
	}
	for _, name := range []string{"ann", "ben", "cleo"} {
		members[name] = dial(url + "?name=" + name)
		show(name)
	}
	for _, name := range []string{"ann", "ben"} {
		members[name].WriteMessage(websocket.TextMessage, []byte(" hello from "+name+" "))
		show("ann", "ben", "cleo")
	}
	members["ben"].Close()
	show("ann", "cleo")
	members["cleo"].WriteMessage(websocket.TextMessage, make([]byte, maxMessageSize+1))
	show("ann", "cleo")
	members["ann"].WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(websocket.CloseGoingAway, ""), time.Now().Add(writeWait))
	show("ann")
	for _, c := range members {
		c.Close()
	}
}

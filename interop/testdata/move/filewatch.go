package main

import (
	"bytes"
	"fmt"
	"log"
	"net/http"
	"os"
	"time"

	"github.com/gorilla/websocket"
)

const filePeriod = 20 * time.Millisecond

func watchReader(ws *websocket.Conn) {
	defer ws.Close()
	ws.SetReadLimit(512)
	ws.SetReadDeadline(time.Now().Add(pongWait))
	ws.SetPongHandler(func(string) error { ws.SetReadDeadline(time.Now().Add(pongWait)); return nil })
	for {
		if _, _, err := ws.ReadMessage(); err != nil {
			return
		}
	}
}

func watchWriter(ws *websocket.Conn) {
	pings, files := time.NewTicker(pingPeriod), time.NewTicker(filePeriod)
	defer func() {
		pings.Stop()
		files.Stop()
		ws.Close()
	}()
	var last []byte
	for {
		select {
		case <-files.C:
			p, err := os.ReadFile(watched)
			if err != nil || len(p) == 0 || bytes.Equal(p, last) {
				continue
			}
			last = p
			ws.SetWriteDeadline(time.Now().Add(writeWait))
			if err := ws.WriteMessage(websocket.TextMessage, p); err != nil {
				return
			}
		case <-pings.C:
			ws.SetWriteDeadline(time.Now().Add(writeWait))
			if err := ws.WriteMessage(websocket.PingMessage, []byte{}); err != nil {
				return
			}
		}
	}
}

func serveFilewatch(w http.ResponseWriter, r *http.Request) {
	ws, err := upgrader.Upgrade(w, r, nil)
	if err != nil {
		if _, ok := err.(websocket.HandshakeError); !ok {
			log.Println(err)
		}
		return
	}
	go watchWriter(ws)
	watchReader(ws)
}

func dialFilewatch(url string) {
	change := func(text string) {
		// In one step, so that nobody sees half of it.
		os.WriteFile(watched+".new", []byte(text), 0o600)
		os.Rename(watched+".new", watched)
	}
	change("first")
	ws := dial(url)
	pings := 0
	ping := ws.PingHandler()
	ws.SetPingHandler(func(data string) error {
		pings++
		return ping(data)
	})
	show := func() {
		_, p, err := ws.ReadMessage()
		fmt.Printf("%q, %v\n", p, err)
	}
	show()
	change("second")
	show()
	// Longer than the server waits for a Pong.
	time.AfterFunc(pongWait+pongWait/4, func() { change("third") })
	show()
	fmt.Println("pings:", pings > 1)
	ws.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
	_, _, err := ws.ReadMessage()
	_, _, again := ws.ReadMessage()
	timeout, ok := err.(interface{ Timeout() bool })
	fmt.Println("deadline:", ok && timeout.Timeout(), err.Error() == again.Error())
	fmt.Println("close:", ws.Close())
}

package main

import (
	"bytes"
	"fmt"
	"log"
	"net/http"
	"time"

	"github.com/gorilla/websocket"
)

func serveEcho(w http.ResponseWriter, r *http.Request) {
	c, err := upgrader.Upgrade(w, r, nil)
	if err != nil {
		log.Print("upgrade: ", err)
		return
	}
	defer c.Close()
	for {
		mt, message, err := c.ReadMessage()
		if err != nil {
			break
		}
		if err := c.WriteMessage(mt, message); err != nil {
			break
		}
	}
}

func dialEcho(url string) {
	resp, err := http.Get("http" + url[len("wss"):])
	fmt.Println("plain GET:", resp == nil, err != nil)

	c := dial(url)
	defer c.Close()
	fmt.Println("subprotocol", c.Subprotocol())
	pongs := make(chan string, 1)
	c.SetPongHandler(func(data string) error {
		pongs <- data
		return nil
	})
	received := make(chan []byte)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			_, message, err := c.ReadMessage()
			if err != nil {
				fmt.Println("read:", err)
				return
			}
			received <- message
		}
	}()
	for i := range 3 {
		if err := c.WriteMessage(websocket.TextMessage, fmt.Appendf(nil, "message %d", i)); err != nil {
			fmt.Println("write:", err)
		}
		fmt.Printf("recv: %s\n", <-received)
	}
	big := bytes.Repeat([]byte("0123456789abcdef"), 50_000)
	c.WriteMessage(websocket.BinaryMessage, big)
	fmt.Println("big:", bytes.Equal(<-received, big))
	c.WriteJSON(map[string]int{"answer": 42})
	fmt.Printf("json: %s", <-received)
	fmt.Println("ping:", c.WriteControl(websocket.PingMessage, []byte("there?"), time.Now().Add(writeWait)))
	fmt.Println("pong:", <-pongs)
	fmt.Println("too long:", c.WriteControl(websocket.PingMessage, make([]byte, 126), time.Now().Add(writeWait)))

	err = c.WriteMessage(websocket.CloseMessage, websocket.FormatCloseMessage(websocket.CloseNormalClosure, "bye"))
	fmt.Println("close:", err)
	<-done
	fmt.Println("write after close:", c.WriteMessage(websocket.TextMessage, nil))
}

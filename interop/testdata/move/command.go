package main

import (
	"bufio"
	"fmt"
	"io"
	"log"
	"net/http"
	"os/exec"
	"time"

	"github.com/gorilla/websocket"
)

func pumpStdin(ws *websocket.Conn, w io.WriteCloser) {
	defer ws.Close()
	defer w.Close()
	ws.SetReadLimit(8192)
	ws.SetReadDeadline(time.Now().Add(pongWait))
	ws.SetPongHandler(func(string) error { ws.SetReadDeadline(time.Now().Add(pongWait)); return nil })
	for {
		_, message, err := ws.ReadMessage()
		if err != nil {
			break
		}
		if string(message) == "quit" {
			w.Close()
			continue
		}
		if _, err := w.Write(append(message, '\n')); err != nil {
			break
		}
	}
}

func pumpStdout(ws *websocket.Conn, r io.Reader, done chan struct{}) {
	s := bufio.NewScanner(r)
	for s.Scan() {
		ws.SetWriteDeadline(time.Now().Add(writeWait))
		if err := ws.WriteMessage(websocket.TextMessage, s.Bytes()); err != nil {
			ws.Close()
			break
		}
	}
	close(done)
	ws.SetWriteDeadline(time.Now().Add(writeWait))
	ws.WriteMessage(websocket.CloseMessage, websocket.FormatCloseMessage(websocket.CloseNormalClosure, "the command has ended"))
	time.Sleep(100 * time.Millisecond)
	ws.Close()
}

func ping(ws *websocket.Conn, done chan struct{}) {
	ticker := time.NewTicker(pingPeriod)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			// Beside whoever writes: WriteControl may be called at any time.
			if err := ws.WriteControl(websocket.PingMessage, []byte{}, time.Now().Add(writeWait)); err != nil {
				return
			}
		case <-done:
			return
		}
	}
}

func serveCommand(w http.ResponseWriter, r *http.Request) {
	ws, err := upgrader.Upgrade(w, r, nil)
	if err != nil {
		log.Println("upgrade:", err)
		return
	}
	defer ws.Close()
	cmd := exec.Command("cat")
	stdin, err := cmd.StdinPipe()
	if err != nil {
		log.Println("stdin:", err)
		return
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		log.Println("stdout:", err)
		return
	}
	if err := cmd.Start(); err != nil {
		ws.WriteMessage(websocket.TextMessage, []byte("Internal server error."))
		return
	}
	stdoutDone := make(chan struct{})
	go pumpStdout(ws, stdout, stdoutDone)
	go ping(ws, stdoutDone)
	pumpStdin(ws, stdin)
	<-stdoutDone
	cmd.Wait()
}

func dialCommand(url string) {
	ws := dial(url)
	defer ws.Close()
	for _, line := range []string{"one", "", "three with words"} {
		if err := ws.WriteMessage(websocket.TextMessage, []byte(line)); err != nil {
			fmt.Println("write:", err)
		}
		_, p, err := ws.ReadMessage()
		fmt.Printf("%q, %v\n", p, err)
	}
	ws.SetCloseHandler(func(code int, text string) error {
		fmt.Printf("closing: %d %q\n", code, text)
		return ws.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(code, ""), time.Now().Add(writeWait))
	})
	ws.WriteMessage(websocket.TextMessage, []byte("quit"))
	for range 2 {
		typ, _, err := ws.ReadMessage()
		fmt.Println(typ, err, websocket.IsCloseError(err, websocket.CloseNormalClosure))
	}
}

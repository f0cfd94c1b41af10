// Command move is four programs as users of gorilla/websocket write them, each a server and a client. A test builds it with
// gorilla's package and with weft's under the same name.
//
//	move serve CERT KEY FILE        prints its URL; FILE is what filewatch watches
//	move dial NAME URL CERT FILE    plays the client of echo, chat, filewatch or command, and prints what it sees; FILE.proto then
//	                                has the version of HTTP
package main

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/gorilla/websocket"
)

const (
	writeWait  = 10 * time.Second
	pongWait   = time.Second
	pingPeriod = 200 * time.Millisecond
)

var upgrader = websocket.Upgrader{
	ReadBufferSize:  1024,
	WriteBufferSize: 1024,
	Subprotocols:    []string{"v2", "v1"},
}

var clients = map[string]func(url string){
	"echo": dialEcho, "chat": dialChat, "filewatch": dialFilewatch, "command": dialCommand,
}

var watched string // a file's name

func main() {
	log.SetFlags(0)
	switch {
	case len(os.Args) == 5 && os.Args[1] == "serve":
		watched = os.Args[4]
		serve(os.Args[2], os.Args[3])
	case len(os.Args) == 6 && os.Args[1] == "dial":
		watched = os.Args[5]
		trust(os.Args[4])
		clients[os.Args[2]](os.Args[3] + "/" + os.Args[2])
	default:
		log.Fatal("usage: move serve CERT KEY FILE | move dial NAME URL CERT FILE")
	}
}

func serve(cert, key string) {
	hub := newHub()
	go hub.run()
	http.HandleFunc("/echo", serveEcho)
	http.HandleFunc("/chat", func(w http.ResponseWriter, r *http.Request) { serveChat(hub, w, r) })
	http.HandleFunc("/filewatch", serveFilewatch)
	http.HandleFunc("/command", serveCommand)
	srv := &http.Server{}
	if err := configure(srv); err != nil {
		log.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("url wss://%s\n", l.Addr())
	log.Fatal(srv.ServeTLS(l, cert, key))
}

func trust(cert string) {
	pem, err := os.ReadFile(cert)
	if err != nil {
		log.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	websocket.DefaultDialer.TLSClientConfig = &tls.Config{RootCAs: roots}
	websocket.DefaultDialer.Subprotocols = []string{"v1", "v2"}
}

func dial(url string) *websocket.Conn {
	c, resp, err := websocket.DefaultDialer.Dial(url, nil)
	if err != nil {
		log.Fatal("dial: ", err)
	}
	if resp.StatusCode != http.StatusSwitchingProtocols {
		log.Fatal("status ", resp.Status)
	}
	os.WriteFile(watched+".proto", []byte(resp.Proto), 0o600)
	return c
}

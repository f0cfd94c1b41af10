package peers

import (
	"net"
	"net/http"
	"sync"
	"sync/atomic"

	"github.com/gorilla/websocket"
	"github.com/lxzan/gws"

	"github.com/weftws/weft"

	"github.com/weftws/weft/bench/load"
)

// A Room is what a server says of those that it sends each message to.
type Room struct {
	Members atomic.Int64 // who joined
	Dropped atomic.Int64 // deliveries that were not made because a peer was slow
}

var weftBroadcast = &Peer{
	Name: "weft-broadcast", Weft: true, Broadcast: true, Protos: []load.Proto{load.H2, load.H1},
	About: "Broadcaster with a Prepared message; it never waits, and drops for the slow",
	Serve: func(l net.Listener, o Options) error {
		r := &weftRoom{room: o.Room}
		return serveWeft(l, o, func(c *weft.Conn) {
			r.all.Add(c)
			o.Room.Members.Add(1)
			c.Handle(r)
		})
	},
}

type weftRoom struct {
	all  weft.Broadcaster
	room *Room
}

func (r *weftRoom) OnMessage(_ *weft.Conn, typ weft.MessageType, p []byte) {
	m, err := weft.Prepare(typ, p)
	if err != nil {
		return
	}
	r.all.Send(m)
	r.room.Dropped.Store(r.all.Stats().Dropped)
}

func (*weftRoom) OnClose(*weft.Conn, error) {}

var gwsBroadcast = &Peer{
	Name: "gws-broadcast", Module: "github.com/lxzan/gws", Broadcast: true, Protos: []load.Proto{load.H1},
	About: "its README's Broadcaster, which queues for each connection and writes in a goroutine",
	Serve: func(l net.Listener, o Options) error {
		up := gws.NewUpgrader(&gwsRoom{room: o.Room}, &gws.ServerOption{CheckUtf8Enabled: true, ReadMaxPayloadSize: maxMessageBytes})
		return serveHTTP1(l, o, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if c, err := up.Upgrade(w, r); err == nil {
				go c.ReadLoop()
			}
		}))
	},
}

type gwsRoom struct {
	gws.BuiltinEventHandler
	mu   sync.Mutex
	all  []*gws.Conn
	room *Room
}

func (r *gwsRoom) OnOpen(c *gws.Conn) {
	r.mu.Lock()
	r.all = append(r.all, c)
	r.mu.Unlock()
	r.room.Members.Add(1)
}

func (r *gwsRoom) OnMessage(_ *gws.Conn, m *gws.Message) {
	defer m.Close()
	b := gws.NewBroadcaster(m.Opcode, m.Bytes())
	defer b.Close()
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, c := range r.all {
		b.Broadcast(c)
	}
}

var gorillaBroadcast = &Peer{
	Name: "gorilla-broadcast", Module: "github.com/gorilla/websocket", Broadcast: true, Protos: []load.Proto{load.H1},
	About: "its examples/chat with a PreparedMessage: a channel and a goroutine that writes for each connection",
	Serve: func(l net.Listener, o Options) error {
		var up websocket.Upgrader
		r := &gorillaRoom{}
		return serveHTTP1(l, o, http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
			c, err := up.Upgrade(w, req, nil)
			if err != nil {
				return
			}
			c.SetReadLimit(maxMessageBytes)
			send := make(chan *websocket.PreparedMessage, 256)
			r.join(send)
			o.Room.Members.Add(1)
			go r.read(c)
			go func() {
				for m := range send {
					if err := c.WritePreparedMessage(m); err != nil {
						return
					}
				}
			}()
		}))
	},
}

type gorillaRoom struct {
	mu  sync.Mutex
	all []chan<- *websocket.PreparedMessage
}

func (r *gorillaRoom) join(send chan<- *websocket.PreparedMessage) {
	r.mu.Lock()
	r.all = append(r.all, send)
	r.mu.Unlock()
}

func (r *gorillaRoom) read(c *websocket.Conn) {
	defer c.Close()
	for {
		typ, p, err := c.ReadMessage()
		if err != nil {
			return
		}
		m, err := websocket.NewPreparedMessage(typ, p)
		if err != nil {
			return
		}
		r.mu.Lock()
		for _, send := range r.all {
			select {
			case send <- m:
			default: // too slow
			}
		}
		r.mu.Unlock()
	}
}

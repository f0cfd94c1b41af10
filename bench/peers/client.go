package peers

import (
	"bufio"
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"

	"github.com/coder/websocket"
	gorillaws "github.com/gorilla/websocket"
	"github.com/lxzan/gws"
	"golang.org/x/net/http2"

	"github.com/weftws/weft"

	"github.com/weftws/weft/bench/load"
)

// A Dial opens one more WebSocket to the echo server that it was made for, has its message echoed, and leaves it open and ready to
// receive. What it returns keeps it.
type Dial func(context.Context) (any, error)

const clientMessage = "a client's message"

var errWrongEcho = errors.New("wrong echo")

var weftClient = &Peer{
	Name: "weft-client", Weft: true, Protos: []load.Proto{load.H2},
	About: "Dial and Conn.Handle: no goroutine a WebSocket",
	Client: func(addr string, cfg *tls.Config) Dial {
		return weftDial(addr, cfg, func(ctx context.Context, c *weft.Conn) error {
			heard := make(chan bool, 1)
			c.Handle(weft.HandlerFuncs{Message: func(_ *weft.Conn, _ weft.MessageType, p []byte) { heard <- string(p) == clientMessage }})
			if err := c.Write(ctx, weft.MessageText, []byte(clientMessage)); err != nil {
				return err
			}
			select {
			case <-ctx.Done():
				return ctx.Err()
			case ok := <-heard:
				return wrongUnless(ok)
			}
		})
	},
}

var weftClientBlocking = &Peer{
	Name: "weft-client-blocking", Weft: true, Protos: []load.Proto{load.H2},
	About: "Dial, and a goroutine in Read",
	Client: func(addr string, cfg *tls.Config) Dial {
		return weftDial(addr, cfg, func(ctx context.Context, c *weft.Conn) error {
			if err := c.Write(ctx, weft.MessageText, []byte(clientMessage)); err != nil {
				return err
			}
			return reading(func() (string, error) {
				_, p, err := c.Read(context.Background())
				return string(p), err
			})
		})
	},
}

func weftDial(addr string, cfg *tls.Config, use func(context.Context, *weft.Conn) error) Dial {
	d := &weft.Dialer{TLSConfig: cfg, Policy: weft.Policy{Rungs: []weft.Rung{weft.Settings}}}
	return func(ctx context.Context) (any, error) {
		c, _, err := d.Dial(ctx, "wss://"+addr+"/echo", nil)
		if err != nil {
			return nil, err
		}
		return c, use(ctx, c)
	}
}

// reading has a goroutine read, checks the first message, and leaves it to read on.
func reading(read func() (string, error)) error {
	first := make(chan error, 1)
	go func() {
		for once := true; ; once = false {
			p, err := read()
			if once && err == nil && p != clientMessage {
				err = errWrongEcho
			}
			if once {
				first <- err
			}
			if err != nil {
				return
			}
		}
	}()
	return <-first
}

func wrongUnless(ok bool) error {
	if !ok {
		return errWrongEcho
	}
	return nil
}

var xNetClient = &Peer{
	Name: "x/net-client", Module: "golang.org/x/net", Debug: xconnect, Protos: []load.Proto{load.H2},
	About: "Extended CONNECT with http2.Transport, frames by hand, a goroutine that reads the response",
	Client: func(addr string, cfg *tls.Config) Dial {
		//lint:ignore SA1019 deprecated, and still what many programs run
		t := &http2.Transport{TLSClientConfig: cfg, StrictMaxConcurrentStreams: true}
		return func(context.Context) (any, error) {
			pr, pw := io.Pipe()
			req, err := http.NewRequest(http.MethodConnect, "https://"+addr+"/echo", pr)
			if err != nil {
				return nil, err
			}
			req.Header = http.Header{":protocol": {"websocket"}, "Sec-Websocket-Version": {"13"}}
			//lint:ignore SA1019 as above
			resp, err := t.RoundTrip(req)
			if err != nil {
				return nil, err
			}
			if resp.StatusCode != http.StatusOK {
				return nil, fmt.Errorf("the server answered the CONNECT with %s", resp.Status)
			}
			if _, err := pw.Write(maskedText(clientMessage)); err != nil {
				return nil, err
			}
			br := bufio.NewReaderSize(resp.Body, 4096)
			return pw, reading(func() (string, error) {
				p := make([]byte, 2+len(clientMessage))
				_, err := io.ReadFull(br, p)
				return string(p[2:]), err
			})
		}
	},
}

// maskedText is a client's frame.
func maskedText(s string) []byte {
	b := append([]byte{0x81, 0x80 | byte(len(s))}, 0, 0, 0, 0)
	rand.Read(b[2:6])
	for i := range s {
		b = append(b, s[i]^b[2+i&3])
	}
	return b
}

var gwsClient = &Peer{
	Name: "gws-client", Module: "github.com/lxzan/gws", Protos: []load.Proto{load.H1},
	About: "a connection each, ReadLoop in a goroutine",
	Client: func(addr string, cfg *tls.Config) Dial {
		return func(context.Context) (any, error) {
			h := gwsHeard{heard: make(chan bool, 1)}
			c, _, err := gws.NewClient(h, &gws.ClientOption{Addr: "wss://" + addr + "/echo", TlsConfig: cfg.Clone()})
			if err != nil {
				return nil, err
			}
			go c.ReadLoop()
			if err := c.WriteString(clientMessage); err != nil {
				return nil, err
			}
			return c, wrongUnless(<-h.heard)
		}
	},
}

type gwsHeard struct {
	gws.BuiltinEventHandler
	heard chan bool
}

func (h gwsHeard) OnMessage(_ *gws.Conn, m *gws.Message) {
	defer m.Close()
	h.heard <- string(m.Bytes()) == clientMessage
}

func (h gwsHeard) OnClose(*gws.Conn, error) {
	select {
	case h.heard <- false:
	default:
	}
}

var gorillaClient = &Peer{
	Name: "gorilla-client", Module: "github.com/gorilla/websocket", Protos: []load.Proto{load.H1},
	About: "a connection each, ReadMessage in a goroutine",
	Client: func(addr string, cfg *tls.Config) Dial {
		d := gorillaws.Dialer{TLSClientConfig: cfg}
		return func(ctx context.Context) (any, error) {
			c, _, err := d.DialContext(ctx, "wss://"+addr+"/echo", nil)
			if err != nil {
				return nil, err
			}
			if err := c.WriteMessage(gorillaws.TextMessage, []byte(clientMessage)); err != nil {
				return nil, err
			}
			return c, reading(func() (string, error) {
				_, p, err := c.ReadMessage()
				return string(p), err
			})
		}
	},
}

var coderClient = &Peer{
	Name: "coder-client", Module: "github.com/coder/websocket", Protos: []load.Proto{load.H1},
	About: "a connection each, Read in a goroutine",
	Client: func(addr string, cfg *tls.Config) Dial {
		hc := &http.Client{Transport: &http.Transport{TLSClientConfig: cfg}}
		return func(ctx context.Context) (any, error) {
			c, _, err := websocket.Dial(ctx, "wss://"+addr+"/echo", &websocket.DialOptions{HTTPClient: hc})
			if err != nil {
				return nil, err
			}
			if err := c.Write(ctx, websocket.MessageText, []byte(clientMessage)); err != nil {
				return nil, err
			}
			return c, reading(func() (string, error) {
				_, p, err := c.Read(context.Background())
				return string(p), err
			})
		}
	},
}

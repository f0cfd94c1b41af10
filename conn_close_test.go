package weft_test

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/weftws/weft"
	"github.com/weftws/weft/internal/simnet"
	"github.com/weftws/weft/metrics"
)

// A closingEnv is a WebSocket in fake time of which both ends are at hand, and what one of them is told of the other.
type closingEnv struct {
	*env
	subject, peer *weft.Conn
	notes         *notebook
	metrics       *metrics.Collector
}

// overClosing runs f over every carrier, with each of sides as the subject. The server's handler returns at once.
func overClosing(t *testing.T, sides []string, f func(t *testing.T, e *closingEnv)) {
	t.Helper()
	for _, side := range sides {
		for _, c := range carriers {
			t.Run(side+" "+c.name, func(t *testing.T) {
				simnet.Run(t, rtt, func(t *testing.T, n *simnet.Network) {
					n.SetLink(serverAddr, simnet.Link{SendBuffer: 64 << 10})
					ce := &closingEnv{notes: new(notebook), metrics: metrics.New()}
					told := weft.JoinObservers(ce.notes.observer(), ce.metrics.Observer())
					conns := make(chan *weft.Conn, 1)
					ce.env = newEnv(t, n, c, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
						if c, err := weft.Accept(w, r, nil); err == nil {
							conns <- c
						}
					}), func(s *weft.Server) {
						if side == "server" {
							s.Options.Observer = told
						}
					})
					if side == "client" {
						ce.dialer.Observer = told
					}
					ce.subject = ce.dial("/", nil)
					ce.peer = <-conns
					if side == "server" {
						ce.subject, ce.peer = ce.peer, ce.subject
					}
					defer ce.peer.CloseNow()
					defer ce.subject.CloseNow()
					synctest.Wait()
					ce.notes.take()
					f(t, ce)
				})
			})
		}
	}
}

var bothSides, serverSide = []string{"client", "server"}, []string{"server"}

// An ending ends a WebSocket within half a minute, and returns a part of what Closed is told.
type ending func(e *closingEnv) (closed string)

// overEnds runs each of ends over every carrier. violation is what is counted with it; "": nothing.
func overEnds(t *testing.T, violation string, sides []string, ends map[string]ending) {
	t.Helper()
	for name, end := range ends {
		t.Run(name, func(t *testing.T) {
			overClosing(t, sides, func(t *testing.T, e *closingEnv) {
				start := time.Now()
				closed := end(e)
				time.Sleep(time.Until(start.Add(30 * time.Second)))
				e.wantEnd(violation, closed)
			})
		})
	}
}

// wantEnd wants that the Observer and Prometheus are told of one violation, a limit, "": of none, and of one end.
func (e *closingEnv) wantEnd(violation, closed string) {
	e.t.Helper()
	synctest.Wait()
	got := strings.Split(e.notes.take(), "\n")
	counts, limits := scrape(e.t, e.metrics)
	want := make(map[string]int)
	if violation != "" {
		want["websocket/"+violation]++
		line := fmt.Sprintf("violation by %s: websocket %s limit=true conn=true", e.peerSide(), violation)
		if got[0] != line {
			e.t.Errorf("the Observer was told %q, want %q", got, line)
			return
		}
		got = got[1:]
	}
	if !maps.Equal(counts, want) || !maps.Equal(limits, want) {
		e.t.Errorf("Prometheus has counted %v, of them limits %v, want %v", counts, limits, want)
	}
	if len(got) != 1 || !strings.HasPrefix(got[0], "closed ") || !strings.Contains(got[0], closed) {
		e.t.Errorf("the Observer was told %q, want one end: %s", got, closed)
	}
}

func (e *closingEnv) peerSide() string {
	if e.dialer.Observer != nil {
		return "server"
	}
	return "client"
}

// A peer that does not take part in the Close handshake is counted, once, however it was begun.
func TestUnansweredCloseIsCounted(t *testing.T) {
	const ours = `by=local code=1000 sent=1000 received=0`
	overEnds(t, "close-timeout", bothSides, map[string]ending{
		"Close": func(e *closingEnv) string {
			if err := e.subject.Close(weft.StatusNormalClosure, ""); err == nil || !strings.Contains(err.Error(), e.peerSide()+" sent no Close frame within 5s") {
				e.t.Errorf("Close: %v", err)
			}
			return ours
		},
		"Close beside Read": func(e *closingEnv) string {
			read := begin(func() error { _, _, err := e.subject.Read(e.ctx); return err })
			e.subject.Close(weft.StatusNormalClosure, "")
			if err := <-read; err == nil || !strings.Contains(err.Error(), e.peerSide()+" sent no Close frame within 5s") {
				e.t.Errorf("Read: %v", err)
			}
			return ours
		},
		"Close with a Handler": func(e *closingEnv) string {
			e.subject.Handle(weft.HandlerFuncs{})
			if err := e.subject.Close(weft.StatusNormalClosure, ""); err != nil {
				e.t.Errorf("Close: %v", err)
			}
			return ours
		},
		"Close in a callback": func(e *closingEnv) string {
			e.subject.Handle(weft.HandlerFuncs{Message: func(c *weft.Conn, _ weft.MessageType, _ []byte) {
				c.Close(weft.StatusNormalClosure, "")
			}})
			e.peer.Write(e.ctx, weft.MessageText, []byte("go"))
			return ours
		},
		"Close that cannot be queued": func(e *closingEnv) string {
			// Until nothing takes more. A Write that had to wait goes on waiting until the queue is half empty.
			for failed := 0; failed < 2; {
				ctx, cancel := context.WithTimeout(e.ctx, time.Second)
				if e.subject.Write(ctx, weft.MessageBinary, make([]byte, 16<<10)) != nil {
					failed++
				}
				cancel()
			}
			if err := e.subject.Close(weft.StatusNormalClosure, ""); err == nil || !strings.Contains(err.Error(), e.peerSide()+" took no Close frame within 5s") {
				e.t.Errorf("Close: %v", err)
			}
			return ours
		},
	})
	overEnds(t, "close-timeout", serverSide, map[string]ending{
		"Shutdown": func(e *closingEnv) string {
			begin(func() error { return e.server.Shutdown(e.ctx) })
			return `by=local code=1001 sent=1001 received=0`
		},
		"Shutdown with a Handler": func(e *closingEnv) string {
			e.subject.Handle(weft.HandlerFuncs{})
			begin(func() error { return e.server.Shutdown(e.ctx) })
			return `by=local code=1001 sent=1001 received=0`
		},
	})
}

// What is no silence of the peer's is not counted as one.
func TestOtherEndsAreNoCloseTimeout(t *testing.T) {
	overEnds(t, "", bothSides, map[string]ending{
		"an answer": func(e *closingEnv) string {
			read := begin(func() error { _, _, err := e.peer.Read(e.ctx); return err })
			if err := e.subject.Close(weft.StatusNormalClosure, ""); err != nil {
				e.t.Errorf("Close: %v", err)
			}
			<-read
			return `by=local code=1000 sent=1000 received=1000`
		},
		"the stream's end instead": func(e *closingEnv) string {
			time.AfterFunc(time.Second, func() { e.peer.CloseNow() })
			e.subject.Close(weft.StatusNormalClosure, "")
			return `by=local code=1000 sent=1000 received=0`
		},
		"the stream's end, with a Handler": func(e *closingEnv) string {
			e.subject.Handle(weft.HandlerFuncs{})
			e.subject.Close(weft.StatusNormalClosure, "")
			time.Sleep(time.Second)
			e.peer.CloseNow()
			return `by=local code=1000 sent=1000 received=0`
		},
		"our own end meanwhile": func(e *closingEnv) string {
			time.AfterFunc(time.Second, func() { e.subject.CloseNow() })
			e.subject.Close(weft.StatusNormalClosure, "")
			return `by=local code=1000 sent=1000 received=0`
		},
		"a callback that is still at it": func(e *closingEnv) string {
			e.subject.Handle(weft.HandlerFuncs{Message: func(c *weft.Conn, _ weft.MessageType, _ []byte) {
				time.Sleep(10 * time.Second)
			}})
			e.peer.Write(e.ctx, weft.MessageText, []byte("work"))
			time.Sleep(time.Second)
			e.peer.Handle(weft.HandlerFuncs{}) // it answers
			e.subject.Close(weft.StatusNormalClosure, "")
			return `by=local code=1000 sent=1000 received=0`
		},
		"nobody who reads": func(e *closingEnv) string {
			e.peer.Handle(weft.HandlerFuncs{})
			weft.GoAway(e.subject)
			return `by=local code=1001 sent=1001 received=0`
		},
	})
}

// A violation is told, once, where our Close frame finds no room: of a peer that does not answer it either.
func TestViolationWithoutRoomIsCounted(t *testing.T) {
	for name, handler := range map[string]weft.Handler{"Read": nil, "Handler": weft.HandlerFuncs{}} {
		t.Run(name, func(t *testing.T) {
			overClosing(t, serverSide, func(t *testing.T, e *closingEnv) {
				if handler != nil {
					e.subject.Handle(handler)
				} else {
					begin(func() error { _, _, err := e.subject.Read(e.ctx); return err })
				}
				written := begin(func() (err error) {
					for err == nil {
						err = e.subject.Write(e.ctx, weft.MessageBinary, make([]byte, 16<<10))
					}
					return err
				})
				time.Sleep(time.Second)
				e.subject.SetReadLimit(10)
				e.peer.Write(e.ctx, weft.MessageBinary, make([]byte, 11))
				time.Sleep(30 * time.Second)
				<-written
				e.wantEnd("message-too-big", `by=local code=1009 sent=1009 received=0 "message-too-big"`)
			})
		})
	}
}

// The end of a WebSocket whose callback has panicked is told as well.
func TestPanicIsAnEnd(t *testing.T) {
	overClosing(t, serverSide, func(t *testing.T, e *closingEnv) { // whose ErrorLog takes what is logged
		e.subject.Handle(weft.HandlerFuncs{Message: func(*weft.Conn, weft.MessageType, []byte) { panic("as asked") }})
		e.peer.Write(e.ctx, weft.MessageText, []byte("panic"))
		time.Sleep(30 * time.Second)
		e.wantEnd("", `by=local code=1011 sent=1011 received=0`)
		if err := e.notes.closed[0].Err; err == nil || !strings.Contains(err.Error(), "panic in a callback: as asked") {
			t.Errorf("Closed.Err: %v", err)
		}
	})
}

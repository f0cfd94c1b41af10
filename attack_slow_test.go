package weft_test

import (
	"encoding/binary"
	"io"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"

	"github.com/weftws/weft"
)

// A client that asks for much and opens no window loses its streams; one that does not read its socket, its connection.
func TestAttackSlowReaders(t *testing.T) {
	quick := func(s *weft.Server) { s.Options.WriteTimeout = 200 * time.Millisecond }
	noWindow := http2.Setting{ID: http2.SettingInitialWindowSize, Val: 0}
	t.Run("no window", func(t *testing.T) { // CVE-2019-9517
		a := newArena(t, false, quick)
		a.beside(32<<20, func() {
			x := a.attackH2(false, noWindow)
			for range 100 {
				x.get("/large", true)
			}
			x.flush()
			x.sees("the resets", func() bool { return x.resets["ENHANCE_YOUR_CALM"] == 100 })
		})
		a.wantCount("http2/stream-stalled", 100)
		a.await("the handlers' end", func() bool { return a.writers.Load() == 0 })
	})
	t.Run("no window of the connection", func(t *testing.T) {
		a := newArena(t, false, quick)
		a.beside(32<<20, func() {
			x := a.attackH2(false, http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1 << 30})
			for range 100 {
				x.get("/large", true)
			}
			x.flush()
			x.sees("the resets", func() bool { return x.resets["ENHANCE_YOUR_CALM"] == 100 })
		})
		a.wantCount("http2/stream-stalled", 100)
	})
	t.Run("echoes without a window", func(t *testing.T) {
		a := newArena(t, false, quick)
		a.beside(32<<20, func() {
			x := a.attackH2(false, noWindow)
			x.open("/ws")
			x.fr.WriteData(1, false, bin(strings.Repeat("x", 10000)).append(nil, true))
			x.flush()
			x.sees("the reset", func() bool { return x.resets["ENHANCE_YOUR_CALM"] == 1 })
		})
		a.wantCount("http2/stream-stalled", 1)
	})
	t.Run("a socket that is not read", func(t *testing.T) {
		a := newArena(t, false, quick)
		a.beside(64<<20, func() {
			x := a.attackH2(true, http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1 << 30})
			x.fr.WriteWindowUpdate(0, 1<<30)
			for range 100 {
				x.get("/large", true)
			}
			x.flush()
			a.await("the handlers", func() bool { return a.writers.Load() > 0 })
			a.await("the handlers' end", func() bool { return a.writers.Load() == 0 })
		})
		a.wantCount("http2/write-timeout", 1)
	})
	for name, open := range map[string]func(a *arena){
		"a WebSocket over HTTP/1.1 that is not read": func(a *arena) { io.WriteString(a.connect("", "http/1.1"), askWebSocket(a.addr, "/pour")) },
		"a WebSocket over HTTP/3 that is not read":   func(a *arena) { pourH3("/pour")(a)() },
	} {
		t.Run(name, func(t *testing.T) {
			a := newArena(t, true, quick)
			a.beside(32<<20, func() {
				open(a)
				a.await("the count", func() bool {
					a.mu.Lock()
					defer a.mu.Unlock()
					return a.counts["websocket/write-timeout"] > 0
				})
			})
			a.wantCount("websocket/write-timeout", 1)
		})
	}
}

// What many WebSockets and connections together make the server keep is bounded, whatever each of them may.
func TestAttackMemory(t *testing.T) {
	limited := func(s *weft.Server) { s.Options.MaxMemory = 8 << 20 }
	t.Run("messages that do not end", func(t *testing.T) {
		a := newArena(t, false, limited)
		a.beside(64<<20, func() {
			var attackers []*wsAttacker
			for range 40 {
				w := a.attackWS(false, false)
				attackers = append(attackers, w)
				w.flood(fragments(strings.Repeat("x", 45000)), 20)
			}
			told := make(chan weft.StatusCode, len(attackers))
			for _, w := range attackers {
				go func() { told <- w.closeCode() }()
			}
			for range 20 {
				if code := <-told; code != weft.StatusTryAgainLater {
					t.Errorf("an attacker was told %v", code)
				}
			}
			for _, w := range attackers {
				w.end()
			}
			for range len(attackers) - 20 {
				<-told
			}
			a.await("the count", func() bool {
				a.mu.Lock()
				defer a.mu.Unlock()
				return a.counts["websocket/memory-exceeded"] >= 20
			})
		})
		a.await("the memory", func() bool { return weft.HeldMemory(a.server) < 64<<10 })
	})
	t.Run("what nobody reads", func(t *testing.T) {
		a := newArena(t, false, limited)
		a.beside(64<<20, func() {
			var attackers []*h2Attacker
			for range 12 {
				x := a.attackH2(false)
				attackers = append(attackers, x)
				for range 4 {
					id := x.open("/deaf")
					for range 15 {
						x.fr.WriteData(id, false, make([]byte, 16384))
					}
				}
				x.flush()
			}
			told := 0
			a.await("the end of some", func() bool {
				told = 0
				for _, x := range attackers {
					x.seen.Lock()
					if x.goAway == "ENHANCE_YOUR_CALM" {
						told++
					}
					x.seen.Unlock()
				}
				return told >= 2
			})
			a.await("the count", func() bool {
				a.mu.Lock()
				defer a.mu.Unlock()
				return a.counts["http2/memory-exceeded"] >= told
			})
			for _, x := range attackers {
				x.nc.Close()
			}
		})
		a.await("the memory", func() bool { return weft.HeldMemory(a.server) < 64<<10 })
	})
	// What is sent to WebSockets that read nothing.
	for name, open := range map[string]func(a *arena) func(){
		"sent over HTTP/1.1, not read": func(a *arena) func() {
			return func() { io.WriteString(a.connect("", "http/1.1"), askWebSocket(a.addr, "/pour")) }
		},
		"sent over HTTP/3, not read":                    pourH3("/pour"),
		"sent over HTTP/3 by another library, not read": pourH3("/pour-other"),
	} {
		t.Run(name, func(t *testing.T) {
			const limit, sockets = 1 << 20, 30
			a := newArena(t, true, func(s *weft.Server) { s.Options.MaxMemory = limit })
			a.beside(64<<20, func() {
				next := open(a)
				for range sockets {
					next()
				}
				a.await("the end of some", func() bool {
					a.mu.Lock()
					defer a.mu.Unlock()
					return a.counts["websocket/memory-exceeded"] >= 5
				})
				// Those that are left have at most 64 KiB each, or had more before. Weft gives those that it has ended 5 s to read why.
				if strings.Contains(name, "another library") {
					a.await("the memory of some", func() bool { return weft.HeldMemory(a.server) < limit+sockets*64<<10 })
				}
			})
			a.server.Close()
			a.await("the memory", func() bool { return weft.HeldMemory(a.server) == 0 })
		})
	}
	// One large message each, and silence: its buffer goes back, although nothing follows.
	t.Run("idle after a large message", func(t *testing.T) {
		a := newArena(t, false, nil)
		a.beside(96<<20, func() {
			for range 30 {
				w := a.attackWS(false, true)
				w.send(bin(bomb(1<<20)).bits(4).append(nil, true))
				w.readEcho()
			}
			a.await("the memory", func() bool { return weft.HeldMemory(a.server) == 0 })
		})
	})
}

// pourH3 opens WebSockets on one connection and reads nothing from them.
func pourH3(path string) func(a *arena) func() {
	return func(a *arena) func() {
		q := a.attackH3()
		return func() {
			s, err := q.OpenStream()
			if err != nil {
				a.Fatal(err)
			}
			s.Write(h3Request(":method: CONNECT", ":protocol: websocket", ":scheme: https", ":path: "+path, ":authority: localhost", "sec-websocket-version: 13"))
		}
	}
}

// closeCode waits for a Close frame; 0: there is none.
func (w *wsAttacker) closeCode() weft.StatusCode {
	var head [4]byte
	if _, err := io.ReadFull(w.r, head[:]); err != nil || head[0] != 0x88 {
		return 0
	}
	return weft.StatusCode(binary.BigEndian.Uint16(head[2:]))
}

// readEcho reads one frame.
func (w *wsAttacker) readEcho() {
	w.Helper()
	var head [4]byte
	io.ReadFull(w.r, head[:2])
	n := int64(head[1])
	if n == 126 {
		io.ReadFull(w.r, head[2:])
		n = int64(binary.BigEndian.Uint16(head[2:]))
	}
	if _, err := io.CopyN(io.Discard, w.r, n); err != nil {
		w.Fatalf("no echo: %v", err)
	}
}

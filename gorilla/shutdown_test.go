package websocket_test

import (
	"context"
	"errors"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	websocket "github.com/weftws/weft/gorilla"
)

// A server that shuts down says 1001 to its peers, and does not wait for programs that never close.
func TestServerShutdown(t *testing.T) {
	for _, tt := range []struct {
		name   string
		serve  func(t *testing.T, c *websocket.Conn)
		within time.Duration
	}{
		{"reads until the peer's Close frame", func(t *testing.T, c *websocket.Conn) {
			defer c.Close()
			if _, _, err := c.ReadMessage(); !websocket.IsCloseError(err, websocket.CloseGoingAway) {
				t.Errorf("ReadMessage: %v", err)
			}
			if err := c.WriteMessage(websocket.TextMessage, []byte("late")); err != websocket.ErrCloseSent {
				t.Errorf("WriteMessage: %v", err)
			}
		}, time.Second},
		{"never closes", func(*testing.T, *websocket.Conn) {}, 11 * time.Second},
		{"has closed", func(_ *testing.T, c *websocket.Conn) {
			c.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(websocket.CloseGoingAway, ""), time.Time{})
			c.Close()
		}, 6 * time.Second},
	} {
		t.Run(tt.name, func(t *testing.T) {
			overEach(t, func(w http.ResponseWriter, r *http.Request) {
				if c, err := new(websocket.Upgrader).Upgrade(w, r, nil); err == nil {
					go tt.serve(t, c)
				}
			}, func(t *testing.T, e *env) {
				c, _, err := e.dialer.Dial(e.url, nil)
				if err != nil {
					t.Fatal(err)
				}
				defer c.Close()
				synctest.Wait()
				start := time.Now()
				done := make(chan error, 1)
				go func() { done <- e.server.Shutdown(context.Background()) }()
				if _, _, err := c.ReadMessage(); !websocket.IsCloseError(err, websocket.CloseGoingAway) {
					t.Errorf("ReadMessage: %v, want 1001", err)
				}
				c.Close()
				if err := <-done; err != nil || time.Since(start) > tt.within {
					t.Errorf("Shutdown: %v after %v", err, time.Since(start))
				}
			})
		})
	}
}

// Close of the server ends the WebSockets at once.
func TestServerClose(t *testing.T) {
	overEach(t, func(w http.ResponseWriter, r *http.Request) {
		new(websocket.Upgrader).Upgrade(w, r, nil)
	}, func(t *testing.T, e *env) {
		c, _, err := e.dialer.Dial(e.url, nil)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		synctest.Wait()
		start := time.Now()
		e.server.Close()
		if _, _, err := c.ReadMessage(); err == nil || errors.Is(err, context.Canceled) || time.Since(start) > time.Second {
			t.Errorf("ReadMessage: %v after %v", err, time.Since(start))
		}
	})
}

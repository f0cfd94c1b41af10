package weft_test

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"github.com/weftws/weft"
	"github.com/weftws/weft/internal/handshake"
	"github.com/weftws/weft/internal/transport"
)

// A client that has gone before the stream could be taken gets no answer after the answer.
func TestBridgeAcceptLost(t *testing.T) {
	r := httptest.NewRequest("GET", "/", nil)
	r.Header = http.Header{"Upgrade": {"websocket"}, "Connection": {"Upgrade"}}
	r = r.WithContext(transport.WithAcceptor(r.Context(), lostAcceptor{}))
	w := httptest.NewRecorder()
	weft.Bridge(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, err := weft.Accept(w, r, nil); err == nil {
			t.Error("accepted")
		}
	})).ServeHTTP(w, r)
	if w.Body.Len() > 0 || w.Code != http.StatusOK { // the recorder's own
		t.Errorf("answered with %d, %s", w.Code, w.Body)
	}
}

type lostAcceptor struct{}

// Accept takes the stream in a bridged handler, once, and the made up key is not answered.
func TestBridgeAccept(t *testing.T) {
	for _, sent := range []string{"", sampleKey} {
		overBridge(t, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("X-Other", "yes")
			c, err := weft.Accept(wrapped{w}, r, nil)
			if err != nil {
				t.Error(err)
				return
			}
			defer c.CloseNow()
			if v := c.Trace().Version; v != "HTTP/2.0" {
				t.Errorf("Version is %s", v)
			}
			if _, _, err := w.(http.Hijacker).Hijack(); err != http.ErrHijacked {
				t.Errorf("Hijack after Accept: %v", err)
			}
			if _, err := weft.Accept(w, r, nil); err == nil {
				t.Error("accepted twice")
			}
		}, func(c *rawH2, e *env) {
			st := c.open(websocketFields(e.carrier, keyField(sent)...)...)
			h := st.head()
			want := map[string]string{sampleKey: handshake.AcceptKey(sampleKey)}[sent]
			if value(h, ":status") != "200" || value(h, "sec-websocket-accept") != want || value(h, "x-other") != "yes" {
				t.Errorf("the answer is %v", h)
			}
		})
	}
}

// On net/http's own HTTP/2 ServeHTTP returns when the net.Conn closes, and nothing becomes a tunnel by itself.
func TestBridgeStock(t *testing.T) {
	serve := func(t *testing.T, h http.HandlerFunc) (*httptest.ResponseRecorder, *io.PipeWriter, chan struct{}) {
		body, client := io.Pipe()
		r := httptest.NewRequestWithContext(t.Context(), http.MethodConnect, "/", body)
		r.Proto, r.ProtoMajor, r.ProtoMinor = "HTTP/2.0", 2, 0
		r.Header[":protocol"] = []string{"websocket"}
		w := httptest.NewRecorder()
		done := make(chan struct{})
		go func() {
			defer close(done)
			weft.Bridge(h).ServeHTTP(w, r)
		}()
		return w, client, done
	}
	synctest.Test(t, func(t *testing.T) {
		w, client, done := serve(t, func(w http.ResponseWriter, r *http.Request) {
			if r.Header[":protocol"] != nil || r.Method != "GET" {
				t.Errorf("%s %v", r.Method, r.Header)
			}
			nc, _ := hijack(t, w)
			write(t, nc, switching101(r))
			if err := nc.(interface{ CloseWrite() error }).CloseWrite(); !errors.Is(err, errors.ErrUnsupported) {
				t.Errorf("CloseWrite: %v", err)
			}
			go func() {
				io.CopyN(nc, nc, 5)
				time.Sleep(time.Second)
				nc.Close()
			}()
		})
		io.WriteString(client, "hello")
		synctest.Wait()
		select {
		case <-done:
			t.Error("ServeHTTP returned with the handler")
		default:
		}
		<-done
		if w.Code != 200 || w.Body.String() != "hello" {
			t.Errorf("%d %q", w.Code, w.Body)
		}
		client.Close()
	})
	synctest.Test(t, func(t *testing.T) {
		w, _, done := serve(t, func(w http.ResponseWriter, r *http.Request) {})
		<-done
		if w.Code != 501 {
			t.Errorf("no answer became %d", w.Code)
		}
	})
}

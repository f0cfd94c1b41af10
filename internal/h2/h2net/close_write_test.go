package h2net

import (
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// CloseWrite ends our side behind what is queued, and only ours; when both have ended, the stream is gone.
func TestCloseWrite(t *testing.T) {
	long := strings.Repeat("x", 300_000) // more than a window
	inFakeTime(t, &Server{}, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		s := accept(t, r)
		var got strings.Builder
		for {
			p, err := s.Receive()
			got.Write(p)
			if err != nil {
				if err != io.EOF || got.String() != long {
					t.Errorf("server got %d bytes, %v", got.Len(), err)
				}
				break
			}
		}
		s.Send([]byte("still here"), nil)
		s.(interface{ CloseWrite() error }).CloseWrite()
	}), func(fx *fixture) {
		cc := fx.connect(ClientOptions{})
		s := fx.open(cc, "/")
		s.SetWriteDeadline(time.Now().Add(time.Minute))
		if n, err := s.Send([]byte(long), nil); n != len(long) || err != nil {
			t.Fatal(n, err)
		}
		half := s.(interface{ CloseWrite() error })
		if err := half.CloseWrite(); err != nil {
			t.Fatal(err)
		}
		if err := half.CloseWrite(); err != net.ErrClosed {
			t.Errorf("CloseWrite again: %v", err)
		}
		if n, err := s.Send([]byte("x"), nil); n != 0 || err != net.ErrClosed {
			t.Errorf("Send after CloseWrite: %d, %v", n, err)
		}
		if s.TrySend([]byte("x")) {
			t.Error("TrySend after CloseWrite")
		}
		if got := string(receiveAll(t, s, 10)); got != "still here" {
			t.Errorf("received %q", got)
		}
		if _, err := s.Receive(); err != io.EOF {
			t.Errorf("Receive: %v", err)
		}
		select {
		case <-s.Done():
		case <-time.After(time.Second):
			t.Error("the stream is not gone")
		}
		if n := cc.State().Streams; n != 0 {
			t.Errorf("%d streams are left", n)
		}
	})
}

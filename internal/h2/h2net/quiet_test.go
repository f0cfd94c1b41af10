package h2net

import (
	"bytes"
	"testing"
	"testing/synctest"
	"time"

	"github.com/weftws/weft/internal/h2"
)

// A quiet connection reads into a small buffer, on both sides, and a burst that comes then is as good as any other.
func TestQuietConnectionReadsIntoLess(t *testing.T) {
	inFakeTime(t, &Server{}, echoCallbacks(t), func(fx *fixture) {
		cc := fx.connect(ClientOptions{Config: h2.Config{}})
		s := fx.open(cc, "/")
		sent := pattern(100_000)
		for range 3 {
			s.Send(sent, nil)
			if got := receiveAll(t, s, len(sent)); !bytes.Equal(got, sent) {
				t.Fatal("the echo differs")
			}
			time.Sleep(time.Second)
			synctest.Wait()
			for name, c := range map[string]*conn{"client": cc.conn, "server": fx.serverConn()} {
				if n := cap(c.reading.in); n > quietReadBuffer {
					t.Errorf("the quiet %s reads into %d bytes, want at most %d", name, n, quietReadBuffer)
				}
				if n := cap(c.fields); n != 0 {
					t.Errorf("the quiet %s keeps room for %d fields", name, n)
				}
			}
		}
		s.Close(time.Second)
	})
}

// serverConn returns the server's only connection.
func (fx *fixture) serverConn() *conn {
	fx.srv.mu.Lock()
	defer fx.srv.mu.Unlock()
	for sc := range fx.srv.conns {
		return sc.conn
	}
	fx.t.Fatal("the server has no connection")
	return nil
}

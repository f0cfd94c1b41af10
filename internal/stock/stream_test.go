package stock

import (
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"
)

// The Close frame is queued by TrySend, and then the handler returns: it must be out by then.
func TestCloseWritesWhatTrySendTook(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &slowWriter{ResponseRecorder: httptest.NewRecorder()}
		s, request := accept(t, w)
		defer request.Close()
		if !s.TrySend([]byte("close frame")) {
			t.Fatal("TrySend took nothing")
		}
		s.Close(2 * time.Second)
		if got := w.Body.String(); got != "close frame" {
			t.Errorf("written when Close returned: %q, want the close frame", got)
		}
	})
}

func TestCloseWaitsForLingerAtMost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &slowWriter{ResponseRecorder: httptest.NewRecorder(), delay: time.Minute}
		s, request := accept(t, w)
		defer request.Close()
		s.TrySend([]byte("stuck"))
		start := time.Now()
		s.Close(2 * time.Second)
		if took := time.Since(start); took != 2*time.Second {
			t.Errorf("Close took %v, want the linger of 2s", took)
		}
		start = time.Now()
		s.Abort()
		if took := time.Since(start); took != 0 {
			t.Errorf("Abort took %v, want nothing", took)
		}
		time.Sleep(w.delay) // until the writer is done
	})
}

// A slowWriter takes a while for each Write, as a network does.
type slowWriter struct {
	*httptest.ResponseRecorder
	delay time.Duration // 0: 10 ms
}

func (w *slowWriter) Write(p []byte) (int, error) {
	time.Sleep(max(w.delay, 10*time.Millisecond))
	return w.ResponseRecorder.Write(p)
}

// accept returns the stream of a request whose body the test writes.
func accept(t *testing.T, w http.ResponseWriter) (*Stream, io.Closer) {
	t.Helper()
	body, request := io.Pipe()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodConnect, "/", body)
	r.ProtoMajor = 2
	s, err := Accept(w, r, http.Header{})
	if err != nil {
		t.Fatal(err)
	}
	return s.(*Stream), request
}

package interop

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"testing"

	"github.com/weftws/weft"
)

// A library is a WebSocket package of others: HTTP/1.1, both sides.
type library struct {
	name string
	// dial opens a WebSocket on the ladder of d; nil: as the library does by itself.
	dial   func(t *testing.T, d *weft.Dialer, url string, o offer) socket
	accept func(w http.ResponseWriter, r *http.Request, deflate string) (socket, error)
	// deflate is the modes that the library agrees to as a client and as a server.
	dialDeflate, acceptDeflate []string
	noFragments                bool // as a server
}

// by is dial as a talk wants it.
func (l library) by(d *weft.Dialer) func(*testing.T, string, offer) socket {
	return func(t *testing.T, url string, o offer) socket {
		t.Helper()
		return l.dial(t, d, url, o)
	}
}

var libraries = []library{gorillaLibrary, coderLibrary, gwsLibrary, gobwasLibrary}

// Clients made with other libraries, and a weft server.
func TestLibraryClients(t *testing.T) {
	srv := startWeft(t, nil, nil)
	for _, l := range libraries {
		t.Run(l.name, func(t *testing.T) {
			k := talk{
				dial: l.by(nil), url: fmt.Sprintf("ws://127.0.0.1:%d", srv.port), server: srv.record,
				carried: "version=HTTP/1.1", deflate: l.dialDeflate,
			}
			k.run(t)
		})
	}
}

// A weft client, and servers made with other libraries.
func TestLibraryServers(t *testing.T) {
	cert := newCertificate(t)
	for _, l := range libraries {
		t.Run(l.name, func(t *testing.T) {
			rec := newRecord()
			url := "wss://" + serveHTTP(t, l.echo(rec), cert)
			k := talk{
				dial: dialWith(newDialer(t, cert), overHTTP1), url: url, server: rec,
				carried: "library=" + l.name, deflate: l.acceptDeflate, noFragments: l.noFragments,
			}
			k.run(t)
		})
	}
}

// echo is the echo server of doc.go's vocabulary.
func (l library) echo(rec *record) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		q := r.URL.Query()
		id := q.Get("id")
		s, err := l.accept(w, r, q.Get("deflate"))
		if err != nil {
			rec.printf("refused id=%s %v", id, err)
			return
		}
		rec.printf("open id=%s library=%s deflate=%v", id, l.name, s.compressed())
		for {
			text, p, err := s.receive()
			if c, ok := errors.AsType[*closed](err); ok {
				rec.printf("close id=%s code=%d reason=%q", id, c.code, c.reason)
				return
			}
			if err == nil {
				err = l.answer(s, text, p, q.Get("fragments") == "1")
			}
			if err != nil {
				rec.printf("end id=%s %v", id, err)
				return
			}
		}
	})
}

var errServerClosed = errors.New("closed by the server")

func (l library) answer(s socket, text bool, p []byte, fragments bool) error {
	if c, ok := closeCommand(text, p); ok {
		return cmp.Or(s.close(c.code, c.reason), errServerClosed)
	}
	if fragments {
		return s.sendFragments(text, slices.Collect(slices.Chunk(p, len(p)/3+1))...)
	}
	return s.send(text, bytes.Clone(p))
}

package h3

import (
	"context"
	"crypto/tls"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/quic-go/quic-go/http3"
)

// Responses are those of quic-go's own server, but for the fields that either adds of its own accord: those are as in HTTP/2, where package
// semantics has been compared with net/http.
func TestResponsesAreQuicGos(t *testing.T) {
	handlers := map[string]http.HandlerFunc{
		"nothing":      func(http.ResponseWriter, *http.Request) {},
		"small":        func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "<html>") },
		"almost large": func(w http.ResponseWriter, _ *http.Request) { w.Write(make([]byte, 4095)) },
		"large":        func(w http.ResponseWriter, _ *http.Request) { w.Write(make([]byte, 4096)) },
		"large in two": func(w http.ResponseWriter, _ *http.Request) { w.Write(make([]byte, 4000)); w.Write(make([]byte, 4000)) },
		"flushed": func(w http.ResponseWriter, _ *http.Request) {
			io.WriteString(w, "a")
			w.(http.Flusher).Flush()
			io.WriteString(w, "b")
		},
		"no content":   func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(204) },
		"not modified": func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(304); io.WriteString(w, "x") },
		"an error":     func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "no", 403) },
		"status twice": func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(404)
			w.WriteHeader(204)
			io.WriteString(w, "x")
		},
		"a length": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "3")
			io.WriteString(w, "abc")
		},
		"trailers": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Trailer", "X")
			io.WriteString(w, "abc")
			w.Header().Set("X", "y")
		},
		"early hints": func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(103); io.WriteString(w, "abc") },
		"no byte":     func(w http.ResponseWriter, _ *http.Request) { w.Write(nil) },
		"in time": func(w http.ResponseWriter, _ *http.Request) {
			http.NewResponseController(w).SetWriteDeadline(time.Now().Add(time.Hour))
			io.WriteString(w, "abc")
		},
	}
	mux := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		handlers[strings.ReplaceAll(r.URL.Path[1:], "-", " ")](w, r)
	})
	type answers map[string][]string
	ask := func(fx *fixture) answers {
		all := make(answers)
		cc, _ := fx.stockClient()
		for name := range handlers {
			for _, method := range []string{"GET", "HEAD"} {
				resp, err := cc.RoundTrip(newRequest(method, "", "/"+strings.ReplaceAll(name, " ", "-"), ""))
				if err != nil {
					all[method+" "+name] = []string{err.Error()}
					continue
				}
				body, err := io.ReadAll(resp.Body)
				got := []string{resp.Status, string(body)}
				if err != nil {
					got = append(got, err.Error())
				}
				for _, h := range []http.Header{resp.Header, resp.Trailer} {
					delete(h, "Date")
					if !strings.Contains(name, "length") {
						delete(h, "Content-Length")
					}
					delete(h, "Content-Type")
					for _, field := range slices.Sorted(maps.Keys(h)) {
						got = append(got, field+": "+strings.Join(h[field], ", "))
					}
				}
				all[method+" "+name] = got
			}
		}
		return all
	}
	var ours, theirs answers
	inFakeTime(t, new(Server), mux, func(_ *testing.T, fx *fixture) { ours = ask(fx) })
	inNetwork(t, func(_ *testing.T, fx *fixture) {
		pc := fx.net.ListenPacket(serverAddr)
		srv := &http3.Server{Handler: mux, TLSConfig: &tls.Config{Certificates: []tls.Certificate{testCert}}}
		served := make(chan struct{})
		go func() {
			srv.Serve(pc)
			close(served)
		}()
		theirs = ask(fx)
		srv.Shutdown(context.Background())
		srv.Close()
		<-served
		pc.Close()
	})
	for name, want := range theirs {
		if !slices.Equal(ours[name], want) {
			t.Errorf("%s:\n%.200q, want\n%.200q", name, ours[name], want)
		}
	}
}

package metrics_test

import (
	"bufio"
	"context"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/weftws/weft"
	"github.com/weftws/weft/metrics"
)

func Example() {
	m := metrics.New()
	registry := prometheus.NewRegistry()
	registry.MustRegister(m)

	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{}))
	mux.HandleFunc("GET /chat", func(w http.ResponseWriter, r *http.Request) {
		c, err := weft.Accept(w, r, &weft.AcceptOptions{Observer: m.Observer()})
		if err != nil {
			return
		}
		c.Write(r.Context(), weft.MessageText, []byte("welcome"))
		c.Handle(weft.HandlerFuncs{})
	})
	server := httptest.NewServer(mux)
	defer server.Close()

	c, _, err := weft.Dial(context.Background(), server.URL+"/chat", nil)
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close(weft.StatusNormalClosure, "")
	if _, _, err := c.Read(context.Background()); err != nil { // the welcome
		log.Fatal(err)
	}

	res, err := http.Get(server.URL + "/metrics")
	if err != nil {
		log.Fatal(err)
	}
	defer res.Body.Close()
	defer http.DefaultClient.CloseIdleConnections()
	for lines := bufio.NewScanner(res.Body); lines.Scan(); {
		if strings.HasPrefix(lines.Text(), "weft_websockets_open") {
			fmt.Println(lines.Text())
		}
	}
	// Output:
	// weft_websockets_open{side="server",version="HTTP/1.1"} 1
	// weft_websockets_opened_total{side="server",version="HTTP/1.1"} 1
}

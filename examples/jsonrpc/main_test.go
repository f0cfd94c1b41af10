package main

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/weftws/weft"
)

func TestDemo(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	var out bytes.Buffer
	if err := demo(ctx, &out); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	slices.Sort(lines) // answers come when they come
	want := []string{
		"difference no method difference (-32601)", "sum 6.5 <nil>", "sum sum takes a list of numbers (-32602)",
		"wait 100 <nil>", "wait 150 <nil>", "wait 50 <nil>",
	}
	if !slices.Equal(lines, want) {
		t.Errorf("demo wrote\n%s", out.String())
	}
}

func TestAnswers(t *testing.T) {
	for request, want := range map[string]string{
		`{"jsonrpc":"2.0","id":"a","method":"sum","params":[1,2]}`: `{"jsonrpc":"","id":"a","result":3}`,
		`{"jsonrpc":"2.0","method":"sum","params":[1,2]}`:          `null`,
		`{"jsonrpc":"2.0","method":"none"}`:                        `null`,
		`{"jsonrpc":"1.0","id":1,"method":"sum"}`:                  `{"jsonrpc":"","id":1,"error":{"code":-32600,"message":"not a request of JSON-RPC 2.0"}}`,
	} {
		got, err := json.Marshal(methods.answer(t.Context(), []byte(request)))
		if err != nil || string(got) != want {
			t.Errorf("%s: %s, %v, want %s", request, got, err, want)
		}
	}
	if got := methods.answer(t.Context(), []byte("nonsense")); got.Error.Code != parseError || string(got.ID) != "null" {
		t.Errorf("nonsense: %+v", got)
	}
}

// Calls that have no answer yet fail when the server goes.
func TestServerGoes(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, err := weft.Accept(w, r, nil)
		if err != nil {
			return
		}
		c.Read(context.Background())
		c.Close(weft.StatusGoingAway, "enough")
	}))
	defer server.Close()
	c, _, err := weft.Dial(t.Context(), server.URL, nil)
	if err != nil {
		t.Fatal(err)
	}
	client := NewClient(c)
	for range 2 {
		if err := client.Call(t.Context(), "sum", nil, nil); err == nil || !strings.Contains(err.Error(), "enough") {
			t.Errorf("Call: %v", err)
		}
	}
}

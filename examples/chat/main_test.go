package main

import (
	"context"
	"net"
	"testing"
	"time"

	"github.com/weftws/weft"
)

func TestChat(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	serving, stop := context.WithCancel(ctx)
	done := make(chan error, 1)
	go func() { done <- run(serving, l) }()

	join := func(name string) *weft.Conn {
		t.Helper()
		c, _, err := weft.Dial(ctx, "ws://"+l.Addr().String()+"/chat?name="+name, nil)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.CloseNow() })
		return c
	}
	hears := func(c *weft.Conn, want string) {
		t.Helper()
		if _, p, err := c.Read(ctx); err != nil || string(p) != want {
			t.Fatalf("heard %q, %v, want %q", p, err, want)
		}
	}
	ann := join("Ann")
	hears(ann, "* Ann is here")
	bob := join("Bob")
	hears(ann, "* Bob is here")
	hears(bob, "* Bob is here")
	if err := bob.Write(ctx, weft.MessageText, []byte("hello")); err != nil {
		t.Fatal(err)
	}
	hears(ann, "Bob: hello")
	hears(bob, "Bob: hello")
	if err := bob.Close(weft.StatusNormalClosure, ""); err != nil {
		t.Fatal(err)
	}
	hears(ann, "* Bob has gone")

	stop()
	if _, _, err := ann.Read(ctx); weft.CloseStatus(err) != weft.StatusGoingAway {
		t.Errorf("when the server ends: %v", err)
	}
	if err := <-done; err != nil {
		t.Errorf("run: %v", err)
	}
}

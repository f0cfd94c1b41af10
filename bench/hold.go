package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"flag"
	"fmt"
	"os"
	"strconv"

	"github.com/weftws/weft/bench/peers"
)

// hold is the client process: it opens WebSockets and keeps them. It takes serve's commands and "open N".
func hold(args []string) error {
	fs := flag.NewFlagSet("hold", flag.ContinueOnError)
	addr := fs.String("addr", "", "the server's `address`")
	cert := fs.String("cert", "", "its certificate `file`")
	if len(args) == 0 {
		return errors.New("hold: which peer?")
	}
	if err := fs.Parse(args[1:]); err != nil {
		return err
	}
	p := peers.Named(args[0])
	if p == nil || p.Client == nil {
		return fmt.Errorf("hold: no client %q in this program", args[0])
	}
	b, err := os.ReadFile(*cert)
	if err != nil {
		return err
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(b) {
		return fmt.Errorf("hold: no certificate in %s", *cert)
	}
	c := client{dial: p.Client(*addr, &tls.Config{RootCAs: roots, ServerName: "localhost"})}
	fmt.Println("ready", *addr)
	return obey(os.Stdin, os.Stdout, map[string]func(string) error{"open": c.open})
}

// A client keeps the WebSockets that it opened.
type client struct {
	dial peers.Dial
	held []any
}

func (c *client) open(count string) error {
	n, err := strconv.Atoi(count)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), answerTime)
	defer cancel()
	for range n {
		ws, err := c.dial(ctx)
		if err != nil {
			return fmt.Errorf("WebSocket %d: %w", len(c.held)+1, err)
		}
		c.held = append(c.held, ws)
	}
	return nil
}

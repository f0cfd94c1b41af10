package main

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/weftws/weft"
	"github.com/weftws/weft/internal/devcert"
	"github.com/weftws/weft/negotiate"
)

func newUpCommand() *cobra.Command {
	var u up
	cmd := &cobra.Command{
		Use:   "up",
		Short: "Serve a WebSocket playground",
		Long: `up serves a WebSocket playground on one port, over HTTP/2 and HTTP/1.1 on TCP, and over HTTP/3 on UDP:

  /         a page that opens WebSockets and shows what carries them
  /echo     sends every message back; subprotocol "echo"; permessage-deflate
            ?api=blocking  uses Read and Write instead of callbacks
  /chat     everybody reads what everybody writes, as "name: text"
            ?name=NAME     instead of guest-1, guest-2, ...
  /stream   messages from the server
            ?rate=10&size=100   a second (1 to 10000), bytes each (1 to 1048576)

With ?hello=1 a WebSocket's first message says what carries it, as JSON:
  {"version":"HTTP/2.0","conn":3,"stream":5,"subprotocol":"","compression":""}

HTTP/3 is named to clients in Alt-Svc. Browsers use it only with a certificate that they trust: --chromium prints how to
start one that does.

Without --cert and --key the certificate is self-signed, for localhost, 127.0.0.1 and ::1, lives for 13 days in the
user's cache folder and is renewed by itself. Every WebSocket that opens or closes is a line on standard error.
Ctrl-C closes the WebSockets (1001) and waits up to 5 seconds for their peers; a second Ctrl-C does not wait.`,
		Example: `  weft up
  weft up --addr :443 --cert fullchain.pem --key privkey.pem
  weft up --addr 127.0.0.1:0 --plain 127.0.0.1:0 --json
  weft up --no-connect-protocol    # see clients fall back to HTTP/1.1
  weft up --chromium               # how to start a Chromium that uses HTTP/3`,
		Args: usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			u.stdout, u.stderr = cmd.OutOrStdout(), cmd.ErrOrStderr()
			return u.run(commandContext(cmd))
		},
	}
	f := cmd.Flags()
	f.StringVar(&u.addr, "addr", "127.0.0.1:8443", "`address` of the TLS port, and of the UDP port for HTTP/3; port 0 picks a free one")
	f.StringVar(&u.plain, "plain", "", "`address` of one more port without TLS: HTTP/1.1, and HTTP/2 with prior knowledge")
	f.StringVar(&u.certFile, "cert", "", "certificate chain `file` (PEM)")
	f.StringVar(&u.keyFile, "key", "", "private key `file` (PEM)")
	f.BoolVar(&u.noConnect, "no-connect-protocol", false, "HTTP/2 without WebSockets (RFC 8441 off)")
	f.BoolVar(&u.noHTTP3, "no-http3", false, "no HTTP/3, no UDP port")
	f.BoolVar(&u.chromium, "chromium", false, "print how to start a Chromium that trusts the certificate and uses HTTP/3")
	f.StringVar(&u.rungs, "rungs", "", "experimental ways to take besides, as `list`: token, h2.1, frame")
	f.StringVar(&u.altSvc, "alt-svc", "", "Alt-Svc field `value` to send (RFC 7838)")
	f.BoolVar(&u.anyOrigin, "any-origin", false, "let pages from other origins open WebSockets")
	f.BoolVar(&u.json, "json", false, `print one line when ready: {"tls":"127.0.0.1:8443","quic":"127.0.0.1:8443","plain":"127.0.0.1:8080"}`)
	f.BoolVarP(&u.quiet, "quiet", "q", false, "no line for each WebSocket")
	return cmd
}

// shutdownTimeout bounds the wait for peers after the first signal.
const shutdownTimeout = 5 * time.Second

// up is one run of the command.
type up struct {
	addr, plain       string
	certFile, keyFile string
	noConnect         bool
	noHTTP3, chromium bool
	rungs, altSvc     string
	anyOrigin         bool
	json, quiet       bool
	stdout, stderr    io.Writer
}

func (u *up) run(ctx context.Context) error {
	if (u.certFile == "") != (u.keyFile == "") {
		return usagef("--cert and --key go together")
	}
	tlsConfig, err := u.tlsConfig()
	if err != nil {
		return err
	}
	conns := newConnLog(u.logWriter())
	var experimental []weft.Rung
	if u.rungs != "" {
		if experimental, err = negotiate.ParseRungs(u.rungs); err != nil {
			return usagef("--rungs: %w", err)
		}
	}
	srv := &weft.Server{
		Handler:   newSite(conns, u.anyOrigin),
		TLSConfig: tlsConfig,
		Options:   weft.ServerOptions{DisableConnectProtocol: u.noConnect, Rungs: experimental, AltSvc: u.altSvc},
		ErrorLog:  log.New(dropLines{u.logWriter(), "TLS handshake error"}, "", 0),
	}
	pin := ""
	if u.chromium {
		if pin, err = keyPin(tlsConfig); err != nil {
			return fmt.Errorf("--chromium: %w", err)
		}
	}
	on, err := u.listen()
	if err != nil {
		return err
	}
	serving := make(chan error, 3)
	if on.quic != nil {
		go func() { serving <- srv.ServeQUIC(on.quic) }()
	}
	go func() { serving <- srv.ServeTLS(on.secure, "", "") }()
	if on.plain != nil {
		go func() { serving <- srv.Serve(on.plain) }()
	}

	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	defer signal.Stop(signals)
	u.announce(on, pin)

	select {
	case err := <-serving:
		srv.Close()
		return fmt.Errorf("serve: %w", err)
	case <-ctx.Done():
	case <-signals:
	}
	return shutdown(srv, conns, signals)
}

// shutdown drains srv until shutdownTimeout or another signal.
func shutdown(srv *weft.Server, conns *connLog, signals <-chan os.Signal) error {
	ctx, cancel := context.WithTimeout(context.Background(), shutdownTimeout)
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- srv.Shutdown(ctx) }()
	select {
	case err := <-done:
		if err != nil && !errors.Is(err, http.ErrServerClosed) {
			srv.Close()
			return fmt.Errorf("shutdown: %w", err)
		}
		conns.wait(ctx)
		return nil
	case <-signals:
		srv.Close()
		return errInterrupted
	}
}

func (u *up) tlsConfig() (*tls.Config, error) {
	if u.certFile != "" {
		cert, err := tls.LoadX509KeyPair(u.certFile, u.keyFile)
		if err != nil {
			return nil, fmt.Errorf("certificate: %w", err)
		}
		return &tls.Config{Certificates: []tls.Certificate{cert}}, nil
	}
	dir, err := os.UserCacheDir()
	if err == nil {
		dir = filepath.Join(dir, "weft")
	} // else dir is "": in memory
	source, err := devcert.NewSource(dir, time.Now)
	if errors.Is(err, devcert.ErrNotSaved) {
		fmt.Fprintf(u.stderr, "weft: %v\n", err)
	} else if err != nil {
		return nil, err
	}
	return &tls.Config{GetCertificate: source.Get}, nil
}

func (u *up) logWriter() io.Writer {
	if u.quiet {
		return io.Discard
	}
	return u.stderr
}

// announce says that the ports are open: one JSON line, or a banner.
func (u *up) announce(s *sockets, pin string) {
	ready := struct {
		TLS   string `json:"tls"`
		QUIC  string `json:"quic,omitempty"`
		Plain string `json:"plain,omitempty"`
		SPKI  string `json:"spki,omitempty"`
	}{TLS: s.secure.Addr().String(), SPKI: pin}
	if s.quic != nil {
		ready.QUIC = s.quic.LocalAddr().String()
	}
	if s.plain != nil {
		ready.Plain = s.plain.Addr().String()
	}
	if u.json {
		line, _ := json.Marshal(ready) // strings: cannot fail
		fmt.Fprintf(u.stdout, "%s\n", line)
		return
	}
	var b strings.Builder
	b.WriteString("weft is up, over HTTP/1.1, HTTP/2")
	if ready.QUIC != "" {
		fmt.Fprintf(&b, " and HTTP/3 (UDP %s)", ready.QUIC)
	}
	fmt.Fprintf(&b, ".\n\n  page    https://%s/\n", ready.TLS)
	for _, path := range []string{"echo", "chat", "stream"} {
		fmt.Fprintf(&b, "  %-7s wss://%s/%s\n", path, ready.TLS, path)
	}
	insecure := ""
	if u.certFile == "" {
		insecure = " --insecure"
	}
	fmt.Fprintf(&b, "\nTry it:\n\n  weft cat wss://%s/echo%s\n", ready.TLS, insecure)
	if ready.QUIC != "" {
		fmt.Fprintf(&b, "  weft cat wss://%s/echo%s --rungs h3    # HTTP/3\n", ready.TLS, insecure)
	}
	if ready.Plain != "" {
		fmt.Fprintf(&b, "  weft cat ws://%s/echo          # without TLS, HTTP/1.1\n", ready.Plain)
		fmt.Fprintf(&b, "  weft cat ws://%s/echo --h2c    # HTTP/2\n", ready.Plain)
	}
	if pin != "" {
		b.WriteString("  " + chromiumLine(ready.TLS, ready.QUIC != "", pin))
	}
	if insecure != "" {
		b.WriteString("\nThe certificate is self-signed: a browser asks once.")
	}
	b.WriteString("\nCtrl-C stops.\n\n")
	io.WriteString(u.stdout, b.String())
}

// chromiumLine starts a Chromium that trusts the certificate, and uses QUIC at once: it does not for one that its user accepted.
func chromiumLine(addr string, quic bool, pin string) string {
	_, port, _ := net.SplitHostPort(addr)
	line := "chromium --user-data-dir=\"$(mktemp -d)\" --ignore-certificate-errors-spki-list=" + pin
	if quic {
		line += " --enable-quic --origin-to-force-quic-on=localhost:" + port + " --enable-features=EnableWebsocketsOverHttp3"
	}
	return line + " https://localhost:" + port + "/\n"
}

// dropLines drops the writes that contain a phrase. A browser that does not trust the certificate yet ends many a
// handshake; that is no news.
type dropLines struct {
	w      io.Writer
	phrase string
}

func (d dropLines) Write(p []byte) (int, error) {
	if strings.Contains(string(p), d.phrase) {
		return len(p), nil
	}
	return d.w.Write(p)
}

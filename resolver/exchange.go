package resolver

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"time"

	"golang.org/x/net/dns/dnsmessage"
)

// ask asks the servers for the records of name, one after the other and all of them twice; every attempt has the same share
// of the time. The error is a *serverError or ctx's.
func (r *Resolver) ask(ctx context.Context, servers []string, name string) (*answer, error) {
	qname, err := dnsmessage.NewName(name)
	if err != nil {
		return nil, err
	}
	q := dnsmessage.Question{Name: qname, Type: dnsmessage.TypeHTTPS, Class: dnsmessage.ClassINET}
	share := r.timeout() / time.Duration(attempts*len(servers))
	var last error
	for range attempts {
		for _, server := range servers {
			a, err := r.askServer(ctx, server, q, share)
			if err == nil {
				return a, nil
			}
			last = &serverError{server, err}
			if errors.Is(ctx.Err(), context.Canceled) {
				return nil, ctx.Err()
			}
			if ctx.Err() != nil {
				return nil, last
			}
		}
	}
	return nil, last
}

// askServer asks one server, over TCP where the answer has no room in a datagram.
func (r *Resolver) askServer(ctx context.Context, server string, q dnsmessage.Question, share time.Duration) (*answer, error) {
	ctx, cancel := context.WithTimeout(ctx, share)
	defer cancel()
	a, err := r.exchange(ctx, "udp", server, q)
	if errors.Is(err, errTruncated) {
		a, err = r.exchange(ctx, "tcp", server, q)
	}
	return a, err
}

func (r *Resolver) exchange(ctx context.Context, network, server string, q dnsmessage.Question) (*answer, error) {
	dial := r.Dial
	if dial == nil {
		dial = new(net.Dialer).DialContext
	}
	conn, err := dial(ctx, network, server)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()

	id := randomID()
	if network == "tcp" {
		return exchangeTCP(conn, id, q)
	}
	return exchangeUDP(conn, id, q)
}

// exchangeUDP passes over datagrams that answer something else: anybody can send them.
func exchangeUDP(conn net.Conn, id uint16, q dnsmessage.Question) (*answer, error) {
	query, err := appendQuery(nil, id, q)
	if err != nil {
		return nil, err
	}
	if _, err := conn.Write(query); err != nil {
		return nil, err
	}
	b := make([]byte, 4096)
	for {
		n, err := conn.Read(b)
		if err != nil {
			return nil, err
		}
		a, err := parseAnswer(b[:n], id, q)
		if !errors.Is(err, errForeign) {
			return a, err
		}
	}
}

// exchangeTCP puts two bytes before each message, its length. RFC 1035, Section 4.2.2.
func exchangeTCP(conn net.Conn, id uint16, q dnsmessage.Question) (*answer, error) {
	query, err := appendQuery(make([]byte, 2, 512), id, q)
	if err != nil {
		return nil, err
	}
	binary.BigEndian.PutUint16(query, uint16(len(query)-2))
	if _, err := conn.Write(query); err != nil {
		return nil, err
	}
	var length [2]byte
	if _, err := io.ReadFull(conn, length[:]); err != nil {
		return nil, err
	}
	b := make([]byte, binary.BigEndian.Uint16(length[:]))
	if _, err := io.ReadFull(conn, b); err != nil {
		return nil, err
	}
	return parseAnswer(b, id, q)
}

func randomID() uint16 {
	var b [2]byte
	rand.Read(b[:])
	return binary.BigEndian.Uint16(b[:])
}

// A serverError is what came of the last attempt.
type serverError struct {
	server string
	err    error
}

func (e *serverError) Error() string { return e.server + ": " + e.err.Error() }
func (e *serverError) Unwrap() error { return e.err }

const attempts = 2

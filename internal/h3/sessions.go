package h3

import (
	"container/list"
	"crypto/tls"
	"sync"
	"time"

	"github.com/quic-go/quic-go"
)

// Sessions remember what servers gave to come back with: a TLS ticket with the SETTINGS of the connection it came on, and tokens
// that validate the client's address. What one key was given is never shown to another. The zero value is ready for use; its
// methods are safe for concurrent use.
type Sessions struct {
	// Max bounds the keys; the one that was used longest ago goes first. Default 256.
	Max int

	mu      sync.Mutex
	byKey   map[string]*list.Element // of *session
	recency list.List                // most recent first
}

// A session is what is remembered for one key. Guarded by Sessions.mu. Its age is what the clock says that says more: while the machine sleeps the
// monotonic one may stand still, and the wall clock may be set back.
type session struct {
	key      string
	ticket   *tls.ClientSessionState // nil: none
	early    bool                    // the ticket allows early data
	since    time.Time
	settings settings
	known    bool // settings are those that came with the ticket
	tokens   []*quic.ClientToken
}

// Early reports whether a dial for key could open a WebSocket in early data now: there is a ticket for it, younger than a week,
// and the server's SETTINGS that came with it allow Extended CONNECT.
func (s *Sessions) Early(key string, now time.Time) bool {
	_, ok := s.remembered(key, now)
	return ok
}

// remembered returns the SETTINGS that a dial in early data may rely on.
//
// "When a 0-RTT QUIC connection is being used, the initial value of each server setting is the value used in the previous
// session." RFC 9114, Section 7.2.4.2.
func (s *Sessions) remembered(key string, now time.Time) (settings, bool) {
	if s == nil {
		return settings{}, false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.find(key)
	// "Servers MUST NOT use any value greater than 604800 seconds (7 days)." RFC 8446, Section 4.6.1. By either clock: see [session].
	if e == nil || e.ticket == nil || !e.early || !e.known || !e.settings.connect || max(now.Sub(e.since), now.Round(0).Sub(e.since)) >= maxTicketAge {
		return settings{}, false
	}
	return e.settings, true
}

// find returns key's session, or nil. Called with the lock held.
func (s *Sessions) find(key string) *session {
	el := s.byKey[key]
	if el == nil {
		return nil
	}
	s.recency.MoveToFront(el)
	return el.Value.(*session)
}

// get is find that makes a session where there is none. Called with the lock held.
func (s *Sessions) get(key string) *session {
	if e := s.find(key); e != nil {
		return e
	}
	limit := s.Max
	if limit <= 0 {
		limit = defaultSessions
	}
	for s.recency.Len() >= limit {
		oldest := s.recency.Back()
		delete(s.byKey, oldest.Value.(*session).key)
		s.recency.Remove(oldest)
	}
	if s.byKey == nil {
		s.byKey = make(map[string]*list.Element)
	}
	e := &session{key: key}
	s.byKey[key] = s.recency.PushFront(e)
	return e
}

// A connSessions is one connection's view of Sessions: a tls.ClientSessionCache and a quic.TokenStore, whatever keys these two
// go by.
type connSessions struct {
	all *Sessions
	key string

	// Guarded by all.mu.
	ticket   *tls.ClientSessionState // the last that came on this connection
	settings settings                // came on this connection
	known    bool
}

// Get implements tls.ClientSessionCache.
//
// Choice: a ticket may serve several dials, as in crypto/tls; the next connection replaces it.
func (c *connSessions) Get(string) (*tls.ClientSessionState, bool) {
	c.all.mu.Lock()
	defer c.all.mu.Unlock()
	if e := c.all.find(c.key); e != nil && e.ticket != nil {
		return e.ticket, true
	}
	return nil, false
}

// Put implements tls.ClientSessionCache; nil takes the ticket away.
func (c *connSessions) Put(_ string, ticket *tls.ClientSessionState) {
	early := false
	if ticket != nil {
		if _, state, err := ticket.ResumptionState(); err == nil && state != nil {
			early = state.EarlyData
		}
	}
	c.all.mu.Lock()
	defer c.all.mu.Unlock()
	e := c.all.get(c.key)
	c.ticket = ticket
	e.ticket, e.early, e.since = ticket, early, time.Now()
	e.settings, e.known = c.settings, c.known
}

// received takes the server's SETTINGS, which may come before the ticket or after it.
func (c *connSessions) received(s settings) {
	c.all.mu.Lock()
	defer c.all.mu.Unlock()
	c.settings, c.known = s, true
	if e := c.all.find(c.key); e != nil && e.ticket != nil && e.ticket == c.ticket {
		e.settings, e.known = s, true
	}
}

// A tokenStore is the quic.TokenStore of a connSessions.
type tokenStore struct{ *connSessions }

// Pop implements quic.TokenStore.
func (c tokenStore) Pop(string) *quic.ClientToken {
	c.all.mu.Lock()
	defer c.all.mu.Unlock()
	e := c.all.find(c.key)
	if e == nil || len(e.tokens) == 0 {
		return nil
	}
	t := e.tokens[len(e.tokens)-1]
	e.tokens = e.tokens[:len(e.tokens)-1]
	return t
}

// Put implements quic.TokenStore.
func (c tokenStore) Put(_ string, t *quic.ClientToken) {
	c.all.mu.Lock()
	defer c.all.mu.Unlock()
	e := c.all.get(c.key)
	if len(e.tokens) == maxTokens {
		e.tokens = append(e.tokens[:0], e.tokens[1:]...)
	}
	e.tokens = append(e.tokens, t)
}

const (
	defaultSessions = 256
	maxTokens       = 4
	maxTicketAge    = 7 * 24 * time.Hour
)

package resolver

import (
	"encoding/binary"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/net/dns/dnsmessage"

	"github.com/weftws/weft/internal/simnet"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	rtt    = 20 * time.Millisecond
	dnsIP  = "10.0.0.53"
	server = dnsIP + ":53"
)

// A record is one of a zone; data is a *dnsmessage.HTTPSResource, CNAMEResource, or SOAResource (sent as authority where
// there is nothing else), or an UnknownResource.
type record struct {
	ttl  uint32
	data dnsmessage.ResourceBody
}

// A fakeServer answers from a zone, over UDP and TCP.
type fakeServer struct {
	net  *simnet.Network
	addr string

	mu   sync.Mutex
	zone map[string][]record
	// change may replace the answers (to none at all) to one query.
	change  func(network string, query, answer []byte) [][]byte
	queries []string // network and name
}

func serve(n *simnet.Network, addr string, zone map[string][]record) *fakeServer {
	s := &fakeServer{net: n, addr: addr, zone: zone}
	udp := n.ListenPacket(addr)
	go func() {
		b := make([]byte, 2000)
		for {
			k, from, err := udp.ReadFrom(b)
			if err != nil {
				return
			}
			for _, a := range s.answers("udp", b[:k]) {
				udp.WriteTo(a, from)
			}
		}
	}()
	tcp := n.Listen(addr)
	go func() {
		for {
			c, err := tcp.Accept()
			if err != nil {
				return
			}
			go s.serveTCP(c)
		}
	}()
	return s
}

func (s *fakeServer) serveTCP(c net.Conn) {
	defer c.Close()
	var length [2]byte
	if _, err := io.ReadFull(c, length[:]); err != nil {
		return
	}
	b := make([]byte, binary.BigEndian.Uint16(length[:]))
	if _, err := io.ReadFull(c, b); err != nil {
		return
	}
	for _, a := range s.answers("tcp", b) {
		c.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(a))), a...))
	}
	io.Copy(io.Discard, c)
}

func (s *fakeServer) answers(network string, query []byte) [][]byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	var p dnsmessage.Parser
	h, err := p.Start(query)
	if err != nil {
		panic(err)
	}
	q, err := p.Question()
	if err != nil {
		panic(err)
	}
	s.queries = append(s.queries, network+" "+q.Name.String())
	a := build(h.ID, q, s.zone)
	if s.change != nil {
		return s.change(network, query, a)
	}
	return [][]byte{a}
}

func (s *fakeServer) asked() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.queries)
}

func (s *fakeServer) onQuery(change func(network string, query, answer []byte) [][]byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.change = change
}

// build answers q as a recursive resolver does: CNAMEs are followed, aliases are not. A name that zone does not have is
// answered with NXDOMAIN; where it has SOA records, those say how long that holds.
func build(id uint16, q dnsmessage.Question, zone map[string][]record) []byte {
	h := dnsmessage.Header{ID: id, Response: true, RecursionDesired: true, RecursionAvailable: true}
	name := q.Name
	var answers []dnsmessage.Resource
	for {
		records, ok := zone[strings.TrimSuffix(strings.ToLower(name.String()), ".")]
		if !ok {
			h.RCode = dnsmessage.RCodeNameError
		}
		var next *dnsmessage.CNAMEResource
		for _, r := range records {
			answers = append(answers, dnsmessage.Resource{
				Header: dnsmessage.ResourceHeader{Name: name, Class: dnsmessage.ClassINET, TTL: r.ttl}, Body: r.data,
			})
			if c, ok := r.data.(*dnsmessage.CNAMEResource); ok {
				next = c
			}
		}
		if next == nil || len(answers) > 20 {
			break
		}
		name = next.CNAME
	}
	m := dnsmessage.Message{Header: h, Questions: []dnsmessage.Question{q}, Answers: answers}
	if len(answers) == 0 {
		for _, r := range zone["SOA"] {
			m.Authorities = append(m.Authorities, dnsmessage.Resource{
				Header: dnsmessage.ResourceHeader{Name: name, Class: dnsmessage.ClassINET, TTL: r.ttl}, Body: r.data,
			})
		}
	}
	b, err := m.Pack()
	if err != nil {
		panic(err)
	}
	return b
}

// service makes a ServiceMode record (AliasMode where priority is 0) out of keys and their values, with a TTL of 300 s.
func service(priority uint16, target string, params ...any) record {
	r := &dnsmessage.HTTPSResource{SVCBResource: dnsmessage.SVCBResource{
		Priority: priority, Target: dnsmessage.MustNewName(target),
	}}
	for i := 0; i < len(params); i += 2 {
		r.SetParam(params[i].(dnsmessage.SVCParamKey), []byte(params[i+1].(string)))
	}
	return record{300, r}
}

func alias(target string) record { return service(0, target) }

func cname(target string) record {
	return record{300, &dnsmessage.CNAMEResource{CNAME: dnsmessage.MustNewName(target)}}
}

// run runs f in fake time with a server for zone and a resolver that asks it.
func run(t *testing.T, zone map[string][]record, f func(t *testing.T, s *fakeServer, r *Resolver)) {
	t.Helper()
	simnet.Run(t, rtt, func(t *testing.T, n *simnet.Network) {
		s := serve(n, server, zone)
		f(t, s, &Resolver{Servers: []string{server}, Dial: n.DialContext})
	})
}

const (
	mandatory     = dnsmessage.SVCParamMandatory
	alpn          = dnsmessage.SVCParamALPN
	noDefaultALPN = dnsmessage.SVCParamNoDefaultALPN
	port          = dnsmessage.SVCParamPort
	ipv4Hint      = dnsmessage.SVCParamIPv4Hint
	ech           = dnsmessage.SVCParamECH
	ipv6Hint      = dnsmessage.SVCParamIPv6Hint
)

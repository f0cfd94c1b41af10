package lab

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"sync"
	"time"
)

// A flow is what one client's socket and the server say to each other in datagrams: each arrives the delay after it came, in order.
// What the queues do not hold is lost, as on any network.
type flow struct {
	client    netip.AddrPort
	far       net.Conn
	out, back queueOfChunks
}

const (
	maxFlows     = 256
	maxDatagrams = 4096 // on the way, in one direction
	flowIdle     = time.Minute
)

// acceptDatagrams takes what clients send.
func (r *relay) acceptDatagrams() {
	flows := make(map[netip.AddrPort]*flow)
	var mu sync.Mutex // for flows
	b := make([]byte, maxDatagramBytes)
	for {
		n, client, err := r.socket.ReadFromUDPAddrPort(b)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil || r.datagram == nil {
			continue
		}
		mu.Lock()
		f, room := flows[client], len(flows) < maxFlows
		if f == nil && room {
			if f = r.newFlow(client); f != nil {
				flows[client] = f
				r.active.Go(func() {
					r.serveFlow(f)
					mu.Lock()
					delete(flows, client)
					mu.Unlock()
				})
			}
		}
		mu.Unlock()
		if f != nil {
			f.far.SetReadDeadline(time.Now().Add(flowIdle))
			f.out.putUpTo(maxDatagrams, r.datagramOf(b[:n]))
		}
	}
}

// newFlow opens a socket that stands for the client's; nil: the relay is closed, or there is none to be had.
func (r *relay) newFlow(client netip.AddrPort) *flow {
	far, err := net.Dial("udp", r.datagram.String())
	if err != nil {
		return nil
	}
	if !r.hold(far) {
		far.Close()
		return nil
	}
	f := &flow{client: client, far: far}
	f.out.init()
	f.back.init()
	return f
}

// serveFlow passes on until the relay is closed or nothing has come for flowIdle.
func (r *relay) serveFlow(f *flow) {
	var ways sync.WaitGroup
	ways.Go(func() { passDatagrams(&f.out, func(p []byte) { f.far.Write(p) }) })
	ways.Go(func() { passDatagrams(&f.back, func(p []byte) { r.socket.WriteToUDPAddrPort(p, f.client) }) })
	b := make([]byte, maxDatagramBytes)
	for {
		n, err := f.far.Read(b)
		if errors.Is(err, net.ErrClosed) || errors.Is(err, os.ErrDeadlineExceeded) {
			break
		}
		if err == nil { // else it is ICMP's: nobody listens there now
			f.far.SetReadDeadline(time.Now().Add(flowIdle))
			f.back.putUpTo(maxDatagrams, r.datagramOf(b[:n]))
		}
	}
	r.drop(f.far)
	for _, way := range []*queueOfChunks{&f.out, &f.back} {
		way.put(chunk{err: net.ErrClosed})
	}
	ways.Wait()
}

func (r *relay) datagramOf(p []byte) chunk {
	return chunk{due: time.Now().Add(r.delay), data: append([]byte(nil), p...)}
}

// passDatagrams sends each when it is due, until there comes one with an error. What a socket does not take is lost.
func passDatagrams(way *queueOfChunks, send func([]byte)) {
	for {
		c := way.take()
		if c.err != nil {
			return
		}
		time.Sleep(time.Until(c.due))
		send(c.data)
	}
}

const maxDatagramBytes = 64 << 10

// listenBoth opens a free loopback port, of TCP and of UDP.
func listenBoth() (l net.Listener, socket *net.UDPConn, err error) {
	for range 10 { // the number that is free for one may be taken for the other
		if l, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
			return nil, nil, err
		}
		addr := l.Addr().(*net.TCPAddr)
		if socket, err = net.ListenUDP("udp", &net.UDPAddr{IP: addr.IP, Port: addr.Port}); err == nil {
			return l, socket, nil
		}
		l.Close()
	}
	return nil, nil, err
}

// dialUDP opens the socket of a client. Its datagrams take their time in the relay.
func dialUDP(_ context.Context, addr string) (net.PacketConn, net.Addr, error) {
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, nil, err
	}
	remote, err := net.ResolveUDPAddr("udp", net.JoinHostPort("127.0.0.1", port))
	if err != nil {
		return nil, nil, err
	}
	pc, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	return pc, remote, err
}

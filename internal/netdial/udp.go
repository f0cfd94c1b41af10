package netdial

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"strconv"
	"time"

	"github.com/weftws/weft/negotiate"
)

// A Socket is a UDP socket and the peer that packets go to.
type Socket struct {
	net.PacketConn
	Remote net.Addr
}

// UDP resolves addr (host:port) and opens a socket for it. It calls report, if not nil, for the step of resolving. Of several
// addresses it takes the first that the machine has a route to: that there is an answer has to show. The error is an *Error.
func (d *Dialer) UDP(ctx context.Context, addr string, report func(Step)) (*Socket, error) {
	a := &attempt{d: d, report: report}
	if report == nil {
		a.report = func(Step) {}
	}
	if d.NetDialUDP != nil {
		pc, remote, err := d.NetDialUDP(ctx, addr)
		if err != nil {
			return nil, fail(ctx, tcpStep(err), addr, "opening a UDP socket for "+addr, err)
		}
		return &Socket{PacketConn: pc, Remote: remote}, nil
	}
	remote, err := a.resolveUDP(ctx, addr)
	if err != nil {
		return nil, fail(ctx, negotiate.StepResolve, addr, "resolving "+addr, err)
	}
	pc, err := new(net.ListenConfig).ListenPacket(ctx, "udp", ":0")
	if err != nil {
		return nil, fail(ctx, negotiate.Step("quic"), addr, "opening a UDP socket for "+addr, err)
	}
	return &Socket{PacketConn: pc, Remote: remote}, nil
}

func (a *attempt) resolveUDP(ctx context.Context, addr string) (*net.UDPAddr, error) {
	host, service, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, err
	}
	port, err := net.DefaultResolver.LookupPort(ctx, "udp", service)
	if err != nil {
		return nil, err
	}
	start := time.Now()
	ips, err := net.DefaultResolver.LookupNetIP(ctx, "ip", host)
	if err != nil {
		a.step(negotiate.StepResolve, start, "", err)
		return nil, err
	}
	if _, literal := netip.ParseAddr(host); literal != nil {
		a.step(negotiate.StepResolve, start, addrList(ips), nil)
	}
	for _, ip := range ips {
		if c, err := net.Dial("udp", net.JoinHostPort(ip.String(), strconv.Itoa(port))); err == nil { // sends nothing
			defer c.Close()
			return c.RemoteAddr().(*net.UDPAddr), nil
		}
	}
	return nil, errors.New("no route to " + addrList(ips))
}

func addrList(ips []netip.Addr) string {
	s := ""
	for i, ip := range ips {
		if i > 0 {
			s += ", "
		}
		s += ip.Unmap().String()
	}
	return s
}

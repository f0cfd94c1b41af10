package weft

import (
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"fmt"
	"net"
	"time"

	"github.com/weftws/weft/internal/memory"
	"github.com/weftws/weft/internal/netdial"
	"github.com/weftws/weft/negotiate"
)

// originMemory is the memory's page about the origin of one dial.
type originMemory struct {
	store negotiate.Store
	key   negotiate.Key
}

func (m originMemory) known() negotiate.Entry {
	e, _ := m.store.Get(m.key)
	return e
}

func (m originMemory) remember(r negotiate.Remember) {
	now := time.Now()
	m.store.Put(m.key, m.known().Remember(r, now))
}

func (m originMemory) forget(f negotiate.Forget) {
	m.store.Put(m.key, m.known().Forget(f.Rung, time.Now()))
}

// memoryFor opens the page of the origin that key names.
func (d *Dialer) memoryFor(key poolKey, p Policy) originMemory {
	d.once.Do(func() {
		d.store = d.Memory
		if d.store == nil {
			d.store = memory.NewMap(0)
		}
		d.tlsIdentity = tlsIdentity(d.TLSConfig)
	})
	host, port, _ := net.SplitHostPort(key.addr)
	k := negotiate.Key{
		Scheme: "ws", Host: host, Port: port, Proxy: key.proxy, Network: d.network(), ALPNSet: p.ALPNSet(), Partition: d.Partition,
	}
	if key.secure {
		k.Scheme, k.TLSIdentity = "wss", d.tlsIdentity
	}
	return originMemory{store: d.store, key: k}
}

// networkMemory is the memory's page about the network of one dial.
func (m originMemory) network() originMemory {
	return originMemory{store: m.store, key: negotiate.NetworkKey(m.key.Network)}
}

// network names the network that this machine is on, and lets go of what an earlier one said.
func (d *Dialer) network() string {
	if d.Network != nil {
		return d.noteNetwork(d.Network())
	}
	d.networkMu.Lock()
	known := time.Since(d.networkAt) < networkFor && !d.networkAt.IsZero()
	name := d.networkName
	d.networkMu.Unlock()
	if known {
		return name
	}
	return d.noteNetwork(netdial.Network())
}

// noteNetwork notes the name of the network.
//
// "clients SHOULD remove from cache all alternative services that lack the "persist" flag with the value "1" when they detect such a
// change". RFC 7838, Section 2.2.
func (d *Dialer) noteNetwork(name string) string {
	d.networkMu.Lock()
	changed := !d.networkAt.IsZero() && name != d.networkName
	d.networkName, d.networkAt = name, time.Now()
	d.networkMu.Unlock()
	if changed {
		d.alt.networkChanged()
	}
	return name
}

// networkFor is how long the name of the network is not asked for again: asking costs some system calls.
const networkFor = 5 * time.Second

// tlsIdentity is a digest of what decides which servers are trusted and who we are to them; "" for the defaults.
func tlsIdentity(c *tls.Config) string {
	if c == nil || c.RootCAs == nil && len(c.Certificates) == 0 && c.GetClientCertificate == nil && c.ServerName == "" && !c.InsecureSkipVerify {
		return ""
	}
	h := sha256.New()
	if c.RootCAs != nil {
		//lint:ignore SA1019 what it leaves out, the system's roots, is the same for everybody on this machine
		for _, s := range c.RootCAs.Subjects() {
			h.Write(s)
		}
	}
	for _, cert := range c.Certificates {
		for _, der := range cert.Certificate {
			h.Write(der)
		}
	}
	fmt.Fprint(h, c.ServerName, c.InsecureSkipVerify, c.GetClientCertificate != nil)
	return hex.EncodeToString(h.Sum(nil)[:8])
}

package network

import (
	"net"
	"net/netip"
	"sync"
	"time"
)

const addressesKept = 5 * time.Second

// HostAddresses returns what [egress.Policy.Own] wants: whether an address is one of this machine's. The system's answer is kept for some seconds, since asking for it costs more
// than a connection should. When the system does not answer, every address is taken for the machine's own.
func HostAddresses() func(netip.Addr) bool {
	var mu sync.Mutex
	var asked time.Time
	var own map[netip.Addr]bool
	return func(a netip.Addr) bool {
		mu.Lock()
		defer mu.Unlock()
		if own == nil || time.Since(asked) > addressesKept {
			found, err := net.InterfaceAddrs()
			if err != nil {
				return true
			}
			own, asked = make(map[netip.Addr]bool, len(found)), time.Now()
			for _, f := range found {
				if n, ok := f.(*net.IPNet); ok {
					if ip, ok := netip.AddrFromSlice(n.IP); ok {
						own[ip.Unmap()] = true
					}
				}
			}
		}
		return own[a.Unmap()]
	}
}

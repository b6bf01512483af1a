package proto

import (
	"encoding/binary"
	"fmt"
	"io"
	"net/netip"
)

// Connected is what the host sends first on a connection of [Network.Outside], when it has connected to the destination. A host that does not connect closes the connection
// without a word, and the guest resets the one inside.
const Connected byte = 1

const destinationSize = 16 + 2 // an IPv6 address, IPv4 ones mapped, and a port, big endian

// WriteDestination says where a connection was meant to go, in 18 bytes: the guest's first on a connection of [Network.Outside].
func WriteDestination(w io.Writer, to netip.AddrPort) error {
	ip := to.Addr().As16()
	_, err := w.Write(binary.BigEndian.AppendUint16(ip[:], to.Port()))
	return err
}

// ReadDestination reads what [WriteDestination] has written. IPv4 addresses come out as such; no other spelling of one does.
func ReadDestination(r io.Reader) (netip.AddrPort, error) {
	var b [destinationSize]byte
	if _, err := io.ReadFull(r, b[:]); err != nil {
		return netip.AddrPort{}, err
	}
	to := netip.AddrPortFrom(netip.AddrFrom16([16]byte(b[:16])).Unmap(), binary.BigEndian.Uint16(b[16:]))
	if to.Port() == 0 {
		return netip.AddrPort{}, fmt.Errorf("%w: a destination without a port", ErrFrame)
	}
	return to, nil
}

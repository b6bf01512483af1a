package agent

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"os"

	"golang.org/x/sys/unix"
)

// setAddress adds an address to the loopback device or removes it. Adding one that is there and removing one that is not are no errors. By netlink and not by the
// `ip` command, which images need not have and whose start costs more than all the rest.
func setAddress(p netip.Prefix, lo int, add bool) error {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_ROUTE)
	if err != nil {
		return fmt.Errorf("open netlink: %w", err)
	}
	defer func() { _ = unix.Close(fd) }()
	kernel := &unix.SockaddrNetlink{Family: unix.AF_NETLINK}
	if err := unix.Sendto(fd, addressMessage(p, lo, add), 0, kernel); err != nil {
		return fmt.Errorf("send to netlink: %w", err)
	}
	answer := make([]byte, os.Getpagesize())
	n, _, err := unix.Recvfrom(fd, answer, 0)
	if err != nil {
		return fmt.Errorf("receive from netlink: %w", err)
	}
	err = acknowledgement(answer[:n])
	if errors.Is(err, unix.EEXIST) || (!add && errors.Is(err, unix.EADDRNOTAVAIL)) {
		return nil
	}
	return err
}

// addressMessage is an RTM_NEWADDR or RTM_DELADDR with the address as IFA_LOCAL and IFA_ADDRESS.
func addressMessage(p netip.Prefix, index int, add bool) []byte {
	kind, flags, family := uint16(unix.RTM_NEWADDR), uint16(unix.NLM_F_REQUEST|unix.NLM_F_ACK|unix.NLM_F_CREATE), byte(unix.AF_INET)
	if !add {
		kind, flags = unix.RTM_DELADDR, unix.NLM_F_REQUEST|unix.NLM_F_ACK
	}
	if p.Addr().Is6() {
		family = unix.AF_INET6
	}
	b := make([]byte, unix.SizeofNlMsghdr)
	b = append(b, family, byte(p.Bits()), 0, unix.RT_SCOPE_HOST)
	b = binary.NativeEndian.AppendUint32(b, uint32(index))
	address := p.Addr().AsSlice() // 4 or 16 bytes: attributes need no padding
	for _, attribute := range []uint16{unix.IFA_LOCAL, unix.IFA_ADDRESS} {
		b = binary.NativeEndian.AppendUint16(b, uint16(unix.SizeofRtAttr+len(address)))
		b = binary.NativeEndian.AppendUint16(b, attribute)
		b = append(b, address...)
	}
	binary.NativeEndian.PutUint32(b, uint32(len(b)))
	binary.NativeEndian.PutUint16(b[4:], kind)
	binary.NativeEndian.PutUint16(b[6:], flags)
	return b
}

// acknowledgement reads the kernel's answer to one request.
func acknowledgement(b []byte) error {
	const codeEnd = unix.SizeofNlMsghdr + 4
	if len(b) < codeEnd || binary.NativeEndian.Uint16(b[4:]) != unix.NLMSG_ERROR {
		return errors.New("netlink: no acknowledgement")
	}
	if code := int32(binary.NativeEndian.Uint32(b[unix.SizeofNlMsghdr:])); code != 0 {
		return fmt.Errorf("netlink: %w", unix.Errno(-code))
	}
	return nil
}

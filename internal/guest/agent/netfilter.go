package agent

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The ABI of Linux's iptables as gVisor's network stack has it: include/uapi/linux/netfilter_ipv4/ip_tables.h and netfilter/x_tables.h. Numbers are the machine's own, ports big endian.
const (
	setReplace    = 64 // IPT_SO_SET_REPLACE
	entrySize     = 112
	targetAt      = 88 // in an entry: the offsets of its target and of the next entry, two bytes each
	extensionSize = 32 // the head of a match or target: its size, name and revision
	nameSize      = 29 // of an extension
	tableNameSize = 32
	errorNameSize = 30
	hooks         = 5

	hookPrerouting, hookInput, hookForward, hookOutput, hookPostrouting = 0, 1, 2, 3, 4

	verdictAccept, verdictDrop = -2, -1 // -NF_ACCEPT-1 and -NF_DROP-1

	portSpecified    = 2 // NF_NAT_RANGE_PROTO_SPECIFIED
	portUnreachable  = 3 // IPT_ICMP_PORT_UNREACHABLE
	ownerUID         = 1 // XT_OWNER_UID
	redirectRevision = 0
	ownerRevision    = 1
)

// rule is one rule of the output chain.
type rule struct {
	to       netip.Prefix // destination; the zero value is any
	protocol byte         // 0 is any
	owner    int          // user whose packets it is about; 0 is anybody's
	target   []byte
}

// table is one table of rules. Its other chains let everything pass.
type table struct {
	name   string
	hooks  []int // that the table has, in order
	output []rule
}

// redirectTable sends all TCP connections to a port on 127.0.0.1, but for those to the user's own addresses and those that are served otherwise.
func redirectTable(own []netip.Prefix, port uint16) table {
	t := table{name: "nat", hooks: []int{hookPrerouting, hookInput, hookOutput, hookPostrouting}}
	for _, p := range own {
		t.output = append(t.output, rule{to: p, target: standard(verdictAccept)})
	}
	t.output = append(t.output, rule{protocol: unix.IPPROTO_TCP, target: redirect(port)})
	return t
}

// refusalTable answers for the hosts that cannot be asked: since every address is the sandbox's own, its network stack would answer pings to all of them, and hand
// the user's datagrams to whichever socket of the user has the port.
func refusalTable(own []netip.Prefix, user int) table {
	t := table{name: "filter", hooks: []int{hookInput, hookForward, hookOutput}}
	for _, p := range own {
		t.output = append(t.output, rule{to: p, target: standard(verdictAccept)})
	}
	t.output = append(t.output,
		rule{protocol: unix.IPPROTO_UDP, owner: user, target: reject()},
		rule{protocol: unix.IPPROTO_ICMP, owner: user, target: standard(verdictDrop)})
	return t
}

// replacement is the table as IPT_SO_SET_REPLACE takes it.
func (t table) replacement() []byte {
	var entries []byte
	var valid, count uint32
	var begin, end [hooks]uint32
	add := func(e []byte) (offset uint32) {
		offset = uint32(len(entries))
		entries = append(entries, e...)
		count++
		return offset
	}
	for _, hook := range t.hooks {
		valid |= 1 << hook
		begin[hook] = uint32(len(entries))
		if hook == hookOutput {
			for _, r := range t.output {
				add(r.entry())
			}
		}
		end[hook] = add(rule{target: standard(verdictAccept)}.entry())
	}
	add(rule{target: errorTarget()}.entry())
	b := padded(t.name, tableNameSize)
	b = binary.NativeEndian.AppendUint32(b, valid)
	b = binary.NativeEndian.AppendUint32(b, count)
	b = binary.NativeEndian.AppendUint32(b, uint32(len(entries)))
	for _, offset := range slices.Concat(begin[:], end[:]) {
		b = binary.NativeEndian.AppendUint32(b, offset)
	}
	b = append(b, make([]byte, 4+8)...) // counters, which nobody wants back
	return append(b, entries...)
}

// entry is the rule as struct ipt_entry, with its match and its target.
func (r rule) entry() []byte {
	b := make([]byte, entrySize)
	if r.to.IsValid() {
		copy(b[4:], r.to.Masked().Addr().AsSlice())
		binary.BigEndian.PutUint32(b[12:], ^uint32(0)<<(32-r.to.Bits()))
	}
	binary.NativeEndian.PutUint16(b[80:], uint16(r.protocol))
	if r.owner != 0 {
		data := make([]byte, 20) // struct xt_owner_match_info: the user's and the group's range, what counts, what is inverted
		binary.NativeEndian.PutUint32(data, uint32(r.owner))
		binary.NativeEndian.PutUint32(data[4:], uint32(r.owner))
		data[16] = ownerUID
		b = append(b, extension("owner", ownerRevision, data)...)
	}
	binary.NativeEndian.PutUint16(b[targetAt:], uint16(len(b)))
	b = append(b, r.target...)
	binary.NativeEndian.PutUint16(b[targetAt+2:], uint16(len(b)))
	return b
}

// extension is a match or a target, filled up to a multiple of eight bytes.
func extension(name string, revision byte, data []byte) []byte {
	b := append(make([]byte, 2), padded(name, nameSize)...)
	b = append(append(b, revision), data...)
	b = append(b, make([]byte, -len(b)&7)...)
	binary.NativeEndian.PutUint16(b, uint16(len(b)))
	return b
}

func standard(verdict int32) []byte {
	return extension("", 0, binary.NativeEndian.AppendUint32(nil, uint32(verdict)))
}

func errorTarget() []byte { return extension("ERROR", 0, padded("ERROR", errorNameSize)) }

func redirect(port uint16) []byte {
	b := binary.NativeEndian.AppendUint32(nil, 1) // ranges
	b = binary.NativeEndian.AppendUint32(b, portSpecified)
	b = append(b, make([]byte, 4+4)...) // no addresses
	b = binary.BigEndian.AppendUint16(b, port)
	return extension("REDIRECT", redirectRevision, binary.BigEndian.AppendUint16(b, port))
}

func reject() []byte {
	return extension("REJECT", 0, binary.NativeEndian.AppendUint32(nil, portUnreachable))
}

func padded(s string, size int) []byte {
	b := make([]byte, size)
	copy(b, s)
	return b
}

// replace puts tables into the place of those that are there. It needs CAP_NET_RAW for the socket and CAP_NET_ADMIN for the rest, and user processes have neither.
func replace(tables ...table) error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.IPPROTO_RAW)
	if err != nil {
		return fmt.Errorf("open a raw socket: %w", err)
	}
	defer func() { _ = unix.Close(fd) }()
	for _, t := range tables {
		if err := unix.SetsockoptString(fd, unix.SOL_IP, setReplace, string(t.replacement())); err != nil {
			return fmt.Errorf("replace the table %s: %w", t.name, err)
		}
	}
	return nil
}

// originalDestination is where a connection was meant to go before it was redirected.
func originalDestination(fd uintptr) (netip.AddrPort, error) {
	var sa unix.RawSockaddrInet4
	size := uint32(unsafe.Sizeof(sa))
	const originalDst = 80 // SO_ORIGINAL_DST
	if _, _, e := unix.Syscall6(unix.SYS_GETSOCKOPT, fd, unix.SOL_IP, originalDst, uintptr(unsafe.Pointer(&sa)), uintptr(unsafe.Pointer(&size)), 0); e != 0 {
		return netip.AddrPort{}, fmt.Errorf("ask for the original destination: %w", e)
	}
	port := (*[2]byte)(unsafe.Pointer(&sa.Port))
	return netip.AddrPortFrom(netip.AddrFrom4(sa.Addr), binary.BigEndian.Uint16(port[:])), nil
}

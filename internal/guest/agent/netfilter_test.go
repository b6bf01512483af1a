package agent

import (
	"encoding/binary"
	"net/netip"
	"testing"
)

// TestReplacement reads tables as the kernel does: entry after entry, by their own offsets.
func TestReplacement(t *testing.T) {
	own := []netip.Prefix{loopback, netip.MustParsePrefix("169.254.171.2/32")}
	for _, c := range []struct {
		table   table
		valid   uint32
		entries int
	}{
		{redirectTable(own, 4321), 1<<hookPrerouting | 1<<hookInput | 1<<hookOutput | 1<<hookPostrouting, 3 + 4 + 1},
		{refusalTable(own, 992), 1<<hookInput | 1<<hookForward | 1<<hookOutput, 4 + 3 + 1},
		{table{name: "filter", hooks: []int{hookInput, hookForward, hookOutput}}, 1<<hookInput | 1<<hookForward | 1<<hookOutput, 3 + 1},
	} {
		b := c.table.replacement()
		u32 := func(at int) int { return int(binary.NativeEndian.Uint32(b[at:])) }
		const head = 96
		if name := string(b[:len(c.table.name)]); name != c.table.name || uint32(u32(32)) != c.valid || u32(36) != c.entries || u32(40) != len(b)-head {
			t.Fatalf("%s: head %x", c.table.name, b[:head])
		}
		starts := map[int]int{} // offset: number
		for at := 0; at < len(b)-head; {
			starts[at] = len(starts)
			e := b[head+at:]
			target, next := int(binary.NativeEndian.Uint16(e[targetAt:])), int(binary.NativeEndian.Uint16(e[targetAt+2:]))
			if target < entrySize || next%8 != 0 || next < target+extensionSize || next > len(e) || int(binary.NativeEndian.Uint16(e[target:])) != next-target {
				t.Fatalf("%s, entry at %d: target at %d, next at %d", c.table.name, at, target, next)
			}
			at += next
		}
		if len(starts) != c.entries {
			t.Errorf("%s has %d entries", c.table.name, len(starts))
		}
		for _, hook := range c.table.hooks {
			begin, end := u32(44+4*hook), u32(64+4*hook)
			if n, ok := starts[begin]; !ok {
				t.Errorf("%s: hook %d begins at %d", c.table.name, hook, begin)
			} else if last, ok := starts[end]; !ok || last < n {
				t.Errorf("%s: hook %d ends at %d", c.table.name, hook, end)
			}
		}
	}
}

func TestRuleEntry(t *testing.T) {
	e := rule{to: netip.MustParsePrefix("127.0.0.0/8"), protocol: 17, owner: 992, target: reject()}.entry()
	if got := [4]byte(e[4:8]); got != [4]byte{127} {
		t.Errorf("destination %v", got)
	}
	if got := [4]byte(e[12:16]); got != [4]byte{255} {
		t.Errorf("mask %v", got)
	}
	if binary.NativeEndian.Uint16(e[80:]) != 17 || binary.NativeEndian.Uint32(e[entrySize+extensionSize:]) != 992 || string(e[entrySize+2:entrySize+7]) != "owner" {
		t.Errorf("%x", e)
	}
	port := redirect(0x1234)
	if got := [2]byte(port[extensionSize+16 : extensionSize+18]); got != [2]byte{0x12, 0x34} {
		t.Errorf("%x", port)
	}
}

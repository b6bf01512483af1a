package inside_test

import (
	"errors"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/sunaba-dev/sunaba/internal/network"
)

// reach is a program that prints what became of an attempt to get somewhere, and "slow" if it took more than 100 ms.
const reach = `
import errno, socket, sys, time
def attempt(name, f):
    began = time.perf_counter()
    try: f(); what = 'reached'
    except socket.gaierror as e: what = 'unknown' if e.errno in (socket.EAI_NONAME, socket.EAI_NODATA) else str(e)
    except OSError as e: what = errno.errorcode.get(e.errno, str(e))
    print(name, what, 'slow' if time.perf_counter() - began > 0.1 else 'at once')
def tcp(family, *address):
    s = socket.socket(family, socket.SOCK_STREAM); s.settimeout(5); s.connect(address)
def udp(family, *address):
    socket.socket(family, socket.SOCK_DGRAM).sendto(b'x', address)
`

// TestEverythingElseFailsAtOnceInside tries what a sandbox must not reach.
func TestEverythingElseFailsAtOnceInside(t *testing.T) {
	n := newNetwork(t, http.HandlerFunc(endpoint))
	b := create(t, open(t), n.Open(s3Policy("one", &role{key: keyOf("ONE", time.Hour)})))
	program := reach
	want := map[string]string{}
	add := func(name, call, result string) {
		program += "attempt('" + name + "', lambda: " + call + ")\n"
		want[name] = result
	}
	for name, address := range map[string]string{"outside": "8.8.8.8", "private": "10.0.0.1", "ecs": "169.254.170.2", "neighbour": "169.254.171.3", "broadcast-like": "172.17.0.1"} {
		add("tcp-"+name, "tcp(socket.AF_INET, '"+address+"', 443)", "ENETUNREACH")
		add("udp-"+name, "udp(socket.AF_INET, '"+address+"', 53)", "ENETUNREACH")
		add("dns-tcp-"+name, "tcp(socket.AF_INET, '"+address+"', 53)", "ENETUNREACH")
	}
	add("tcp6", "tcp(socket.AF_INET6, '2001:4860:4860::8888', 443, 0, 0)", "ENETUNREACH")
	add("udp6", "udp(socket.AF_INET6, '2001:4860:4860::8888', 53, 0, 0)", "ENETUNREACH")
	add("metadata6", "tcp(socket.AF_INET6, 'fd00:ec2::254', 80, 0, 0)", "ENETUNREACH")
	add("the-hosts-loopback", "tcp(socket.AF_INET, '127.0.0.1', 4566)", "ECONNREFUSED")
	add("another-port", "tcp(socket.AF_INET, '169.254.171.2', 22)", "ECONNREFUSED")
	add("raw", "socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)", "EPERM")
	add("packet", "socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)", "EPERM")
	for name, host := range map[string]string{"name": "example.org", "sts": "sts.us-west-2.amazonaws.com", "tunnel": strings.Repeat(strings.Repeat("x", 60)+".", 3) + "example.org", "bare": "localhost.evil.org"} {
		add("name-"+name, "socket.getaddrinfo('"+host+"', 443)", "unknown")
	}
	out, _ := b.sh("python3 -c \"" + program + "\"")
	for line := range strings.Lines(out) {
		f := strings.SplitN(strings.TrimSpace(line), " ", 3)
		if len(f) != 3 || want[f[0]] != f[1] || f[2] != "at once" {
			t.Errorf("%s; want %s at once", strings.TrimSpace(line), want[f[0]])
		}
		delete(want, f[0])
	}
	if len(want) > 0 {
		t.Errorf("not tried: %v; output %s", want, out)
	}
	if out, code := b.sh("ip addr add 1.1.1.1/32 dev lo"); code == 0 {
		t.Errorf("the user may add addresses: %s", out)
	}
	b.prints("cat /etc/resolv.conf", "nameserver 169.254.171.53\n")
	if out, _ := b.sh("grep -rl 'PRIVATE KEY' /etc/ssl/certs /.sunaba 2>/dev/null"); out != "" {
		t.Errorf("a private key is inside: %s", out)
	}
}

func TestWithoutARoleThereIsNoMetadataInside(t *testing.T) {
	n := newNetwork(t, http.HandlerFunc(endpoint))
	b := create(t, open(t), n.Open(s3Policy("one", nil)))
	b.prints("python3 -c \""+reach+"attempt('metadata', lambda: tcp(socket.AF_INET, '169.254.169.254', 80))\"", "metadata ENETUNREACH at once")
	b.prints("aws configure list", "<not set>")
	b.prints("curl -sS https://s3.us-west-2.amazonaws.com/b/k", "asked GET /b/k")
}

func TestAttackCredentialsOfAnotherSessionInside(t *testing.T) {
	n := newNetwork(t, http.HandlerFunc(endpoint))
	d := open(t)
	one := create(t, d, n.Open(s3Policy("one", &role{key: keyOf("ONE", time.Hour)})))
	two := create(t, d, n.Open(s3Policy("two", &role{key: keyOf("TWO", time.Hour)})))
	const token = "curl -sS -X PUT -H 'X-aws-ec2-metadata-token-ttl-seconds: 60' http://169.254.169.254/latest/api/token"
	const credentials = "curl -sS http://169.254.169.254/latest/meta-data/iam/security-credentials/execution_role -H 'X-aws-ec2-metadata-token: "
	for b, name := range map[box]string{one: "ONE", two: "TWO"} {
		own, _ := b.sh(token)
		b.prints(credentials+own+"'", "ASIA"+name)
	}
	foreign, _ := one.sh(token)
	two.prints(credentials+foreign+"'", "401")
	two.prints(credentials+"'", "401")
}

func TestRoleThatIsGoneInside(t *testing.T) {
	n := newNetwork(t, http.HandlerFunc(endpoint))
	b := create(t, open(t), n.Open(s3Policy("one", &role{key: func() (network.Key, error) { return network.Key{}, errors.New("no such role") }})))
	out, code := b.sh("aws s3 ls")
	if code == 0 || !strings.Contains(out, "Unable to locate credentials") {
		t.Errorf("%d %s", code, out)
	}
	b.prints("echo goes on", "goes on")
}

// TestCheckpointKeepsTheNetworkInside restores a sandbox, whose network stack is a new one then, for a session of its own.
func TestCheckpointKeepsTheNetworkInside(t *testing.T) {
	n := newNetwork(t, http.HandlerFunc(endpoint))
	d := open(t)
	first := n.Open(s3Policy("one", &role{key: keyOf("ONE", time.Hour)}))
	b := create(t, d, first)
	const use = "curl -sS https://s3.us-west-2.amazonaws.com/b/k && aws s3api get-object --bucket b --key k got && cat got"
	b.prints(use, "Credential=ASIAONE/")
	dir, err := os.MkdirTemp("/var/tmp", "sunaba-checkpoint-")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	if err := b.Checkpoint(within(t), dir); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"TWO", "THREE"} { // clones of one checkpoint
		s := n.Open(s3Policy(name, &role{key: keyOf(name, time.Hour)}))
		restored, err := d.Restore(within(t), config(t, s), dir)
		if err != nil {
			t.Fatal(err)
		}
		box{restored, t}.prints(use, "Credential=ASIA"+name+"/")
	}
	none, err := d.Restore(within(t), config(t, n.Open(s3Policy("four", nil))), dir)
	if err != nil {
		t.Fatal(err)
	}
	box{none, t}.prints("curl -sS https://s3.us-west-2.amazonaws.com/b/k; curl -sS http://169.254.169.254 2>&1; true", "asked GET /b/k")
	if out, _ := (box{none, t}).sh("curl -sSm1 http://169.254.169.254"); !strings.Contains(out, "Couldn't connect") && !strings.Contains(out, "Failed to connect") {
		t.Errorf("a clone without a role: %s", out)
	}
}

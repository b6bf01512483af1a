package inside_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sunaba-dev/sunaba/internal/egress"
	"github.com/sunaba-dev/sunaba/internal/network"
	"github.com/sunaba-dev/sunaba/internal/sigv4"
)

// world is a network namespace that stands for a network outside, joined to this machine by a pair of devices.
type world struct {
	t      testing.TB
	name   string
	device string // this machine's end
}

// newWorld makes one. Both addresses are in one network of 24 bits: here is this machine's, the others are the world's.
func newWorld(t testing.TB, name, here string, there ...string) *world {
	t.Helper()
	w := &world{t: t, name: fmt.Sprintf("sunaba-%d-%s", os.Getpid(), name), device: fmt.Sprintf("sn%d%s", os.Getpid()%100000, name)}
	run := func(args ...string) {
		t.Helper()
		if out, err := exec.Command("ip", args...).CombinedOutput(); err != nil {
			t.Fatalf("ip %s: %v %s", strings.Join(args, " "), err, out)
		}
	}
	run("netns", "add", w.name)
	t.Cleanup(func() {
		if out, err := exec.Command("ip", "netns", "del", w.name).CombinedOutput(); err != nil {
			t.Errorf("%v %s", err, out)
		}
	})
	t.Cleanup(func() { _ = exec.Command("ip", "link", "del", w.device).Run() }) // at once, unlike a namespace: the next world may have the same addresses
	run("link", "add", w.device, "type", "veth", "peer", "name", "eth0", "netns", w.name)
	run("addr", "add", here+"/24", "dev", w.device)
	run("link", "set", w.device, "up")
	for _, a := range there {
		run("-n", w.name, "addr", "add", a+"/24", "dev", "eth0")
	}
	run("-n", w.name, "link", "set", "eth0", "up")
	run("-n", w.name, "link", "set", "lo", "up")
	return w
}

// listen opens a listener there. It stays there, whichever thread uses it.
func (w *world) listen(address string) net.Listener {
	w.t.Helper()
	type result struct {
		l   net.Listener
		err error
	}
	done := make(chan result)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends with the goroutine
		f, err := os.Open(filepath.Join("/run/netns", w.name))
		if err == nil {
			err = unix.Setns(int(f.Fd()), unix.CLONE_NEWNET)
			f.Close()
		}
		if err != nil {
			done <- result{nil, err}
			return
		}
		l, err := net.Listen("tcp4", address)
		done <- result{l, err}
	}()
	r := <-done
	if r.err != nil {
		w.t.Fatal(r.err)
	}
	w.t.Cleanup(func() { r.l.Close() })
	return r.l
}

// serve serves HTTP there; with a configuration, over TLS.
func (w *world) serve(address string, h http.HandlerFunc, c *tls.Config) {
	w.t.Helper()
	s := httptest.NewUnstartedServer(h)
	s.Listener.Close()
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.Listener = w.listen(address)
	if c != nil {
		s.TLS = c
		s.StartTLS()
	} else {
		s.Start()
	}
	w.t.Cleanup(s.Close)
}

func says(text string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "%s for %s from %s", text, r.Host, r.RemoteAddr)
	}
}

// newOutside makes a network whose nameserver is a table.
func newOutside(t testing.TB, h http.Handler, names map[string]string) *network.Network {
	t.Helper()
	ca, err := network.LoadCA(filepath.Join(t.TempDir(), "ca.pem"))
	if err != nil {
		t.Fatal(err)
	}
	n := network.New(network.Options{CA: ca, Handler: h, Resolve: func(_ context.Context, name string) ([]netip.Addr, error) {
		if a := names[name]; a != "" {
			return []netip.Addr{netip.MustParseAddr(a)}, nil
		}
		return nil, &net.DNSError{Err: "no such host", Name: name, IsNotFound: true}
	}})
	t.Cleanup(func() {
		if err := n.Close(); err != nil {
			t.Error(err)
		}
	})
	return n
}

// publicPolicy is PUBLIC mode, with a list of names.
func publicPolicy(t testing.TB, session, list string) network.Policy {
	t.Helper()
	names, err := egress.ParseNames(list)
	if err != nil {
		t.Fatal(err)
	}
	p := s3Policy(session, nil)
	p.Services = []string{network.AnyService}
	p.Outside = &network.Outside{Policy: egress.Policy{Own: network.HostAddresses()}, Names: names}
	return p
}

// deny is the programs' side of what must not be reached where connecting seems to succeed at first: the end must come at once, and as a failure.
const deny = `
def read(family, *address):
    s = socket.socket(family, socket.SOCK_STREAM); s.settimeout(5); s.connect(address); s.recv(1)
def udpconnected(*address):
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.settimeout(5); s.connect(address); s.send(b'x'); s.recv(1)
def own():
    l = socket.create_server(('127.0.0.1', 0)); c = socket.create_connection(l.getsockname()); a, _ = l.accept(); c.send(b'hi'); assert a.recv(2) == b'hi'
def own6():
    l = socket.create_server(('::1', 0), family=socket.AF_INET6); c = socket.create_connection(l.getsockname()[:2]); a, _ = l.accept(); c.send(b'hi'); assert a.recv(2) == b'hi'
def ping(a):
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM, socket.IPPROTO_ICMP); s.settimeout(0.05); s.sendto(bytes([8, 0, 0xf7, 0xff, 0, 0, 0, 0]), (a, 0)); s.recv(100)
def spoofed():
    s = socket.socket(); s.bind(('8.8.8.8', 0)); s.settimeout(5); s.connect(('10.0.0.1', 80)); s.recv(1)
`

func TestPublicInside(t *testing.T) {
	w := newWorld(t, "p", "11.22.33.1", "11.22.33.2")
	w.serve("11.22.33.2:80", says("outside"), nil)
	w.serve("11.22.33.2:8080", says("other port"), nil)
	n := newOutside(t, http.HandlerFunc(endpoint), map[string]string{"outside.test": "11.22.33.2", "inner.test": "10.0.0.1", "here.test": "11.22.33.1"})
	s := n.Open(publicPolicy(t, "public", "*"))
	b := create(t, open(t), s)
	b.prints("curl -sS http://outside.test/", "outside for outside.test from 11.22.33.1:")
	b.prints("curl -sS http://11.22.33.2:8080/", "other port for 11.22.33.2:8080")
	b.prints("python3 -c \"import urllib.request as u; print(u.urlopen('http://outside.test/').read())\"", "outside for outside.test")
	b.prints("curl -sS https://bedrock-agentcore.us-west-2.amazonaws.com/x", "asked GET /x for bedrock-agentcore.us-west-2.amazonaws.com")
	b.prints("curl -sS https://123456789012.dkr.ecr.eu-west-1.amazonaws.com/v2/", "asked GET /v2/ for 123456789012.dkr.ecr.eu-west-1.amazonaws.com")
	program := reach + deny
	want := map[string]string{}
	add := func(name, call, result string) {
		program += "attempt('" + name + "', lambda: " + call + ")\n"
		want[name] = result
	}
	for _, a := range []string{"10.0.0.1", "172.16.0.1", "192.168.1.1", "100.64.0.1", "169.254.169.254", "169.254.170.2", "0.1.2.3", "11.22.33.1", "169.254.171.9"} {
		add("tcp-"+a, "read(socket.AF_INET, '"+a+"', 80)", "ECONNRESET")
	}
	add("dns-tcp", "read(socket.AF_INET, '11.22.33.2', 53)", "ECONNRESET")
	add("nobody", "read(socket.AF_INET, '11.22.33.2', 81)", "ECONNRESET")
	add("dns-udp", "udpconnected('8.8.8.8', 53)", "ECONNREFUSED")
	add("udp", "udpconnected('11.22.33.2', 5000)", "ECONNREFUSED")
	add("ping", "ping('8.8.8.8')", "timed")
	add("own", "own()", "reached")
	add("own6", "own6()", "reached")
	add("own-closed", "tcp(socket.AF_INET, '127.0.0.1', 4566)", "ECONNREFUSED")
	add("tcp6", "tcp(socket.AF_INET6, '2001:4860:4860::8888', 443, 0, 0)", "ENETUNREACH")
	add("metadata6", "tcp(socket.AF_INET6, 'fd00:ec2::254', 80, 0, 0)", "ENETUNREACH")
	add("spoofed", "spoofed()", "ECONNRESET")
	add("raw", "socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)", "EPERM")
	add("packet", "socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)", "EPERM")
	for name, host := range map[string]string{"inner": "inner.test", "here": "here.test", "none": "none.test", "long": strings.Repeat(strings.Repeat("x", 60)+".", 3) + "test", "aws": "checkip.amazonaws.com"} {
		add("name-"+name, "socket.getaddrinfo('"+host+"', 443)", "unknown")
	}
	out, _ := b.sh("python3 -c \"" + program + "\"")
	for line := range strings.Lines(out) {
		f := strings.Fields(line)
		if len(f) < 3 || want[f[0]] != f[1] || strings.HasSuffix(strings.TrimSpace(line), "slow") {
			t.Errorf("%s; want %s at once", strings.TrimSpace(line), want[f[0]])
		} else {
			delete(want, f[0])
		}
	}
	if len(want) > 0 {
		t.Errorf("not as wanted: %v; output %s", want, out)
	}
	if out, code := b.sh("ip addr add 1.1.1.1/32 dev lo || iptables-legacy -t nat -F"); code == 0 {
		t.Errorf("the user may change the network: %s", out)
	}
	for _, c := range s.Connections() {
		if c.Verdict == network.Allowed && c.Address.Addr() != netip.MustParseAddr("11.22.33.2") {
			t.Errorf("%+v", c)
		}
	}
}

// roleKeys is a store with the one key of the session's role.
type roleKeys struct{ key network.Key }

func (k roleKeys) Lookup(_ context.Context, id, token string) (sigv4.Key, error) {
	if id != k.key.AccessKeyID || token != k.key.SessionToken {
		return sigv4.Key{}, sigv4.ErrUnknownKey
	}
	return sigv4.Key{Secret: k.key.SecretAccessKey}, nil
}

// TestHardCodedEndpointInside signs for the real host, which is what the signature must be checked against.
func TestHardCodedEndpointInside(t *testing.T) {
	key, _ := keyOf("ONE", time.Hour)()
	v := &sigv4.Verifier{Keys: roleKeys{key}}
	n := newOutside(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, err := v.Verify(r); err != nil {
			http.Error(w, err.Error(), http.StatusForbidden)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(w, `{"items": [], "host": %q}`, r.Host)
	}), nil)
	p := publicPolicy(t, "one", "none")
	p.Credentials, p.RoleARN = &role{key: func() (network.Key, error) { return key, nil }}, "arn:aws:iam::000000000000:role/r"
	b := create(t, open(t), n.Open(p))
	b.prints(`python3 -c "
import urllib.request, botocore.session, botocore.auth, botocore.awsrequest
c = botocore.session.get_session().get_credentials()
for host in 'bedrock-agentcore.us-west-2.amazonaws.com', 'bedrock-agentcore-control.eu-central-1.amazonaws.com':
    r = botocore.awsrequest.AWSRequest('GET', 'https://' + host + '/code-interpreters')
    botocore.auth.SigV4Auth(c, 'bedrock-agentcore', host.split('.')[1]).add_auth(r)
    print(urllib.request.urlopen(urllib.request.Request(r.url, headers=dict(r.headers))).read())
"`, "bedrock-agentcore-control.eu-central-1.amazonaws.com")
	if out, code := b.sh("curl -sSf https://bedrock-agentcore.us-west-2.amazonaws.com/code-interpreters"); code == 0 {
		t.Errorf("without a signature: %s", out)
	}
}

func TestListOfNamesInside(t *testing.T) {
	w := newWorld(t, "l", "11.22.33.1", "11.22.33.2", "11.22.33.3")
	n := newOutside(t, http.HandlerFunc(endpoint), map[string]string{"good.test": "11.22.33.2", "evil.test": "11.22.33.2", "pypi.test": "11.22.33.3"})
	w.serve("11.22.33.2:80", says("outside"), nil)
	w.serve("11.22.33.3:80", func(w http.ResponseWriter, r *http.Request) {
		if strings.Trim(r.URL.Path, "/") != "simple/thing" {
			http.NotFound(w, r)
			return
		}
		w.Header().Set("Content-Type", "text/html")
		fmt.Fprint(w, "<a href='/thing-1.0-py3-none-any.whl'>thing-1.0-py3-none-any.whl</a>")
	}, nil)
	s := n.Open(publicPolicy(t, "listed", "good.test pypi.test"))
	b := create(t, open(t), s)
	b.prints("curl -sS http://good.test/", "outside for good.test")
	b.prints("python3 -m pip download --no-deps --trusted-host pypi.test -i http://pypi.test/simple thing 2>&1; true", "pypi.test")
	for _, line := range []string{"curl -sSf http://evil.test/", "curl -sSf http://11.22.33.2/", "curl -sSf -H 'Host: evil.test' http://good.test/", "curl -sSf --resolve evil.test:80:11.22.33.2 http://evil.test/"} {
		if out, code := b.sh(line); code == 0 {
			t.Errorf("%s: %s", line, out)
		}
	}
	names, err := egress.ParseNames("evil.test")
	if err != nil {
		t.Fatal(err)
	}
	s.SetNames(names)
	b.prints("curl -sS http://evil.test/", "outside for evil.test")
	if out, code := b.sh("curl -sSf http://good.test/"); code == 0 {
		t.Errorf("%s", out)
	}
}

const mapping = `
vpc:
  subnets:
    subnet-00000001: {cidrs: [10.77.1.0/24]}
    subnet-00000002: {cidrs: [10.78.1.0/24], source: 10.78.1.1, interface: %s}
  securityGroups:
    sg-00000001:
      allow: [{to: 10.0.0.0/8, ports: "80"}]
`

// TestVPCInside has two networks outside: one is reached through its subnet only, and one port of both is denied by the security group.
func TestVPCInside(t *testing.T) {
	a, b := newWorld(t, "a", "10.77.1.1", "10.77.1.2"), newWorld(t, "b", "10.78.1.1", "10.78.1.2")
	for address, w := range map[string]*world{"10.77.1.2": a, "10.78.1.2": b} {
		w.serve(address+":80", says("network"), nil)
		w.serve(address+":81", says("another port"), nil)
	}
	m, err := egress.ParseMapping(fmt.Appendf(nil, mapping, b.device))
	if err != nil {
		t.Fatal(err)
	}
	n, d := newOutside(t, http.HandlerFunc(endpoint), map[string]string{"a.test": "10.77.1.2", "b.test": "10.78.1.2"}), open(t)
	for name, c := range map[string]struct {
		subnets  []string
		to, from string // what is reached
		not      []string
	}{
		"one":   {[]string{"subnet-00000001"}, "a.test", "10.77.1.1", []string{"a.test:81", "10.77.1.2:81", "b.test", "10.78.1.2", "10.77.1.1:80"}},
		"two":   {[]string{"subnet-00000002"}, "b.test", "10.78.1.1", []string{"b.test:81", "10.78.1.2:81", "a.test", "10.77.1.2"}},
		"both":  {[]string{"subnet-00000001", "subnet-00000002"}, "a.test", "10.77.1.1", []string{"a.test:81", "b.test:81"}},
		"none ": {nil, "", "", []string{"a.test", "10.77.1.2", "b.test", "8.8.8.8"}},
	} {
		p := publicPolicy(t, "vpc-"+name, "*")
		p.Outside.Policy.VPC = m.VPC(c.subnets, []string{"sg-00000001"})
		s := n.Open(p)
		in := create(t, d, s)
		if c.to != "" {
			in.prints("curl -sS http://"+c.to+"/", "network for "+c.to+" from "+c.from+":")
		}
		for _, to := range c.not {
			if out, code := in.sh("curl -sSm 5 http://" + to + "/"); code == 0 || strings.Contains(out, "timed out") {
				t.Errorf("%s reaches %s: %s", name, to, out)
			}
		}
		in.prints("curl -sS https://sts.us-west-2.amazonaws.com/", "asked-sts")
		if err := in.Destroy(within(t)); err != nil {
			t.Error(err)
		}
	}
}

// TestCheckpointKeepsTheOutsideInside restores a sandbox, whose tables are empty then.
func TestCheckpointKeepsTheOutsideInside(t *testing.T) {
	w := newWorld(t, "c", "11.22.33.1", "11.22.33.2")
	w.serve("11.22.33.2:80", says("outside"), nil)
	n, d := newOutside(t, http.HandlerFunc(endpoint), nil), open(t)
	b := create(t, d, n.Open(publicPolicy(t, "one", "*")))
	const use = "curl -sS http://11.22.33.2/"
	b.prints(use, "outside")
	dir, err := os.MkdirTemp("/var/tmp", "sunaba-checkpoint-")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	if err := b.Checkpoint(within(t), dir); err != nil {
		t.Fatal(err)
	}
	restored, err := d.Restore(within(t), config(t, n.Open(publicPolicy(t, "two", "*"))), dir)
	if err != nil {
		t.Fatal(err)
	}
	box{restored, t}.prints(use, "outside")
	none, err := d.Restore(within(t), config(t, n.Open(s3Policy("three", nil))), dir) // a clone that may not
	if err != nil {
		t.Fatal(err)
	}
	box{none, t}.prints("python3 -c \""+reach+"attempt('outside', lambda: tcp(socket.AF_INET, '11.22.33.2', 80))\"", "outside ENETUNREACH at once")
}

// TestAttackHalfOpenConnectionsInside opens 10,000 connections to where nobody answers. Another session, and the same one's endpoints, go on.
func TestAttackHalfOpenConnectionsInside(t *testing.T) {
	newWorld(t, "h", "11.22.33.1", "11.22.33.2")
	n, d := newOutside(t, http.HandlerFunc(endpoint), nil), open(t)
	attacker, other := create(t, d, n.Open(publicPolicy(t, "attacker", "*"))), create(t, d, n.Open(publicPolicy(t, "other", "*")))
	const endpoints = "curl -sS -m 20 https://sts.us-west-2.amazonaws.com/x"
	attacker.prints(`python3 -c "
import socket, subprocess
all = []
for n in range(10000):
    s = socket.socket(); s.setblocking(False)
    s.connect_ex(('11.22.33.9', 80)); all.append(s)
print(len(all), subprocess.run('`+endpoints+`', shell=True, capture_output=True, text=True).stdout)
" & sleep 1; wait`, "10000 asked")
	other.prints(endpoints, "asked")
}

// TestContainerCredentialsInside lets the aws CLI find the role as it does in a container.
func TestContainerCredentialsInside(t *testing.T) {
	n := newNetwork(t, http.HandlerFunc(endpoint))
	p := s3Policy("one", &role{key: keyOf("ONE", time.Hour)})
	p.ContainerCredentials = true
	s := n.Open(p)
	c := config(t, s)
	for name, value := range s.Environment() {
		c.Guest.Env[name] = value
	}
	created, err := open(t).Create(within(t), c)
	if err != nil {
		t.Fatal(err)
	}
	b := box{created, t}
	b.prints("aws configure list", "container-role")
	b.prints("aws s3 ls", "asked-s3")
	b.prints("env -u AWS_CONTAINER_CREDENTIALS_FULL_URI aws configure list", "iam-role") // who wants the other still has it
	b.prints("curl -sS -o /dev/null -w '%{http_code}' http://169.254.170.2/v1/credentials", "401")
}

var errNever = errors.New("never")

func TestOldMetadataServiceInside(t *testing.T) {
	n, d := newNetwork(t, http.HandlerFunc(endpoint)), open(t)
	const v1 = "curl -sS http://169.254.169.254/latest/meta-data/iam/security-credentials/"
	p := s3Policy("new", &role{key: func() (network.Key, error) { return network.Key{}, errNever }})
	create(t, d, n.Open(p)).prints(v1, "401")
	p.Session, p.MetadataV1 = "old", true
	create(t, d, n.Open(p)).prints(v1, "execution_role")
}

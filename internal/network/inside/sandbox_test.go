package inside_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sunaba-dev/sunaba/internal/guest/client"
	"github.com/sunaba-dev/sunaba/internal/guest/proto"
	"github.com/sunaba-dev/sunaba/internal/image"
	"github.com/sunaba-dev/sunaba/internal/network"
	"github.com/sunaba-dev/sunaba/internal/sandbox"
	"github.com/sunaba-dev/sunaba/internal/sandbox/gvisor"
)

const patience = 2 * time.Minute

func within(t testing.TB) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return ctx
}

// open returns a driver with folders of its own, which ends with the test.
func open(t testing.TB) *gvisor.Driver {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Fatal("Tests that start sandboxes need root: run them with sudo.")
	}
	var dirs [2]string
	for i, parent := range []string{"/run", "/var/tmp"} {
		dir, err := os.MkdirTemp(parent, "sunaba-test-") // not t.TempDir, whose paths are too long for sockets
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { os.RemoveAll(dir) })
		dirs[i] = dir
	}
	d, err := gvisor.New(gvisor.Options{RunDir: dirs[0], DataDir: dirs[1], Guest: guest})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return d
}

// defaultImage is the image that all sandboxes start from.
func defaultImage(t testing.TB) sandbox.Image {
	t.Helper()
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	i, err := image.New(filepath.Join(cache, "sunaba")).Resolve(image.DefaultName)
	if err != nil {
		t.Fatalf("The tests need the default image: build it with `make image` or `sunaba image build`. (%v)", err)
	}
	return sandbox.Image{Root: i.Root, Env: i.Env}
}

var sandboxes atomic.Int64

// config is a sandbox that sees what a session sees; without a session it has no network.
func config(t testing.TB, s *network.Session) sandbox.Config {
	t.Helper()
	i := defaultImage(t)
	env := map[string]string{"AWS_REGION": "us-west-2", "AWS_DEFAULT_REGION": "us-west-2"}
	c := sandbox.Config{
		ID: fmt.Sprintf("net%06d", sandboxes.Add(1)), Image: i, Limits: sandbox.Limits{Memory: 2 << 30, Disk: 2 << 30, CPUs: 2, PIDs: 500},
		Guest: proto.Configure{User: proto.User{Name: "genesis1ptools", UID: 992, GID: 992}, Dir: "/opt/amazon/genesis1p-tools/var", Env: env, Hostname: "localhost"},
	}
	if s != nil {
		c.Guest.Network, c.Relay = s.Configure(), s.Relay
	}
	return c
}

// box is a running sandbox.
type box struct {
	sandbox.Sandbox
	t testing.TB
}

func create(t testing.TB, d *gvisor.Driver, s *network.Session) box {
	t.Helper()
	b, err := d.Create(within(t), config(t, s))
	if err != nil {
		t.Fatal(err)
	}
	return box{b, t}
}

// sh runs a command line and returns what it prints, both streams, and its exit code.
func (b box) sh(line string) (string, int) {
	b.t.Helper()
	var out bytes.Buffer
	var mu sync.Mutex
	r, err := b.Guest().RunCommand(within(b.t), client.Run{Text: line, Output: func(_ bool, p []byte) {
		mu.Lock()
		defer mu.Unlock()
		out.Write(p)
	}})
	if err != nil {
		b.t.Fatalf("%.200s: %v", line, err)
	}
	return out.String(), r.ExitCode
}

// prints fails the test unless the command line succeeds and prints what is wanted.
func (b box) prints(line, want string) {
	b.t.Helper()
	out, code := b.sh(line)
	if code != 0 || !strings.Contains(out, want) {
		b.t.Errorf("%.300s\nexit code %d, output %.2000s\nwant %q", line, code, out, want)
	}
}

// role is a session's role whose keys the test makes.
type role struct {
	key func() (network.Key, error)
	n   atomic.Int64
}

func (r *role) Credentials(context.Context) (network.Key, error) {
	r.n.Add(1)
	return r.key()
}

func keyOf(name string, life time.Duration) func() (network.Key, error) {
	return func() (network.Key, error) {
		now := time.Now()
		return network.Key{AccessKeyID: "ASIA" + name, SecretAccessKey: "secret-" + name, SessionToken: "token-" + name, Updated: now, Expires: now.Add(life)}, nil
	}
}

// endpoint is a handler that says what it was asked, in a form that S3 clients can read too.
func endpoint(w http.ResponseWriter, r *http.Request) {
	peer, _ := network.PeerOf(r.Context())
	_, _ = io.Copy(io.Discard, r.Body)
	w.Header().Set("X-Asked", r.Host+" "+r.URL.Path+" "+r.Proto+" "+peer.Session)
	if strings.HasSuffix(r.URL.Path, "/info/refs") {
		fmt.Fprintf(w, "%040d\trefs/heads/main\n", 1)
		return
	}
	if r.URL.Path == "/" && r.Method == http.MethodGet {
		w.Header().Set("Content-Type", "application/xml")
		fmt.Fprintf(w, `<?xml version="1.0" encoding="UTF-8"?><ListAllMyBucketsResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Owner><ID>o</ID></Owner><Buckets><Bucket><Name>asked-%s</Name><CreationDate>2026-01-01T00:00:00.000Z</CreationDate></Bucket></Buckets></ListAllMyBucketsResult>`, r.Host)
		return
	}
	fmt.Fprintf(w, "asked %s %s for %s by %s", r.Method, r.URL.Path, r.Host, r.Header.Get("Authorization"))
}

// newNetwork makes a network that ends with the test.
func newNetwork(t testing.TB, h http.Handler) *network.Network {
	t.Helper()
	ca, err := network.LoadCA(filepath.Join(t.TempDir(), "ca.pem"))
	if err != nil {
		t.Fatal(err)
	}
	n := network.New(network.Options{CA: ca, Handler: h})
	t.Cleanup(func() {
		if err := n.Close(); err != nil {
			t.Error(err)
		}
	})
	return n
}

func s3Policy(session string, c network.Credentials) network.Policy {
	return network.Policy{Session: session, Account: "000000000000", Region: "us-west-2", Services: []string{"s3"}, Credentials: c, RoleARN: "arn:aws:iam::000000000000:role/r"}
}

func TestClientsTrustTheEndpointInside(t *testing.T) {
	n := newNetwork(t, http.HandlerFunc(endpoint))
	d := open(t)
	b := create(t, d, n.Open(s3Policy("one", &role{key: keyOf("ONE", time.Hour)})))
	const s3 = "s3.us-west-2.amazonaws.com"
	asked := "asked GET /bucket/key for " + s3
	for name, row := range map[string]struct{ line, want string }{
		"curl":                       {"curl -sSi https://" + s3 + "/bucket/key", "X-Asked: " + s3 + " /bucket/key HTTP/1.1 one"},
		"curl, plain HTTP":           {"curl -sS http://" + s3 + "/bucket/key", asked},
		"curl, port 4566":            {"curl -sS http://" + s3 + ":4566/bucket/key", asked + ":4566"},
		"a bucket's host":            {"curl -sS https://my.bucket.s3.us-west-2.amazonaws.com/key", "asked GET /key for my.bucket.s3.us-west-2.amazonaws.com"},
		"wget":                       {"wget -qO- https://" + s3 + "/bucket/key", asked},
		"openssl":                    {"echo | openssl s_client -connect " + s3 + ":443 -servername " + s3 + " -verify_return_error 2>&1", "Verify return code: 0 (ok)"},
		"openssl, folder":            {"echo | env -u SSL_CERT_FILE openssl s_client -CApath /etc/ssl/certs -no-CAfile -connect " + s3 + ":443 -servername " + s3 + " 2>&1", "Verify return code: 0 (ok)"},
		"urllib":                     {"python3 -c \"import urllib.request as u; print(u.urlopen('https://" + s3 + "/bucket/key').read())\"", asked},
		"requests":                   {"python3 -c \"import requests; print(requests.get('https://" + s3 + "/bucket/key').text)\"", asked},
		"requests without variables": {"env -i PATH=$PATH python3 -c \"import requests; print(requests.get('https://" + s3 + "/bucket/key').text)\"", asked},
		"pip's requests":             {"env -i PATH=$PATH python3 -c \"import pip._vendor.requests as r; print(r.get('https://" + s3 + "/bucket/key').text)\"", asked},
		"node":                       {"node -e \"fetch('https://" + s3 + "/bucket/key').then(r=>r.text()).then(console.log)\"", asked},
		"deno":                       {"deno eval \"console.log(await (await fetch('https://" + s3 + "/bucket/key')).text())\"", asked},
		"git":                        {"git ls-remote https://" + s3 + "/bucket", "refs/heads/main"},
		"boto3":                      {"python3 -c \"import boto3; print(boto3.client('s3').get_object(Bucket='bucket', Key='key')['Body'].read())\"", "Credential=ASIAONE/"},
		"boto3 without variables":    {"env -i PATH=$PATH AWS_REGION=us-west-2 python3 -c \"import boto3; print(boto3.client('s3').get_object(Bucket='bucket', Key='key')['Body'].read())\"", "Credential=ASIAONE/"},
		"aws s3 ls":                  {"aws s3 ls", "asked-" + s3},
		"aws configure list":         {"aws configure list", "iam-role"},
	} {
		t.Run(name, func(t *testing.T) { box{b, t}.prints(row.line, row.want) })
	}
}

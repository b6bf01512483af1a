package inside_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"fmt"
	"io/fs"
	"math/big"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sunaba-dev/sunaba/internal/network"
)

// authority is a certificate that hosts outside have, and that proves itself.
func authority(t testing.TB, names ...string) (*tls.Config, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "outside"}, DNSNames: names,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(cert)
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}, NextProtos: []string{"h2", "http/1.1"}}, roots
}

// vault is a Secrets Manager with one entry.
type vault struct{ secret string }

func (v vault) Secret(_ context.Context, id string) (string, error) {
	if id != "prod/token" {
		return "", network.ErrNoSecret
	}
	return v.secret, nil
}

// openInjecting is a session whose requests to api.outside.test get a secret.
func openInjecting(t testing.TB, roots *x509.CertPool, list, secret string, names map[string]string) *network.Session {
	t.Helper()
	ca, err := network.LoadCA(filepath.Join(t.TempDir(), "ca.pem"))
	if err != nil {
		t.Fatal(err)
	}
	n := network.New(network.Options{CA: ca, Handler: http.HandlerFunc(endpoint), Roots: roots, Resolve: func(_ context.Context, name string) ([]netip.Addr, error) {
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
	p := publicPolicy(t, "injecting", "*")
	if p.Outside.Injections, err = network.ParseInjections(list); err != nil {
		t.Fatal(err)
	}
	p.Outside.Secrets = vault{secret}
	return n.Open(p)
}

// holds returns the files below a folder that have a text in them.
func holds(t *testing.T, dir, text string) (files []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() {
			return err
		}
		b, err := os.ReadFile(path)
		if bytes.Contains(b, []byte(text)) {
			files = append(files, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// TestSecretNeverEntersInside lets the clients of people call a host that wants a token, and then looks for the token in all that the sandbox is: its environment, its files, its memory.
func TestSecretNeverEntersInside(t *testing.T) {
	var random [24]byte
	_, _ = rand.Read(random[:])
	secret := "sk-" + hex.EncodeToString(random[:])
	const placeholder = "placeholder-0123456789-abcdefghij"
	w := newWorld(t, "s", "11.22.33.1", "11.22.33.2")
	c, roots := authority(t, "api.outside.test", "other.outside.test")
	var mu sync.Mutex
	var heard []string
	host := func(out http.ResponseWriter, r *http.Request) {
		mu.Lock()
		heard = append(heard, fmt.Sprintf("%t %s %v", r.TLS != nil, r.Host, r.Header))
		mu.Unlock()
		out.Header().Set("X-Echo", r.Header.Get("Authorization"))
		if r.TLS != nil && r.Header.Get("Authorization") == "Bearer "+secret {
			fmt.Fprint(out, "welcome over ", r.Proto)
			return
		}
		http.Error(out, "who are you?", http.StatusUnauthorized)
	}
	w.serve("11.22.33.2:443", host, c)
	w.serve("11.22.33.2:80", host, nil)
	s := openInjecting(t, roots, "api.outside.test=prod/token", secret, map[string]string{"api.outside.test": "11.22.33.2", "other.outside.test": "11.22.33.2"})
	d := open(t)
	cfg := config(t, s)
	cfg.Guest.Env["API_KEY"] = placeholder
	created, err := d.Create(within(t), cfg)
	if err != nil {
		t.Fatal(err)
	}
	b := box{created, t}
	const url = "https://api.outside.test/v1"
	b.prints(`curl -sS --http2 -H "Authorization: Bearer $API_KEY" `+url, "welcome over HTTP/2.0")
	b.prints(`curl -sS --http1.1 `+url, "welcome over HTTP/")
	b.prints(`python3 -c "
import os, requests
r = requests.post('`+url+`', json={'a': 1}, headers={'Authorization': 'Bearer ' + os.environ['API_KEY']}); print(r.text, dict(r.headers))
"`, "welcome over HTTP/")
	b.prints(`python3 -c "import urllib.request as u; print(u.urlopen('`+url+`').read())"`, "welcome over HTTP/")
	b.prints(`node -e "fetch('`+url+`', {headers: {authorization: 'Bearer ' + process.env.API_KEY}}).then(async r => console.log(await r.text(), [...r.headers]))"`, "welcome over HTTP/")
	for line, want := range map[string]string{
		"curl -sS http://api.outside.test/":                                      "who are you?",
		"curl -sSk https://other.outside.test/":                                  "who are you?",
		"curl -sSk https://11.22.33.2/ -H 'Host: api.outside.test'":              "who are you?",
		"curl -sS " + url + " -H 'Host: other.outside.test'":                     "differs from the name",
		"curl -sS -X TRACE " + url:                                               "not served",
		"curl -sS --resolve api.outside.test:443:11.22.33.3 " + url + " || true": "",
	} {
		b.prints(line, want)
	}
	// What is looked for is in the sandbox as the placeholder is: in a file, in the memory of a program that uses it, in the environment.
	b.prints(`cat > hold.py <<'END'
import os, requests, time
session = requests.Session()
answer = session.get('`+url+`', headers={'Authorization': 'Bearer ' + os.environ['API_KEY']})
open('answer', 'w').write(repr((answer.text, dict(answer.headers), dict(os.environ))))
time.sleep(1000)
END
nohup setsid python3 hold.py >out 2>&1 &
while [ ! -s answer ]; do sleep 0.1; done; cat answer`, placeholder)
	out, _ := b.sh("env; cat /proc/*/environ /proc/*/cmdline 2>/dev/null; cat answer out; tail -c 100000 /tmp/* /etc/hosts 2>/dev/null")
	if strings.Contains(out, secret) || !strings.Contains(out, placeholder) {
		t.Errorf("the environment and files: %.2000s", out)
	}
	dir, err := os.MkdirTemp("/var/tmp", "sunaba-checkpoint-")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	if err := b.Checkpoint(within(t), dir); err != nil {
		t.Fatal(err)
	}
	if files := holds(t, dir, placeholder); len(files) == 0 {
		t.Error("the checkpoint does not even have the placeholder: nothing can be found in it")
	}
	if files := holds(t, dir, secret); len(files) > 0 {
		t.Errorf("the secret is in the sandbox's memory or files: %v", files)
	}
	mu.Lock()
	defer mu.Unlock()
	for _, h := range heard {
		if strings.Contains(h, secret) && !strings.HasPrefix(h, "true api.outside.test ") {
			t.Errorf("the secret was said to %s", h)
		}
	}
	if all := fmt.Sprint(s.Connections()); strings.Contains(all, secret) {
		t.Errorf("the egress log: %s", all)
	}
}

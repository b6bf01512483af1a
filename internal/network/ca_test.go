package network

import (
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

func TestCAIsKept(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ca.pem")
	first, err := LoadCA(path)
	if err != nil {
		t.Fatal(err)
	}
	if st, err := os.Stat(path); err != nil || st.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v; want mode 600", st.Mode(), err)
	}
	again, err := LoadCA(path)
	if err != nil || again.Certificate() != first.Certificate() || again.Hash() != first.Hash() {
		t.Errorf("another authority after a restart: %v", err)
	}
	if strings.Contains(first.Certificate(), "PRIVATE") {
		t.Error("the key is with the certificate")
	}
	leaf, err := again.mint("s3.amazonaws.com")
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM([]byte(first.Certificate()))
	if _, err := leaf.Leaf.Verify(x509.VerifyOptions{Roots: roots, DNSName: "s3.amazonaws.com"}); err != nil {
		t.Error(err)
	}
	if _, err := leaf.Leaf.Verify(x509.VerifyOptions{Roots: roots, DNSName: "sts.amazonaws.com"}); err == nil {
		t.Error("a certificate is good for two names")
	}
}

func TestHashIsOpenSSLs(t *testing.T) {
	ca, err := LoadCA(filepath.Join(t.TempDir(), "ca.pem"))
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("openssl", "x509", "-noout", "-subject_hash")
	cmd.Stdin = strings.NewReader(ca.Certificate())
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	if want := strings.TrimSpace(string(out)); ca.Hash() != want {
		t.Errorf("%s, want %s", ca.Hash(), want)
	}
}

func TestDamagedCA(t *testing.T) {
	dir := t.TempDir()
	good := filepath.Join(dir, "good.pem")
	if _, err := LoadCA(good); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(good)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := LoadCA(filepath.Join(dir, "other.pem")); err != nil {
		t.Fatal(err)
	}
	other, err := os.ReadFile(filepath.Join(dir, "other.pem"))
	if err != nil {
		t.Fatal(err)
	}
	cert, rest := pem.Decode(text)
	_, otherKey := pem.Decode(other)
	for name, content := range map[string][]byte{
		"empty": nil, "no PEM": []byte("hello"), "no key": pem.EncodeToMemory(cert), "no certificate": rest, "half": text[:len(text)/2],
		"another's key": append(pem.EncodeToMemory(cert), otherKey...),
	} {
		path := filepath.Join(dir, "bad.pem")
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := LoadCA(path); err == nil || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: %v", name, err)
		}
		if now, err := os.ReadFile(path); err != nil || string(now) != string(content) {
			t.Errorf("%s: the file was changed", name)
		}
	}
	if err := os.Chmod(good, 0o640); err != nil {
		t.Fatal(err)
	}
	if _, err := LoadCA(good); err == nil || !strings.Contains(err.Error(), "chmod 600") {
		t.Errorf("a key that others can read: %v", err)
	}
}

func TestCertificatesAreBounded(t *testing.T) {
	ca, err := LoadCA(filepath.Join(t.TempDir(), "ca.pem"))
	if err != nil {
		t.Fatal(err)
	}
	for n := range 2 * maxLeaves {
		if _, err := ca.mint(fmt.Sprintf("bucket-%d.s3.amazonaws.com", n)); err != nil {
			t.Fatal(err)
		}
	}
	if len(ca.leaves) > maxLeaves {
		t.Errorf("%d certificates are kept", len(ca.leaves))
	}
	long := strings.Repeat("a", 60) + "." + strings.Repeat("b", 60) + ".s3.amazonaws.com"
	first, err := ca.mint(long)
	if err != nil {
		t.Fatal(err)
	}
	if second, err := ca.mint(long); err != nil || second != first {
		t.Errorf("a certificate is made again: %v", err)
	}
}

func FuzzParseCA(f *testing.F) {
	path := filepath.Join(f.TempDir(), "ca.pem")
	if _, err := LoadCA(path); err != nil {
		f.Fatal(err)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(text)
	f.Fuzz(func(t *testing.T, b []byte) {
		if cert, key, err := parseCA(b); err == nil && (cert == nil || key == nil) {
			t.Error("half an authority")
		}
	})
}

func BenchmarkMint(b *testing.B) {
	ca, err := LoadCA(filepath.Join(b.TempDir(), "ca.pem"))
	if err != nil {
		b.Fatal(err)
	}
	n := 0
	for b.Loop() {
		n++
		if _, err := ca.mint(fmt.Sprintf("bucket-%d.s3.amazonaws.com", n)); err != nil {
			b.Fatal(err)
		}
	}
}

package gvisor

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/binary"
	"encoding/pem"
	"errors"
	"math/big"
	"os"
	"path/filepath"
	"testing"
	"time"

	"software.sslmate.com/src/go-pkcs12"

	"github.com/sunaba-dev/sunaba/internal/guest/proto"
)

func authorityNamed(t testing.TB, name string) *x509.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// readJKS reads a store as Java does, and returns the certificates by their aliases.
func readJKS(b []byte) (map[string][]byte, error) {
	bad := errors.New("no key store")
	if len(b) < jksHead+20 {
		return nil, bad
	}
	if sum := jksSum(b[:len(b)-20]); !bytes.Equal(sum[:], b[len(b)-20:]) {
		return nil, errors.New("the check fails")
	}
	count := binary.BigEndian.Uint32(b[8:])
	b = b[12 : len(b)-20]
	take := func(n int) []byte {
		if n > len(b) {
			b = nil
			return nil
		}
		taken := b[:n]
		b = b[n:]
		return taken
	}
	all := map[string][]byte{}
	for range count {
		if len(b) < 6 || binary.BigEndian.Uint32(take(4)) != 2 {
			return nil, bad
		}
		alias := string(take(int(binary.BigEndian.Uint16(take(2)))))
		take(8)
		if len(b) < 2 || string(take(int(binary.BigEndian.Uint16(take(2))))) != "X.509" || len(b) < 4 {
			return nil, bad
		}
		all[alias] = take(int(binary.BigEndian.Uint32(take(4))))
	}
	if len(b) > 0 {
		return nil, bad
	}
	return all, nil
}

// storeOf is a store in Java's format with one certificate.
func storeOf(c *x509.Certificate) []byte {
	b := binary.BigEndian.AppendUint32(nil, jksMagic)
	b = binary.BigEndian.AppendUint32(b, jksVersion)
	b = jksEntry(binary.BigEndian.AppendUint32(b, 1), "old", c.Raw)
	sum := jksSum(b)
	return append(b, sum[:]...)
}

func TestJavaTrustsTheAuthority(t *testing.T) {
	old, ours := authorityNamed(t, "old"), authorityNamed(t, "ours")
	text := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: ours.Raw}))
	passwordless, err := pkcs12.Passwordless.EncodeTrustStore([]*x509.Certificate{old}, "")
	if err != nil {
		t.Fatal(err)
	}
	encrypted, err := pkcs12.Modern.EncodeTrustStore([]*x509.Certificate{old}, javaPassword)
	if err != nil {
		t.Fatal(err)
	}
	for name, store := range map[string][]byte{"JKS": storeOf(old), "PKCS 12 without a password": passwordless, "PKCS 12": encrypted} {
		grown, err := withAuthority(store, text)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		all, err := readJKS(grown)
		var found int
		for _, der := range all {
			if bytes.Equal(der, old.Raw) || bytes.Equal(der, ours.Raw) {
				found++
			}
		}
		if err != nil || !bytes.Equal(all[javaAlias], ours.Raw) || found != 2 {
			t.Errorf("%s: %d of %d, %v", name, found, len(all), err)
		}
	}
	damaged := storeOf(old)
	damaged[20]++
	for name, store := range map[string][]byte{"empty": nil, "text": []byte("nothing"), "damaged": damaged, "short": damaged[:8]} {
		if _, err := withAuthority(store, text); err == nil {
			t.Errorf("%s passes", name)
		}
	}
	i := tree(t, map[string]string{"opt/jdk/lib/security/cacerts": string(passwordless), "usr/lib/jvm/one/lib/security/cacerts": "-> /etc/ssl/certs/java/cacerts", "etc/ssl/certs/java/cacerts": string(storeOf(old)),
		"usr/lib/jvm/bad/lib/security/cacerts": "not a store"})
	layer, err := newTrustDriver(t).trust(i.root, proto.Trust{Certificate: text, Hash: "0123abcd"}, map[string]string{"JAVA_HOME": "/opt/jdk"})
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"opt/jdk/lib/security/cacerts", "etc/ssl/certs/java/cacerts"} {
		b, err := os.ReadFile(filepath.Join(layer.dir, path))
		if err != nil {
			t.Fatal(err)
		}
		if all, err := readJKS(b); err != nil || !bytes.Equal(all[javaAlias], ours.Raw) {
			t.Errorf("%s: %d, %v", path, len(all), err)
		}
	}
	if _, err := os.Lstat(filepath.Join(layer.dir, "usr/lib/jvm/bad")); err == nil {
		t.Error("a store that cannot be read is in the layer")
	}
}

func FuzzWithAuthority(f *testing.F) {
	c := authorityNamed(f, "x")
	text := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw}))
	f.Add(storeOf(c))
	f.Fuzz(func(_ *testing.T, store []byte) { _, _ = withAuthority(store, text) })
}

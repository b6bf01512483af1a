package gvisor

import (
	"bytes"
	"crypto/sha1" //nolint:gosec // the format's own check
	"crypto/x509"
	"encoding/binary"
	"encoding/pem"
	"errors"
	"fmt"
	"math"
	"path/filepath"
	"time"
	"unicode/utf16"

	"software.sslmate.com/src/go-pkcs12"
)

// javaStores are where distributions keep what Java trusts, if not in the JDK's own folder.
var javaStores = []string{"etc/ssl/certs/java/cacerts", "etc/pki/ca-trust/extracted/java/cacerts", "etc/pki/java/cacerts"}

// javaHomes are folders of JDKs.
var javaHomes = []string{"usr/lib/jvm", "usr/java", "opt/java", "opt"}

// javaPassword is the one that all stores of trusted certificates have, where they have one: what they hold is public.
const javaPassword = "changeit"

// Java's own format of key stores (sun.security.provider.JavaKeyStore): a head, entries, and a hash of password, a constant and all before.
const (
	jksMagic   = 0xfeedfeed
	jksVersion = 2
	jksTrusted = 2 // kind of an entry
	jksHead    = 4 + 4 + 4
	jksCountAt = 8
	jksSalt    = "Mighty Aphrodite"
	javaAlias  = "sunaba-local-authority"
)

// javaTrust finds the stores of certificates that Java trusts, by their real paths.
func (i imageTree) javaTrust(env map[string]string) (paths []string) {
	add := i.adder(&paths)
	for _, path := range javaStores {
		add(path)
	}
	homes := []string{env["JAVA_HOME"]}
	for _, dir := range javaHomes {
		homes = append(homes, i.children(dir, "")...)
	}
	for _, home := range homes {
		if home != "" {
			add(filepath.Join(home, "lib/security/cacerts"))
			add(filepath.Join(home, "jre/lib/security/cacerts"))
		}
	}
	return paths
}

// withAuthority returns a store with one more trusted certificate. Stores of either format come back in Java's own, which every Java reads, whatever its default is.
func withAuthority(store []byte, certificate string) ([]byte, error) {
	block, _ := pem.Decode([]byte(certificate))
	if block == nil {
		return nil, errors.New("the authority's certificate is no PEM")
	}
	if len(store) >= 4 && binary.BigEndian.Uint32(store) == jksMagic {
		return appendJKS(store, block.Bytes)
	}
	trusted, err := pkcs12.DecodeTrustStore(store, javaPassword)
	if err != nil {
		if trusted, err = pkcs12.DecodeTrustStore(store, ""); err != nil {
			return nil, fmt.Errorf("a key store of a format or password that is not known: %w", err)
		}
	}
	return newJKS(trusted, block.Bytes), nil
}

// appendJKS adds an entry to a store in Java's format, whose password must be the usual one.
func appendJKS(store, der []byte) ([]byte, error) {
	if len(store) < jksHead+sha1.Size || binary.BigEndian.Uint32(store[4:]) != jksVersion {
		return nil, errors.New("a key store of another version")
	}
	body, sum := store[:len(store)-sha1.Size], store[len(store)-sha1.Size:]
	if want := jksSum(body); !bytes.Equal(sum, want[:]) {
		return nil, errors.New("a key store with another password, or a damaged one")
	}
	count := binary.BigEndian.Uint32(body[jksCountAt:])
	if count == math.MaxUint32 {
		return nil, errors.New("a key store that is full")
	}
	grown := jksEntry(bytes.Clone(body), javaAlias, der)
	binary.BigEndian.PutUint32(grown[jksCountAt:], count+1)
	check := jksSum(grown)
	return append(grown, check[:]...), nil
}

func newJKS(trusted []*x509.Certificate, der []byte) []byte {
	b := binary.BigEndian.AppendUint32(nil, jksMagic)
	b = binary.BigEndian.AppendUint32(b, jksVersion)
	b = binary.BigEndian.AppendUint32(b, uint32(len(trusted)+1))
	for n, c := range trusted {
		b = jksEntry(b, fmt.Sprintf("trusted-%d", n), c.Raw)
	}
	b = jksEntry(b, javaAlias, der)
	check := jksSum(b)
	return append(b, check[:]...)
}

func jksEntry(b []byte, alias string, der []byte) []byte {
	text := func(s string) {
		b = append(binary.BigEndian.AppendUint16(b, uint16(len(s))), s...)
	}
	b = binary.BigEndian.AppendUint32(b, jksTrusted)
	text(alias)
	b = binary.BigEndian.AppendUint64(b, uint64(time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC).UnixMilli())) // when it was added, which nobody asks: one content has one file
	text("X.509")
	b = binary.BigEndian.AppendUint32(b, uint32(len(der)))
	return append(b, der...)
}

func jksSum(body []byte) [sha1.Size]byte {
	h := sha1.New() //nolint:gosec // see above
	for _, c := range utf16.Encode([]rune(javaPassword)) {
		h.Write([]byte{byte(c >> 8), byte(c)})
	}
	h.Write([]byte(jksSalt))
	h.Write(body)
	return [sha1.Size]byte(h.Sum(nil))
}

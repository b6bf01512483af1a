package network

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha1" //nolint:gosec // OpenSSL's name of a file, nothing that must resist anybody
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/binary"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

const (
	caYears       = 20
	caRenewal     = 90 * 24 * time.Hour // an authority with less time left is replaced at the next start
	leafLife      = 30 * 24 * time.Hour
	leafRenewal   = leafLife / 2
	backdated     = 24 * time.Hour // clocks that are behind
	maxLeaves     = 1024           // certificates kept; a bucket's name is one more
	blockKey      = "PRIVATE KEY"
	blockCert     = "CERTIFICATE"
	maxCommonName = 64
)

// CA is the certificate authority of one installation. Sandboxes trust it; its key never leaves the host.
type CA struct {
	cert *x509.Certificate
	pem  string
	key  crypto.Signer
	leaf *ecdsa.PrivateKey // of all minted certificates: it lives as long as the process

	mu     sync.Mutex
	leaves map[string]*tls.Certificate
}

// LoadCA reads the authority from a file, certificate and key, or makes one and writes it (mode 0600) if there is none or it is about to expire.
func LoadCA(path string) (*CA, error) {
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return createCA(path)
	}
	if err != nil {
		return nil, fmt.Errorf("read the certificate authority: %w", err)
	}
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("read the certificate authority: %w", err)
	}
	if info.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("the key of the certificate authority %s could be read by others (mode %o): remove the file if they may have done so, or run `chmod 600` on it", path, info.Mode().Perm())
	}
	cert, key, err := parseCA(text)
	if err != nil {
		return nil, fmt.Errorf("the certificate authority %s is damaged (remove the file, and the next start makes a new one): %w", path, err)
	}
	if time.Until(cert.NotAfter) < caRenewal {
		return createCA(path)
	}
	return newCA(cert, key)
}

func newCA(cert *x509.Certificate, key crypto.Signer) (*CA, error) {
	leaf, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	text := pem.EncodeToMemory(&pem.Block{Type: blockCert, Bytes: cert.Raw})
	return &CA{cert: cert, pem: string(text), key: key, leaf: leaf, leaves: map[string]*tls.Certificate{}}, nil
}

func createCA(path string) (*CA, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	now := time.Now()
	template := &x509.Certificate{
		// A name of its own: a client that knows two authorities by one name tries the wrong one first.
		Subject:   pkix.Name{CommonName: "Sunaba local authority " + strings.ToLower(rand.Text()[:8])},
		NotBefore: now.Add(-backdated), NotAfter: now.AddDate(caYears, 0, 0),
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign, BasicConstraintsValid: true, IsCA: true, MaxPathLenZero: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, fmt.Errorf("make the certificate authority: %w", err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("make the certificate authority: %w", err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("make the certificate authority: %w", err)
	}
	text := append(pem.EncodeToMemory(&pem.Block{Type: blockCert, Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: blockKey, Bytes: secret})...)
	if err := writeSecret(path, text); err != nil {
		return nil, fmt.Errorf("keep the certificate authority: %w", err)
	}
	return newCA(cert, key)
}

// writeSecret replaces a file in one step: certificate and key are never of two authorities.
func writeSecret(path string, content []byte) error {
	tmp, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*") // mode 0600
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(tmp.Name()) }()
	_, err = tmp.Write(content)
	if err := errors.Join(err, tmp.Sync(), tmp.Close()); err != nil {
		return err
	}
	return os.Rename(tmp.Name(), path)
}

func parseCA(text []byte) (cert *x509.Certificate, key crypto.Signer, err error) {
	for len(text) > 0 {
		var block *pem.Block
		if block, text = pem.Decode(text); block == nil {
			break
		}
		switch block.Type {
		case blockCert:
			if cert, err = x509.ParseCertificate(block.Bytes); err != nil {
				return nil, nil, err
			}
		case blockKey:
			parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
			if err != nil {
				return nil, nil, err
			}
			key, _ = parsed.(crypto.Signer)
		}
	}
	switch {
	case cert == nil || key == nil:
		return nil, nil, errors.New("it lacks its certificate or its key")
	case !cert.IsCA:
		return nil, nil, errors.New("its certificate is none of an authority")
	}
	if public, ok := key.Public().(interface{ Equal(crypto.PublicKey) bool }); !ok || !public.Equal(cert.PublicKey) {
		return nil, nil, errors.New("its key does not belong to its certificate")
	}
	return cert, key, nil
}

// Certificate returns the authority's certificate as PEM.
func (c *CA) Certificate() string { return c.pem }

// Hash returns the hash of the authority's subject by which OpenSSL finds it in a folder: SHA-1 of the canonical form of the name (lower case, UTF-8 strings,
// no outer sequence), the first four bytes as a little-endian number.
func (c *CA) Hash() string {
	type attribute struct {
		Type  asn1.ObjectIdentifier
		Value string `asn1:"utf8"`
	}
	commonName := asn1.ObjectIdentifier{2, 5, 4, 3} // the subject's only attribute
	name, err := asn1.MarshalWithParams([]attribute{{commonName, strings.ToLower(c.cert.Subject.CommonName)}}, "set")
	if err != nil {
		panic("network: encode a name: " + err.Error()) // a string can be encoded
	}
	sum := sha1.Sum(name)
	var b [4]byte
	binary.BigEndian.PutUint32(b[:], binary.LittleEndian.Uint32(sum[:]))
	return hex.EncodeToString(b[:])
}

// mint returns a certificate for exactly one name, signed by the authority: one that were good for more would let HTTP/2 clients use a connection for other hosts.
func (c *CA) mint(name string) (*tls.Certificate, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	if have := c.leaves[name]; have != nil && have.Leaf.NotAfter.Sub(now) > leafRenewal {
		return have, nil
	}
	template := &x509.Certificate{
		DNSNames: []string{name}, NotBefore: now.Add(-backdated), NotAfter: now.Add(leafLife),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}, BasicConstraintsValid: true,
	}
	if len(name) <= maxCommonName {
		template.Subject.CommonName = name
	}
	der, err := x509.CreateCertificate(rand.Reader, template, c.cert, c.leaf.Public(), c.key)
	if err != nil {
		return nil, fmt.Errorf("mint a certificate for %s: %w", name, err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("mint a certificate for %s: %w", name, err)
	}
	if len(c.leaves) >= maxLeaves {
		for old := range c.leaves { // whichever: a certificate is cheap to make again
			delete(c.leaves, old)
			break
		}
	}
	minted := &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: c.leaf, Leaf: leaf}
	c.leaves[name] = minted
	return minted, nil
}

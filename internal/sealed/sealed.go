// Package sealed encrypts small values for the disk: AES-256-GCM under one key of the installation. A sealed value is bound to what it is (a name, a version): moved to another place in the store it does not open.
//
// It protects what lies in the store, and in copies of it, from whoever does not have the key file too. It does not protect from the user that the server runs as.
package sealed

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// A sealed value is the format's number, the first bytes of the hash of its key, a random nonce, the ciphertext and its tag.
const (
	format   = 1
	idSize   = 4
	header   = 1 + idSize
	keySize  = 32
	overhead = header + 12 + 16 // what a sealed value is longer than the plain one, in bytes
)

// The errors of Open. They tell what is wrong with the store, and nothing of the value.
var (
	ErrOtherKey = errors.New("it was sealed with another key than the one in the data folder")
	ErrDamaged  = errors.New("it was changed, or belongs elsewhere")
)

// Key seals and opens values. It is safe for concurrent use.
type Key struct {
	aead cipher.AEAD
	id   [idSize]byte
}

// NewKey returns the key of 32 bytes.
func NewKey(secret []byte) (*Key, error) {
	if len(secret) != keySize {
		return nil, fmt.Errorf("a key has %d bytes, not %d", keySize, len(secret))
	}
	block, err := aes.NewCipher(secret)
	if err != nil {
		return nil, err
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		return nil, err
	}
	k := &Key{aead: aead}
	sum := sha256.Sum256(append([]byte("sunaba sealing key\n"), secret...))
	copy(k.id[:], sum[:])
	return k, nil
}

// LoadKey reads the key in a file, and makes a random one (mode 0600) if there is no file. A file that others can read is refused. When LoadKey returns, a new key is on disk: what is sealed with it can be
// opened after a crash.
func LoadKey(path string) (*Key, error) {
	secret, err := readKey(path)
	if errors.Is(err, fs.ErrNotExist) {
		if err = makeKey(path); err == nil {
			secret, err = readKey(path)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("the sealing key %s: %w", path, err)
	}
	return NewKey(secret)
}

func readKey(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if info.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("others can read it (mode %04o): run chmod 600 on it", info.Mode().Perm())
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	secret, err := base64.StdEncoding.DecodeString(strings.TrimSpace(string(text)))
	if err != nil || len(secret) != keySize {
		return nil, errors.New("the file does not hold a key; what was sealed with it is lost without its backup")
	}
	return secret, nil
}

// makeKey puts a whole file in place in one step, and never over one that is there: another server may have been quicker.
func makeKey(path string) (err error) {
	var secret [keySize]byte
	_, _ = rand.Read(secret[:]) // never fails
	tmp, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(tmp.Name()) }()
	_, err = tmp.WriteString(base64.StdEncoding.EncodeToString(secret[:]) + "\n")
	if err = errors.Join(err, tmp.Sync(), tmp.Close()); err != nil {
		return err
	}
	if err := os.Link(tmp.Name(), path); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

// Seal encrypts a value and binds it to what it is. Only Open with the same binding returns it.
func (k *Key) Seal(plain []byte, binding ...string) []byte {
	box := make([]byte, 0, len(plain)+overhead)
	box = append(append(box, format), k.id[:]...)
	return k.aead.Seal(box, nil, plain, additional(box, binding))
}

// Open returns a sealed value, or ErrOtherKey or ErrDamaged.
func (k *Key) Open(box []byte, binding ...string) ([]byte, error) {
	if len(box) < overhead || box[0] != format {
		return nil, ErrDamaged
	}
	if [idSize]byte(box[1:header]) != k.id {
		return nil, ErrOtherKey
	}
	plain, err := k.aead.Open(nil, nil, box[header:], additional(box[:header], binding))
	if err != nil {
		return nil, ErrDamaged
	}
	return plain, nil
}

// additional is the data that the tag covers besides: the header, and each part of the binding with its length, so that ("ab", "c") is not ("a", "bc").
func additional(head []byte, binding []string) []byte {
	data := append([]byte(nil), head...)
	for _, part := range binding {
		data = binary.AppendUvarint(data, uint64(len(part)))
		data = append(data, part...)
	}
	return data
}

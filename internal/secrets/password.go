package secrets

import (
	"crypto/rand"
	"math/big"
	"strings"

	"github.com/sunaba-dev/sunaba/internal/fault"
)

// Password is what GetRandomPassword takes. Source of the classes and defaults: API reference.
type Password struct {
	Length      int    // characters, 1 to 4096
	Exclude     string // characters that must not occur
	Lowercase   bool
	Uppercase   bool
	Numbers     bool
	Punctuation bool
	Space       bool
	Each        bool // at least one of each class
}

// DefaultPassword is what a request without members asks for.
func DefaultPassword() Password {
	return Password{Length: 32, Lowercase: true, Uppercase: true, Numbers: true, Punctuation: true, Each: true}
}

const punctuation = "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~"

// Random returns a password.
func (p Password) Random() (string, error) {
	var classes []string
	for _, c := range []struct {
		in         bool
		characters string
	}{{p.Lowercase, letters[26:52]}, {p.Uppercase, letters[:26]}, {p.Numbers, letters[52:]}, {p.Punctuation, punctuation}, {p.Space, " "}} {
		left := strings.Map(func(r rune) rune {
			if strings.ContainsRune(p.Exclude, r) {
				return -1
			}
			return r
		}, c.characters)
		if c.in && left != "" {
			classes = append(classes, left)
		}
	}
	switch {
	case len(classes) == 0:
		return "", fault.New(InvalidParameter, "The characters that are excluded leave none for a password.")
	case p.Each && p.Length < len(classes):
		return "", fault.New(InvalidParameter, "A password of %d characters cannot have one of each of the %d included types.", p.Length, len(classes))
	}
	var out []byte
	if p.Each {
		for _, c := range classes {
			out = append(out, pick(c, 1)...)
		}
	}
	out = append(out, pick(strings.Join(classes, ""), p.Length-len(out))...)
	shuffle(out)
	return string(out), nil
}

// shuffle puts the characters in any order with the same likelihood, from the system's randomness.
func shuffle(b []byte) {
	for i := len(b) - 1; i > 0; i-- {
		n, _ := rand.Int(rand.Reader, big.NewInt(int64(i+1))) // never fails
		j := int(n.Int64())
		b[i], b[j] = b[j], b[i]
	}
}

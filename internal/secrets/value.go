package secrets

import (
	"crypto/subtle"
	"fmt"
	"io"
	"log/slog"

	"github.com/sunaba-dev/sunaba/internal/fault"
)

// Value is a secret's value: a text or bytes. Formatted, logged or encoded it shows as [secret].
type Value struct {
	kind byte // 0 for no value
	data []byte
}

// How a value begins inside its box.
const (
	kindText   = 's'
	kindBinary = 'b'
)

// Text is the value of a SecretString.
func Text(s string) Value { return Value{kindText, []byte(s)} }

// Binary is the value of a SecretBinary.
func Binary(b []byte) Value { return Value{kindBinary, b} }

// IsZero reports whether there is no value.
func (v Value) IsZero() bool { return v.kind == 0 }

// Text returns a text value.
func (v Value) Text() (text string, ok bool) { return string(v.data), v.kind == kindText }

// Binary returns a binary value.
func (v Value) Binary() (data []byte, ok bool) { return v.data, v.kind == kindBinary }

const redacted = "[secret]"

// String hides the value.
func (Value) String() string { return redacted }

// Format hides the value from every verb.
func (Value) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, redacted) }

// LogValue hides the value from slog.
func (Value) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalText hides the value from encoders.
func (Value) MarshalText() ([]byte, error) { return []byte(redacted), nil }

func (v Value) equal(w Value) bool {
	return v.kind == w.kind && subtle.ConstantTimeCompare(v.data, w.data) == 1
}

// check refuses what no version can hold.
func (v Value) check() error {
	if len(v.data) > MaxValue {
		return fault.New(fault.Validation, "The secret value has %d bytes, and can have at most %d.", len(v.data), MaxValue)
	}
	return nil
}

// seal binds a value to its secret and version.
func (s *Service) seal(k Key, versionID string, v Value) []byte {
	return s.o.Seal.Seal(append([]byte{v.kind}, v.data...), binding(k, versionID)...)
}

// open is DecryptionFailure when the box does not open; the log has why.
func (s *Service) open(k Key, versionID string, box []byte) (Value, error) {
	plain, err := s.o.Seal.Open(box, binding(k, versionID)...)
	if err != nil || len(plain) == 0 {
		return Value{}, fault.New(DecryptionFailed, "Secrets Manager can't decrypt the protected secret text using the key of this installation.").With(err)
	}
	return Value{plain[0], plain[1:]}, nil
}

func binding(k Key, versionID string) []string {
	return []string{"secretsmanager", arn(k.Scope, k.Name+"-"+k.Suffix), versionID}
}

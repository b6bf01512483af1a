// Package resourceid makes ids of resources in AgentCore's form: what the user called it, and ten letters and digits that nobody guesses.
package resourceid

import "crypto/rand"

// New returns "name-XXXXXXXXXX".
func New(name string) string { return name + "-" + suffix() }

func suffix() string {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
	const fair = 256 / len(alphabet) * len(alphabet) // bytes above would favour the first letters
	out := make([]byte, 0, 10)
	for len(out) < cap(out) {
		var b [16]byte
		_, _ = rand.Read(b[:]) // never fails
		for _, c := range b {
			if int(c) < fair && len(out) < cap(out) {
				out = append(out, alphabet[int(c)%len(alphabet)])
			}
		}
	}
	return string(out)
}

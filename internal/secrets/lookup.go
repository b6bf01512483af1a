package secrets

import (
	"crypto/rand"
	"regexp"
	"strings"

	"github.com/sunaba-dev/sunaba/internal/fault"
)

// candidates are the secrets that an id can mean: a name; or an ARN, whose end may be the suffix or, in a partial ARN, part of the name. The ARN tells the account; a secret of another region is not here.
// A complete ARN goes before a partial one. Source: User Guide, "Secrets Manager secret ARNs".
func candidates(scope Scope, id string) []Key {
	if !strings.HasPrefix(id, "arn:") {
		return []Key{{Scope: scope, Name: id}}
	}
	at, resource, ok := parseARN(id)
	if !ok || at.Region != scope.Region {
		return nil
	}
	all := []Key{{Scope: at, Name: resource}}
	if name, suffix, ok := cutSuffix(resource); ok {
		all = append([]Key{{Scope: at, Name: name, Suffix: suffix}}, all...)
	}
	return all
}

// parseARN takes arn:PARTITION:secretsmanager:REGION:ACCOUNT:secret:RESOURCE apart.
func parseARN(id string) (s Scope, resource string, ok bool) {
	fields := strings.SplitN(id, ":", 7)
	if len(fields) != 7 || fields[2] != "secretsmanager" || fields[5] != "secret" || fields[6] == "" {
		return Scope{}, "", false
	}
	return Scope{Account: fields[4], Region: fields[3]}, fields[6], true
}

var suffixed = regexp.MustCompile(`\A(.+)-([A-Za-z0-9]{6})\z`)

func cutSuffix(resource string) (name, suffix string, ok bool) {
	m := suffixed.FindStringSubmatch(resource)
	if m == nil {
		return "", "", false
	}
	return m[1], m[2], true
}

// ResourceOf returns the ARN that policies see for an id of which there is no secret: with the wildcards that policies have where the suffix would be.
func ResourceOf(scope Scope, id string) string {
	if strings.HasPrefix(id, "arn:") {
		return id
	}
	return arn(scope, id+"-??????")
}

const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"

func newSuffix() string { return string(pick(letters, 6)) }

// pick returns n random characters of an alphabet of at most 256, each as likely as the others.
func pick(alphabet string, n int) []byte {
	out := make([]byte, 0, n)
	fair := 256 - 256%len(alphabet) // bytes from here on would make the first characters likelier
	for buffer := make([]byte, 64); len(out) < n; {
		_, _ = rand.Read(buffer) // never fails
		for _, b := range buffer {
			if int(b) < fair && len(out) < n {
				out = append(out, alphabet[int(b)%len(alphabet)])
			}
		}
	}
	return out
}

var validName = regexp.MustCompile(`\A[A-Za-z0-9/_+=.@!-]+\z`)

// checkName refuses what cannot be a secret's name. Source: the message of the service.
func checkName(name string) error {
	if !validName.MatchString(name) || len(name) > 512 {
		return fault.New(fault.Validation, "Invalid name. Must be a valid name containing alphanumeric characters, or any of the following: -/_+=.@!")
	}
	return nil
}

func checkTags(tags map[string]string) error {
	if len(tags) > MaxTags {
		return fault.New(InvalidParameter, "The secret would have %d tags, and can have at most %d.", len(tags), MaxTags)
	}
	for k := range tags {
		if strings.HasPrefix(strings.ToLower(k), "aws:") {
			return fault.New(InvalidParameter, "Tag keys that begin with aws: are reserved for AWS.")
		}
	}
	return nil
}

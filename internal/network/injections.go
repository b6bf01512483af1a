package network

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"

	"golang.org/x/net/http/httpguts"

	"github.com/sunaba-dev/sunaba/internal/egress"
)

const (
	maxInjections   = 50
	headerOfDefault = "Authorization"
	bearer          = "Bearer "
)

// Injections are headers that requests to some hosts get on their way out of a session, with values that nothing inside the session sees. The zero value has none.
type Injections struct{ all []injection } // the closest fits first

// injection is one header for one host, or for all below a name.
type injection struct {
	host   string // ".example.com" stands for every name below example.com
	secret string // name or ARN of the entry that has the value
	header string // in its canonical form
	prefix string // of the value
}

var (
	secretName = regexp.MustCompile(`^[A-Za-z0-9/_+=.@!-]{1,512}$`) // as Secrets Manager allows them
	errNoPairs = errors.New("the list of secrets is empty")
)

// unsettable are headers that say where a request ends, where it goes and what becomes of its connection. Nobody's secret is in them.
var unsettable = []string{"Connection", "Content-Encoding", "Content-Length", "Content-Type", "Expect", "Host", "Keep-Alive", "Te", "Trailer", "Transfer-Encoding", "Upgrade"}

// ParseInjections reads a list such as "api.example.com=openai .example.org=prod/token:X-Api-Key", separated by spaces or commas. Of an entry HOST=SECRET[:HEADER]
//
//	HOST    is a name; with a dot, or "*.", before it every name below that one but not the name itself
//	SECRET  is the name of a secret, or its ARN
//	HEADER  is the header whose whole value the secret is; without it, it is "Authorization: Bearer " and the secret
//
// A host may have several headers. Where entries for one header fit, the one for the very name counts, or else the one that says most of it.
func ParseInjections(list string) (Injections, error) {
	entries := strings.FieldsFunc(list, func(r rune) bool { return r == ',' || r == ' ' || r == '\t' || r == '\n' })
	if len(entries) == 0 {
		return Injections{}, errNoPairs
	}
	if len(entries) > maxInjections {
		return Injections{}, fmt.Errorf("the list has %d secrets; %d are allowed", len(entries), maxInjections)
	}
	var n Injections
	for _, e := range entries {
		i, err := parseInjection(e)
		if err != nil {
			return Injections{}, fmt.Errorf("%q: %w", e, err)
		}
		if slices.ContainsFunc(n.all, func(o injection) bool { return o.host == i.host && o.header == i.header }) {
			return Injections{}, fmt.Errorf("%q: the host has the header %s already", e, i.header)
		}
		n.all = append(n.all, i)
	}
	slices.SortStableFunc(n.all, func(a, b injection) int {
		if below := strings.HasPrefix(a.host, "."); below != strings.HasPrefix(b.host, ".") {
			if below {
				return 1
			}
			return -1
		}
		return cmp.Compare(len(b.host), len(a.host))
	})
	return n, nil
}

func parseInjection(entry string) (injection, error) {
	host, rest, ok := strings.Cut(entry, "=")
	if !ok {
		return injection{}, errors.New("an entry is HOST=SECRET, or HOST=SECRET:HEADER")
	}
	name, below := strings.CutPrefix(strings.TrimPrefix(host, "*"), ".")
	if strings.HasPrefix(host, "*") && !below {
		return injection{}, fmt.Errorf("%q is no host such as api.example.com or .example.com", host)
	}
	name, ok = egress.CleanName(name)
	switch {
	case !ok || !strings.Contains(name, "."):
		return injection{}, fmt.Errorf("%q is no host such as api.example.com or .example.com", host)
	case awsName(name):
		return injection{}, errors.New("AWS's endpoints are this server's own: the execution role signs requests to them")
	}
	if below {
		name = "." + name
	}
	secret, header, named := cutHeader(rest)
	if !secretName.MatchString(nameOf(secret)) {
		return injection{}, fmt.Errorf("%q is neither the name of a secret nor its ARN", secret)
	}
	if !named {
		return injection{name, secret, headerOfDefault, bearer}, nil
	}
	header = http.CanonicalHeaderKey(header)
	if !httpguts.ValidHeaderFieldName(header) || slices.Contains(unsettable, header) || strings.HasPrefix(header, "Proxy-") {
		return injection{}, fmt.Errorf("%q is no header that a secret can be in", header)
	}
	return injection{host: name, secret: secret, header: header}, nil
}

const arnFields = 7 // arn:PARTITION:secretsmanager:REGION:ACCOUNT:secret:NAME

// cutHeader cuts the header from a secret's name or ARN. Neither has a colon at the end.
func cutHeader(s string) (secret, header string, named bool) {
	if !strings.HasPrefix(s, "arn:") {
		return strings.Cut(s, ":")
	}
	fields := strings.SplitN(s, ":", arnFields+1)
	if len(fields) <= arnFields {
		return s, "", false
	}
	return strings.Join(fields[:arnFields], ":"), fields[arnFields], true
}

// nameOf is the part of an ARN that names the secret; "" for ARNs of something else.
func nameOf(secret string) string {
	if !strings.HasPrefix(secret, "arn:") {
		return secret
	}
	fields := strings.SplitN(secret, ":", arnFields)
	if len(fields) < arnFields || fields[2] != "secretsmanager" || fields[5] != "secret" {
		return ""
	}
	return fields[arnFields-1]
}

// of returns what requests to a host get, as [egress.CleanName] gives its name: of each header one.
func (n Injections) of(name string) []injection {
	var fit []injection
	for _, i := range n.all {
		matches := name == i.host || (strings.HasPrefix(i.host, ".") && len(name) > len(i.host) && strings.HasSuffix(name, i.host))
		if matches && !slices.ContainsFunc(fit, func(o injection) bool { return o.header == i.header }) {
			fit = append(fit, i)
		}
	}
	return fit
}

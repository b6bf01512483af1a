package parameters

import (
	"regexp"
	"strconv"
	"strings"

	"github.com/sunaba-dev/sunaba/internal/fault"
)

var (
	validName   = regexp.MustCompile(`\A/?[a-zA-Z0-9_.-]+(/[a-zA-Z0-9_.-]+)*\z`)
	validPath   = regexp.MustCompile(`\A/([a-zA-Z0-9_.-]+/)*([a-zA-Z0-9_.-]+)?\z`)
	maxResource = 1011 // characters of a parameter's ARN
)

// checkNew refuses what a new parameter cannot be called. Source: API reference of PutParameter, and the messages of the service.
func checkNew(s Scope, name string) error {
	lower := strings.ToLower(strings.TrimPrefix(name, "/"))
	path := strings.Count(name, "/") > 1
	switch {
	case strings.HasPrefix(name, "arn:"):
		return fault.New(fault.Validation, "Parameter name: can't be an ARN. Use the name of the parameter itself.")
	case path && strings.HasPrefix(lower, "aws"):
		return fault.New(fault.AccessDenied, "No access to reserved parameter name: %s.", clip(name))
	case strings.HasPrefix(lower, "aws") && !path, strings.HasPrefix(lower, "ssm") && !path:
		return fault.New(fault.Validation, `Parameter name: can't be prefixed with "aws" or "ssm" (case-insensitive).`)
	case strings.HasPrefix(lower, "ssm"), !validName.MatchString(name):
		return fault.New(fault.Validation, `Parameter name: can't be prefixed with "ssm" (case-insensitive). If formed as a path, it can consist of sub-paths divided by slash symbol; `+
			`each sub-path can be formed as a mix of letters, numbers and the following 3 symbols .-_`)
	case strings.Contains(name, "/") && name[0] != '/':
		return fault.New(fault.Validation, "Parameter name must be a fully qualified name.")
	case strings.Count(name, "/") > MaxLevels:
		return fault.New(LevelLimitExceeded, "A parameter hierarchy can have a maximum of %d levels, and this one has %d.", MaxLevels, strings.Count(name, "/"))
	case len(ResourceOf(s, name)) > maxResource:
		return fault.New(fault.Validation, "Parameter name: with its ARN it has %d characters, and can have at most %d.", len(ResourceOf(s, name)), maxResource)
	}
	return nil
}

// checkPath refuses what is not a level of the hierarchy, and returns the prefix of the names below it.
func checkPath(path string) (prefix string, err error) {
	if !validPath.MatchString(path) {
		return "", fault.New(fault.Validation, `The parameter doesn't meet the parameter name requirements. The parameter name must begin with a forward slash "/". It can't be prefixed with "aws" or "ssm" `+
			`(case-insensitive). It must use only letters, numbers, or the following symbols: . (period), - (hyphen), _ (underscore). Special characters are not allowed. `+
			`All sub-paths, if specified, must use the forward slash symbol "/". Valid example: /get/parameters2-/by1./path0_.`)
	}
	if !strings.HasSuffix(path, "/") {
		path += "/"
	}
	return path, nil
}

// ResourceOf returns the ARN of a name; a leading slash of the name is that after "parameter".
func ResourceOf(s Scope, name string) string {
	return "arn:aws:ssm:" + s.Region + ":" + s.Account + ":parameter/" + strings.TrimPrefix(name, "/")
}

// Reference is a parameter as clients name it: a name or an ARN, perhaps with a version or a label after a colon.
type Reference struct {
	Scope
	Name     string
	either   string // the other name that an ARN can mean: those of "x" and "/x" are the same
	Selector string // ":3", ":label", or ""
}

// ARN is what policies see, whether there is such a parameter or not.
func (r Reference) ARN() string { return ResourceOf(r.Scope, r.Name) }

// Parse reads a reference. Spaces around it are removed, as the service does. A text that is neither, and an ARN of another service or region, is a ValidationException.
func Parse(s Scope, text string) (Reference, error) {
	r := Reference{Scope: s, Name: strings.TrimSpace(text)}
	if strings.HasPrefix(r.Name, "arn:") {
		fields := strings.SplitN(r.Name, ":", 6)
		if len(fields) != 6 || fields[2] != "ssm" || fields[3] != s.Region || !strings.HasPrefix(fields[5], "parameter/") {
			return r, fault.New(fault.Validation, "Invalid ARN: it is not that of a parameter in %s.", s.Region)
		}
		r.Account, r.Name = fields[4], strings.TrimPrefix(fields[5], "parameter")
	}
	name, selector, selected := strings.Cut(r.Name, ":")
	if selected {
		r.Name, r.Selector = name, ":"+selector
	}
	if selected && (selector == "" || strings.Contains(selector, ":") || len(selector) > 100) || !validName.MatchString(r.Name) {
		return r, fault.New(fault.Validation, "Invalid parameter name or selector: a name has letters, numbers and the symbols .-_ in sub-paths divided by slashes, and after a colon a version or a label.")
	}
	if fromARN := strings.HasPrefix(strings.TrimSpace(text), "arn:"); fromARN && strings.Count(r.Name, "/") == 1 {
		r.either = strings.TrimPrefix(r.Name, "/")
	}
	return r, nil
}

// choose returns the version that the selector means, or the latest.
func (r Reference) choose(p *Parameter) (*Version, error) {
	if r.Selector == "" {
		return p.Last(), nil
	}
	selector := r.Selector[1:]
	if n, err := strconv.ParseInt(selector, 10, 64); err == nil {
		if v := p.version(n); v != nil {
			return v, nil
		}
		return nil, noVersion(n, p.Name)
	}
	if v := p.labelled(selector); v != nil {
		return v, nil
	}
	return nil, fault.New(VersionNotFound, "Systems Manager could not find the label %s of %s. Verify the label and try again.", clip(selector), p.Name)
}

func noVersion(n int64, name string) error {
	return fault.New(VersionNotFound, "Systems Manager could not find version %d of %s. Verify the version and try again.", n, name)
}

func (p *Parameter) version(n int64) *Version {
	for i := range p.Versions {
		if p.Versions[i].Number == n {
			return &p.Versions[i]
		}
	}
	return nil
}

// clip keeps a hostile name from filling answers and logs.
func clip(s string) string {
	if len(s) > 256 {
		return s[:256] + "..."
	}
	return s
}

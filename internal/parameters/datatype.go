package parameters

import (
	"encoding/base64"
	"encoding/json"
	"maps"
	"net/mail"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/sunaba-dev/sunaba/internal/fault"
)

func matching(pattern string) func(string) bool {
	return regexp.MustCompile(`\A(?:` + pattern + `)\z`).MatchString
}

// dataTypes are the data types and what their values must be. Source of the names: API reference of PutParameter (jsonc is not among them here). Whether an image exists is not asked: there is no EC2.
var dataTypes = map[string]func(string) bool{
	"text":                func(string) bool { return true },
	"aws:ec2:image":       matching(`ami-[0-9a-zA-Z]{8,17}`),
	"aws:ssm:integration": func(v string) bool { return json.Valid([]byte(v)) },
	"aws:region":          matching(`([a-z]+-)+[0-9]+`),
	"aws:account:id":      matching(`[0-9]{12}`),
	"boolean":             matching(`true|false`),
	"integer":             matching(`[+-]?[0-9]+`),
	"float":               func(v string) bool { _, err := strconv.ParseFloat(v, 64); return err == nil },
	"binary":              func(v string) bool { _, err := base64.StdEncoding.DecodeString(v); return err == nil },
	"hostname":            matching(`[a-zA-Z0-9]([a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?(\.[a-zA-Z0-9]([a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?)*`),
	"email":               func(v string) bool { a, err := mail.ParseAddress(v); return err == nil && a.Address == v },
	"ipv4-address":        func(v string) bool { a, err := netip.ParseAddr(v); return err == nil && a.Is4() },
	"ipv6-address":        func(v string) bool { a, err := netip.ParseAddr(v); return err == nil && a.Is6() },
	"url":                 func(v string) bool { u, err := url.Parse(v); return err == nil && u.Scheme != "" && u.Host != "" },
	"json":                func(v string) bool { return json.Valid([]byte(v)) },
}

// checkDataType checks a value against a data type. The message does not repeat the value.
func checkDataType(name string, t Type, value string) error {
	valid, known := dataTypes[name]
	switch {
	case !known:
		return fault.New(fault.Validation, "The following data type is not supported: %s (Data type names are all lowercase.) Supported here are: %s.",
			clip(name), strings.Join(slices.Sorted(maps.Keys(dataTypes)), ", "))
	case name == "aws:ssm:integration" && t != SecureString:
		return fault.New(fault.Validation, "The data type aws:ssm:integration is for parameters of the type SecureString.")
	case !valid(value):
		return fault.New(fault.Validation, "The parameter value is not valid for the data type %s.", name)
	}
	return nil
}

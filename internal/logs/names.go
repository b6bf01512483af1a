package logs

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/sunaba-dev/sunaba/internal/fault"
)

// The rules of names and values. Source: the botocore model of logs.
const (
	maxNameLength = 512
	groupPattern  = `[\.\-_/#A-Za-z0-9]+`
	streamPattern = `[^:*]*`
	keyPattern    = `^([\p{L}\p{Z}\p{N}_.:/=+\-@]+)$`
	valuePattern  = `^([\p{L}\p{Z}\p{N}_.:/=+\-@]*)$`
	maxTags       = 50
)

var (
	groupRule  = whole(groupPattern)
	streamRule = whole(streamPattern)
	keyRule    = whole(keyPattern)
	valueRule  = whole(valuePattern)
)

func whole(pattern string) *regexp.Regexp { return regexp.MustCompile(`\A(?:` + pattern + `)\z`) }

// Invalid is what the service says of a value that breaks a rule of its model, in AWS's words. An empty value is said to be null where it may not be empty.
func Invalid(field, value, format string, args ...any) error {
	said := "'" + clip(value) + "'"
	rule := fmt.Sprintf(format, args...)
	if value == "" && rule == notNull {
		said = "null"
	}
	return fault.New(InvalidParameter, "1 validation error detected: Value %s at '%s' failed to satisfy constraint: %s", said, field, rule)
}

const notNull = "Member must not be null"

// clip keeps a hostile value from filling the answer.
func clip(s string) string {
	if len(s) > 128 {
		return strings.ToValidUTF8(s[:128], "") + "..."
	}
	return s
}

func invalid(format string, args ...any) error { return fault.New(InvalidParameter, format, args...) }

func checkName(field, name string, limit int, rule *regexp.Regexp, pattern string) error {
	switch n := utf8.RuneCountInString(name); {
	case n == 0:
		return Invalid(field, "", notNull)
	case n > limit:
		return Invalid(field, name, "Member must have length less than or equal to %d", limit)
	case !rule.MatchString(name):
		return Invalid(field, name, "Member must satisfy regular expression pattern: %s", pattern)
	}
	return nil
}

func checkGroupName(field, name string) error {
	return checkName(field, name, maxNameLength, groupRule, groupPattern)
}

func checkStreamName(field, name string) error {
	return checkName(field, name, maxNameLength, streamRule, streamPattern)
}

func checkTags(tags map[string]string) error {
	if len(tags) > maxTags {
		return Invalid("tags", "", "Member must have length less than or equal to %d", maxTags)
	}
	for k, v := range tags {
		if err := checkName("tags", k, 128, keyRule, keyPattern); err != nil {
			return err
		}
		if utf8.RuneCountInString(v) > 256 || !valueRule.MatchString(v) {
			return Invalid("tags."+clip(k)+".member", v, "Member must have length less than or equal to 256 and satisfy regular expression pattern: %s", valuePattern)
		}
		if strings.HasPrefix(strings.ToLower(k), "aws:") {
			return invalid("aws: prefixed tag key names are not allowed for external use.")
		}
	}
	return nil
}

// retentions are the days that a retention may have.
var retentions = []int{1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653}

// Retentions returns the days that a retention may have, in order.
func Retentions() []int { return slices.Clone(retentions) }

func checkRetention(days int) error {
	if slices.Contains(retentions, days) {
		return nil
	}
	return Invalid("retentionInDays", fmt.Sprint(days), "Member must satisfy enum value set: %s", strings.ReplaceAll(fmt.Sprint(retentions), " ", ", "))
}

// GroupARN is the ARN of a group without the :* at the end, as tagging and policies about tagging have it.
func GroupARN(s Scope, name string) string {
	return "arn:aws:logs:" + s.Region + ":" + s.Account + ":log-group:" + name
}

// StreamARN is the ARN of a stream. With an empty stream it is what AWS's policies match for operations on the group as a whole: "arn:aws:logs:R:A:log-group:NAME:*" allows it.
func StreamARN(s Scope, group, stream string) string {
	return GroupARN(s, group) + ":log-stream:" + stream
}

// GroupOf returns the name of the group that an identifier means, which is its name or its ARN with or without :* at the end. An ARN of another account or region is a group that does not exist.
func GroupOf(s Scope, field, identifier string) (string, error) {
	if !strings.HasPrefix(identifier, "arn:") {
		return identifier, checkGroupName(field, identifier)
	}
	parts := strings.SplitN(identifier, ":", 7)
	if len(parts) < 7 || parts[2] != "logs" || parts[5] != "log-group" {
		return "", invalid("The specified ARN is not valid: %s", clip(identifier))
	}
	name := strings.TrimSuffix(parts[6], ":*")
	if err := checkGroupName(field, name); err != nil {
		return "", err
	}
	if parts[3] != s.Region || parts[4] != s.Account {
		return "", noGroup()
	}
	return name, nil
}

package s3

import (
	"net/url"
	"unicode/utf8"

	"github.com/sunaba-dev/sunaba/internal/fault"
)

// The limits of an object's tags. Source: Amazon S3 user guide, categorizing your objects using tags.
const (
	maxTags     = 10
	maxTagKey   = 128 // characters
	maxTagValue = 256
)

// checkTagging checks the tags that come with an object in the header x-amz-tagging, a query string. versitygw checks those that come as documents only.
func checkTagging(header string) error {
	if header == "" {
		return nil
	}
	tags, err := url.ParseQuery(header)
	if err != nil {
		return fault.New(codeInvalidArgument, "The header 'x-amz-tagging' shall be encoded as UTF-8 then URLEncoded URL query parameters without tag name duplicates.").With(err)
	}
	if len(tags) > maxTags {
		return fault.New("BadRequest", "Object tags cannot be greater than %d", maxTags)
	}
	for key, values := range tags {
		switch {
		case len(values) > 1:
			return fault.New(codeInvalidArgument, "The header 'x-amz-tagging' shall be encoded as UTF-8 then URLEncoded URL query parameters without tag name duplicates.")
		case key == "" || utf8.RuneCountInString(key) > maxTagKey:
			return fault.New("InvalidTag", "The TagKey you have provided is invalid")
		case utf8.RuneCountInString(values[0]) > maxTagValue:
			return fault.New("InvalidTag", "The TagValue you have provided is invalid")
		}
	}
	return nil
}

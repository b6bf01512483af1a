package s3

import (
	"strings"
	"testing"

	"github.com/sunaba-dev/sunaba/internal/fault"
)

func TestTagsOfAHeader(t *testing.T) {
	ten := "a=&b=&c=&d=&e=&f=&g=&h=&i=&j=%C3%A9+x"
	for header, want := range map[string]fault.Code{
		"":                                   "",
		"a":                                  "",
		"a=b":                                "",
		ten:                                  "",
		ten + "&k=v":                         "BadRequest",
		"a=1&a=2":                            codeInvalidArgument,
		"a=%zz":                              codeInvalidArgument,
		"=v":                                 "InvalidTag",
		strings.Repeat("%C3%A9", 128) + "=":  "",
		strings.Repeat("k", 129) + "=":       "InvalidTag",
		"k=" + strings.Repeat("%C3%A9", 256): "",
		"k=" + strings.Repeat("v", 257):      "InvalidTag",
	} {
		err := checkTagging(header)
		if want == "" && err != nil || want != "" && !fault.Is(err, want) {
			t.Errorf("%.40q: %v, want %q", header, err, want)
		}
	}
}

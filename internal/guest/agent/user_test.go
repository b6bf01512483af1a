package agent

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/sunaba-dev/sunaba/internal/guest/proto"
)

const (
	testPasswd = "root:x:0:0:root:/root:/bin/sh\n# a comment:x:9:9::/:\nbroken\napp:x:1000:1001::/home/app:/bin/sh\n1000:x:5:5::/five:/bin/sh\nrelative:x:7:7::home:/bin/sh\nhuge:x:4294967295:1::/:/bin/sh\n"
	testGroup  = "root:x:0:\napp:x:1001:\nextra:x:44:app,relative\nmore:x:45:other,app\nodd:x:x:app\nshort:x:46\n"
)

func TestParseAccount(t *testing.T) {
	for spec, want := range map[string]string{
		"":            "root 0:0 [] /root",
		"root":        "root 0:0 [] /root",
		"0":           "root 0:0 [] /root",
		"app":         "app 1000:1001 [44 45] /home/app",
		"app:":        "app 1000:1001 [44 45] /home/app",
		"app:extra":   "app 1000:44 [] /home/app",
		"app:77":      "app 1000:77 [] /home/app",
		"app:short":   "app 1000:46 [] /home/app",
		"1000":        "1000 5:5 [] /five", // the name wins over the number
		"1234":        " 1234:0 [] /",
		"1234:4321":   " 1234:4321 [] /",
		":extra":      "root 0:44 [] /root",
		"relative":    "relative 7:7 [44] /",
		"7":           "relative 7:7 [44] /",
		"nobody":      "NotFound",
		"huge":        "NotFound",
		"-1":          "NotFound",
		"4294967295":  "NotFound",
		"99999999999": "NotFound",
		"app:nobody":  "NotFound",
		"broken":      "NotFound",
		"root\x00":    "NotFound",
	} {
		a, err := parseAccount(spec, testPasswd, testGroup)
		got := fmt.Sprintf("%s %d:%d %v %s", a.name, a.uid, a.gid, a.groups, a.home)
		if e, ok := errors.AsType[*proto.Error](err); ok {
			got = string(e.Code)
		}
		check(t, fmt.Sprintf("%q", spec), got, want)
	}
	if a, err := parseAccount("", "", ""); err != nil || a.uid != 0 || a.home != "/" {
		t.Errorf("an image without accounts: %+v, %v", a, err)
	}
}

func TestAccountInTooManyGroups(t *testing.T) {
	var group strings.Builder
	for i := range 70_000 {
		fmt.Fprintf(&group, "g%d:x:%d:app\n", i, i)
	}
	a, err := parseAccount("app", testPasswd, group.String())
	if err != nil || len(a.groups) != maxGroups {
		t.Errorf("%d groups, %v", len(a.groups), err)
	}
}

// The files come with an image of anybody's making: whatever is in them, nobody gets an id that means something else to the kernel.
func FuzzParseAccount(f *testing.F) {
	f.Add("app:extra", testPasswd, testGroup)
	f.Add("", "", "")
	f.Add("0:0", "root:x:-1:0::/:", "root:x:+0:")
	f.Fuzz(func(t *testing.T, spec, passwd, group string) {
		a, err := parseAccount(spec, passwd, group)
		if err != nil {
			return
		}
		for _, n := range append(a.groups, a.uid, a.gid) {
			if n >= 1<<31-1 {
				t.Errorf("%q becomes %+v", spec, a)
			}
		}
		if !strings.HasPrefix(a.home, "/") || len(a.groups) > maxGroups {
			t.Errorf("%q becomes %+v", spec, a)
		}
	})
}

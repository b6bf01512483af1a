package resourceid

import (
	"regexp"
	"testing"
)

func TestIDs(t *testing.T) {
	form, seen := regexp.MustCompile(`^agent-[a-zA-Z0-9]{10}$`), map[string]bool{}
	for range 1000 {
		id := New("agent")
		if !form.MatchString(id) || seen[id] {
			t.Fatalf("%q is of another form, or came twice", id)
		}
		seen[id] = true
	}
}

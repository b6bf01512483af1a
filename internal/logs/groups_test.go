package logs_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/sunaba-dev/sunaba/internal/fault"
	"github.com/sunaba-dev/sunaba/internal/logs"
)

func TestGroupsLiveAndAreFound(t *testing.T) {
	s := open(t)
	for _, name := range []string{"/b/two", "/a/one", "/b/one", "Other"} {
		must(t, s.CreateGroup(t.Context(), logs.Group{Scope: scope, Name: name, Tags: map[string]string{"name": name}}))
	}
	must(t, s.CreateGroup(t.Context(), logs.Group{Scope: logs.Scope{Account: "444455556666", Region: "us-west-2"}, Name: "/b/foreign"}))
	s.reopen()
	find := func(q logs.GroupQuery, want string) {
		t.Helper()
		var names []string
		for p := (logs.Page{Limit: 1}); ; {
			groups, next, err := s.Groups(t.Context(), scope, q, p)
			must(t, err)
			for _, g := range groups {
				names = append(names, g.Name)
			}
			if p.Token = next; next == "" {
				break
			}
		}
		if got := strings.Join(names, " "); got != want {
			t.Errorf("%+v: %q, want %q", q, got, want)
		}
	}
	find(logs.GroupQuery{}, "/a/one /b/one /b/two Other")
	find(logs.GroupQuery{Prefix: "/b"}, "/b/one /b/two")
	find(logs.GroupQuery{Contains: "one"}, "/a/one /b/one")
	find(logs.GroupQuery{Names: []string{"Other", "none"}}, "Other")
	find(logs.GroupQuery{Class: logs.InfrequentAccess}, "")
	g, err := s.Group(t.Context(), scope, "/a/one")
	if err != nil || g.ARN() != "arn:aws:logs:us-west-2:111122223333:log-group:/a/one:*" || g.Tags["name"] != "/a/one" || g.Created != s.clock.millis() {
		t.Errorf("group %+v, error %v", g, err)
	}
	wantCode(t, s.CreateGroup(t.Context(), logs.Group{Scope: scope, Name: "/a/one"}), logs.AlreadyExists, "The specified log group already exists")
	must(t, s.SetProtection(t.Context(), scope, "/a/one", true))
	wantCode(t, s.DeleteGroup(t.Context(), scope, "/a/one"), fault.Validation, "protected")
	must(t, s.SetProtection(t.Context(), scope, "/a/one", false))
	must(t, s.DeleteGroup(t.Context(), scope, "/a/one"))
	wantCode(t, s.DeleteGroup(t.Context(), scope, "/a/one"), logs.NotFound, "The specified log group does not exist.")
	find(logs.GroupQuery{}, "/b/one /b/two Other")
	for _, p := range []logs.Page{{Token: "***"}, {Limit: -1}, {Limit: 51}} {
		_, _, err := s.Groups(t.Context(), scope, logs.GroupQuery{}, p)
		wantCode(t, err, logs.InvalidParameter, "")
	}
	_, _, err = s.Groups(t.Context(), scope, logs.GroupQuery{Prefix: "a", Contains: "b"}, logs.Page{})
	wantCode(t, err, logs.InvalidParameter, "mutually exclusive")
}

func TestTags(t *testing.T) {
	s := open(t)
	s.create()
	must(t, s.Tag(t.Context(), scope, group, map[string]string{"a": "1", "b": "2"}))
	must(t, s.Tag(t.Context(), scope, group, map[string]string{"b": "3"}))
	must(t, s.Untag(t.Context(), scope, group, []string{"a", "none"}))
	g, err := s.Group(t.Context(), scope, group)
	if err != nil || len(g.Tags) != 1 || g.Tags["b"] != "3" {
		t.Errorf("tags %v, error %v", g.Tags, err)
	}
	many := map[string]string{}
	for i := range 50 {
		many[fmt.Sprint("k", i)] = ""
	}
	wantCode(t, s.Tag(t.Context(), scope, group, many), logs.TooManyTags, "")
	for _, bad := range []map[string]string{{"": "x"}, {"a": "\x00"}, {"aws:x": "y"}, {strings.Repeat("k", 129): ""}, {"a": strings.Repeat("v", 257)}} {
		wantCode(t, s.Tag(t.Context(), scope, group, bad), logs.InvalidParameter, "")
	}
}

// A name must not reach out of its folder, and the folder of a group has none of its name.
func TestAttackNamesWithPaths(t *testing.T) {
	s := open(t)
	for _, name := range []string{"../../etc", "..", "/", "a/../../b"} {
		must(t, s.CreateGroup(t.Context(), logs.Group{Scope: scope, Name: name}))
		must(t, s.CreateStream(t.Context(), scope, name, "../../x"))
		_, err := s.Put(t.Context(), scope, name, "../../x", []logs.Entry{{Time: s.clock.millis(), Message: name}})
		must(t, err)
	}
	entries, err := os.ReadDir(filepath.Dir(s.dir))
	must(t, err)
	if len(entries) != 1 {
		t.Errorf("there is more than the store: %v", entries)
	}
	for _, name := range []string{"", strings.Repeat("x", 513), "a b", "a:b", "a*", "a\n", "ä"} {
		wantCode(t, s.CreateGroup(t.Context(), logs.Group{Scope: scope, Name: name}), logs.InvalidParameter, "'logGroupName' failed to satisfy constraint")
	}
	for _, name := range []string{"", strings.Repeat("x", 513), "a:b", "a*"} {
		wantCode(t, s.CreateStream(t.Context(), scope, "..", name), logs.InvalidParameter, "'logStreamName' failed to satisfy constraint")
	}
}

func TestDeletedGroupFreesItsSpace(t *testing.T) {
	s := open(t)
	s.create("s")
	s.bulk("s", s.clock.millis(), 13)
	if files, bytes := s.segments(); files < 3 || bytes < 13_000_000 {
		t.Fatalf("%d files with %d bytes", files, bytes)
	}
	must(t, s.DeleteGroup(t.Context(), scope, group))
	if files, _ := s.segments(); files != 0 {
		t.Errorf("%d files are left", files)
	}
	s.create("s")
	s.wants(logs.FilterQuery{}, "")
	s.put("s", s.clock.millis(), "new")
	s.reopen()
	s.wants(logs.FilterQuery{}, "new")
}

func TestDeletedStreamFreesItsSpace(t *testing.T) {
	s := open(t)
	s.create("a", "b")
	now := s.clock.millis()
	for i := range 6 {
		s.bulk("a", now+int64(i)*1000, 1)
		s.put("b", now+int64(i)*1000, fmt.Sprint("b", i))
	}
	must(t, s.DeleteStream(t.Context(), scope, group, "a"))
	if _, bytes := s.segments(); bytes > 1000 {
		t.Errorf("%d bytes are left", bytes)
	}
	s.wants(logs.FilterQuery{}, "b0 b1 b2 b3 b4 b5")
	must(t, s.CreateStream(t.Context(), scope, group, "a"))
	s.put("a", now+6000, "new")
	s.reopen()
	s.wants(logs.FilterQuery{}, "b0 b1 b2 b3 b4 b5 new")
	wantCode(t, s.DeleteStream(t.Context(), scope, group, "none"), logs.NotFound, "The specified log stream does not exist.")
}

func TestStreamsAreListedInBothOrders(t *testing.T) {
	s := open(t)
	s.create("a", "b1", "b2", "never")
	now := s.clock.millis()
	s.put("b1", now, "x")
	s.put("a", now+5, "x", "y")
	s.put("b2", now+2, "x")
	list := func(q logs.StreamQuery, want string) {
		t.Helper()
		var names []string
		for p := (logs.Page{Limit: 1}); ; {
			streams, next, err := s.Streams(t.Context(), scope, group, q, p)
			must(t, err)
			for _, st := range streams {
				names = append(names, st.Name)
			}
			if p.Token = next; next == "" {
				break
			}
		}
		if got := strings.Join(names, " "); got != want {
			t.Errorf("%+v: %q, want %q", q, got, want)
		}
	}
	for range 2 {
		list(logs.StreamQuery{}, "a b1 b2 never")
		list(logs.StreamQuery{Descending: true}, "never b2 b1 a")
		list(logs.StreamQuery{Prefix: "b"}, "b1 b2")
		list(logs.StreamQuery{Order: logs.ByLastEvent}, "never b1 b2 a")
		list(logs.StreamQuery{Order: logs.ByLastEvent, Descending: true}, "a b2 b1 never")
		s.reopen()
	}
	streams, _, err := s.Streams(t.Context(), scope, group, logs.StreamQuery{}, logs.Page{})
	must(t, err)
	want := logs.Stream{Name: "a", Created: now, FirstEvent: now + 5, LastEvent: now + 5, LastIngestion: now, StoredBytes: 54}
	if !slices.Contains(streams, want) {
		t.Errorf("%+v has no %+v", streams, want)
	}
	_, _, err = s.Streams(t.Context(), scope, group, logs.StreamQuery{Prefix: "b", Order: logs.ByLastEvent}, logs.Page{})
	wantCode(t, err, logs.InvalidParameter, "Cannot order by LastEventTime with a logStreamNamePrefix.")
	_, _, err = s.Streams(t.Context(), scope, group, logs.StreamQuery{Order: "x"}, logs.Page{})
	wantCode(t, err, logs.InvalidParameter, "orderBy")
	_, _, err = s.Streams(t.Context(), scope, group, logs.StreamQuery{}, logs.Page{Token: "!"})
	wantCode(t, err, logs.InvalidParameter, "nextToken")
	wantCode(t, s.CreateStream(t.Context(), scope, group, "a"), logs.AlreadyExists, "The specified log stream already exists")
}

package parameters_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/sunaba-dev/sunaba/internal/fault"
	"github.com/sunaba-dev/sunaba/internal/parameters"
)

func hierarchy(t *testing.T) *bench {
	b := newBench(t)
	for _, name := range []string{"/a/b/c", "/a/b/d", "/a/bb", "/a/x/y/z", "/ab", "plain"} {
		b.put(name, "v of "+name)
	}
	b.put("/a/pw", "hidden", secure)
	_, _, err := b.Label(t.Context(), b.ref("/a/bb"), 1, []string{"old"})
	b.must(err)
	b.put("/a/bb", "newer")
	b.must(b.Tag(t.Context(), b.ref("/a/bb"), map[string]string{"team": "red"}))
	b.must(b.Tag(t.Context(), b.ref("/ab"), map[string]string{"team": "blue"}))
	b.put("/adv", "x", func(in *parameters.Put) { in.Tier = parameters.Advanced })
	return b
}

func names[T any](list []T, name func(T) string) string {
	var all []string
	for _, x := range list {
		all = append(all, name(x))
	}
	return strings.Join(all, " ")
}

func foundName(f parameters.Found) string { return f.Parameter.Name }

func TestByPath(t *testing.T) {
	b := hierarchy(t)
	filter := func(key, option string, values ...string) []parameters.Filter {
		return []parameters.Filter{{Key: key, Option: option, Values: values}}
	}
	for _, c := range []struct {
		path      string
		recursive bool
		filters   []parameters.Filter
		want      string
	}{
		{"/a", false, nil, "/a/bb /a/pw"},
		{"/a/", false, nil, "/a/bb /a/pw"},
		{"/a", true, nil, "/a/b/c /a/b/d /a/bb /a/pw /a/x/y/z"},
		{"/a/b", true, nil, "/a/b/c /a/b/d"},
		{"/a/x", false, nil, ""},
		{"/", false, nil, "/ab /adv plain"},
		{"/", true, nil, "/a/b/c /a/b/d /a/bb /a/pw /a/x/y/z /ab /adv plain"},
		{"/none", true, nil, ""},
		{"/a", true, filter("Type", "Equals", "SecureString"), "/a/pw"},
		{"/a", true, filter("Type", "BeginsWith", "St"), "/a/b/c /a/b/d /a/bb /a/x/y/z"},
		{"/a", true, filter("KeyId", "", "alias/aws/ssm"), "/a/pw"},
		{"/a", true, filter("Label", "", "old"), "/a/bb"},
	} {
		for limit := 1; limit <= 10; limit += 3 {
			in := parameters.ByPath{Scope: here, Path: c.path, Recursive: c.recursive, Filters: c.filters, Page: parameters.Page{Limit: limit}}
			var got []parameters.Found
			for {
				page, next, err := b.ByPath(t.Context(), in)
				b.must(err)
				if len(page) > limit || next != "" && len(page) < limit {
					t.Errorf("a page of %d with limit %d, next %q", len(page), limit, next)
				}
				got = append(got, page...)
				if in.Page.Token = next; next == "" {
					break
				}
			}
			if names(got, foundName) != c.want {
				t.Errorf("%+v by %d: %q", c, limit, names(got, foundName))
			}
		}
	}
	labelled, _, err := b.ByPath(t.Context(), parameters.ByPath{Scope: here, Path: "/a", Filters: filter("Label", "", "old"), Page: parameters.Page{Limit: 10}})
	b.must(err)
	if len(labelled) != 1 || labelled[0].Value != "v of /a/bb" || labelled[0].Selector != ":old" || labelled[0].Version.Number != 1 {
		t.Errorf("%+v", labelled)
	}
	for _, decrypt := range []bool{true, false} {
		page, _, err := b.ByPath(t.Context(), parameters.ByPath{Scope: here, Path: "/a", Decrypt: decrypt, Page: parameters.Page{Limit: 10}})
		b.must(err)
		if (page[1].Value == "hidden") != decrypt {
			t.Error(decrypt, page[1].Value)
		}
	}
	other, _, err := b.ByPath(t.Context(), parameters.ByPath{Scope: parameters.Scope{Account: "444455556666", Region: here.Region}, Path: "/", Recursive: true, Page: parameters.Page{Limit: 10}})
	if err != nil || len(other) > 0 {
		t.Error("another account's:", other, err)
	}
	for _, path := range []string{"", "a", "/a//b", "/a b", "/a:1"} {
		_, _, err := b.ByPath(t.Context(), parameters.ByPath{Scope: here, Path: path, Page: parameters.Page{Limit: 10}})
		b.fails(err, fault.Validation, `The parameter name must begin with a forward slash "/".`)
	}
	_, _, err = b.ByPath(t.Context(), parameters.ByPath{Scope: here, Path: "/", Page: parameters.Page{Limit: 10, Token: "%"}})
	b.fails(err, parameters.InvalidNextToken, "")
}

func TestDescribe(t *testing.T) {
	b := hierarchy(t)
	for _, c := range []struct {
		key, option string
		values      []string
		want        string
	}{
		{"Name", "", []string{"/ab", "plain"}, "/ab plain"},
		{"Name", "BeginsWith", []string{"/a/b"}, "/a/b/c /a/b/d /a/bb"},
		{"Name", "BeginsWith", []string{"a/bb"}, "/a/bb"},
		{"Name", "Contains", []string{"/y/"}, "/a/x/y/z"},
		{"Path", "", []string{"/a"}, "/a/bb /a/pw"},
		{"Path", "Recursive", []string{"/a/b", "/a/x"}, "/a/b/c /a/b/d /a/x/y/z"},
		{"Type", "", []string{"SecureString"}, "/a/pw"},
		{"Tier", "", []string{"Advanced"}, "/adv"},
		{"DataType", "", []string{"text"}, "/a/b/c /a/b/d /a/bb /a/pw /a/x/y/z /ab /adv plain"},
		{"KeyId", "BeginsWith", []string{"alias/"}, "/a/pw"},
		{"tag:team", "", []string{"red"}, "/a/bb"},
		{"tag:team", "", nil, "/a/bb /ab"},
	} {
		page, _, err := b.Describe(t.Context(), here, []parameters.Filter{{Key: c.key, Option: c.option, Values: c.values}}, parameters.Page{Limit: 50})
		b.must(err)
		if got := names(page, func(p parameters.Parameter) string { return p.Name }); got != c.want {
			t.Errorf("%+v: %q", c, got)
		}
	}
	page, _, err := b.Describe(t.Context(), here, []parameters.Filter{{Key: "Path", Values: []string{"/a"}}, {Key: "Type", Values: []string{"String"}}}, parameters.Page{Limit: 50})
	b.must(err)
	if len(page) != 1 || page[0].Last().Number != 2 {
		t.Errorf("%+v", page)
	}
	for _, c := range []struct {
		filters []parameters.Filter
		code    fault.Code
		message string
	}{
		{[]parameters.Filter{{Key: "Label", Values: []string{"x"}}}, parameters.InvalidFilterKey, "The following filter key is not valid: Label. Valid filter keys include: [Path, Name, Type, KeyId, Tier, DataType]."},
		{[]parameters.Filter{{Key: "Name", Values: []string{"x"}}, {Key: "Name", Values: []string{"y"}}}, parameters.InvalidFilterKey, "duplicated"},
		{[]parameters.Filter{{Key: "Name", Option: "Like", Values: []string{"x"}}}, parameters.InvalidFilterOption, "[Equals, BeginsWith, Contains]"},
		{[]parameters.Filter{{Key: "Name"}}, parameters.InvalidFilterValue, "The following filter values are missing : null for filter key Name"},
		{[]parameters.Filter{{Key: "Type", Values: []string{"Blob"}}}, parameters.InvalidFilterValue, "[String, StringList, SecureString]"},
		{[]parameters.Filter{{Key: "Path", Values: []string{"a"}}}, fault.Validation, "forward slash"},
	} {
		_, _, err := b.Describe(t.Context(), here, c.filters, parameters.Page{Limit: 50})
		b.fails(err, c.code, c.message)
	}
	_, _, err = b.ByPath(t.Context(), parameters.ByPath{Scope: here, Path: "/", Filters: []parameters.Filter{{Key: "tag:team"}}, Page: parameters.Page{Limit: 10}})
	b.fails(err, parameters.InvalidFilterKey, "[Type, KeyId, Label]")
}

func TestHistory(t *testing.T) {
	b := newBench(t)
	for i := range 5 {
		b.put("/x", fmt.Sprint(i+1), secure)
	}
	var got []string
	p := parameters.Page{Limit: 2}
	for {
		page, next, err := b.History(t.Context(), b.ref("/x"), true, p)
		b.must(err)
		got = append(got, names(page, func(f parameters.Found) string { return f.Value }))
		if p.Token = next; next == "" {
			break
		}
	}
	if strings.Join(got, "|") != "1 2|3 4|5" {
		t.Error(got)
	}
	_, _, err := b.History(t.Context(), b.ref("/none"), true, parameters.Page{Limit: 2})
	b.fails(err, parameters.NotFound, "")
	for _, token := range []string{"%", "eHh4"} {
		_, _, err = b.History(t.Context(), b.ref("/x"), true, parameters.Page{Limit: 2, Token: token})
		b.fails(err, parameters.InvalidNextToken, "")
	}
}

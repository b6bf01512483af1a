package parameters_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sunaba-dev/sunaba/internal/fault"
	"github.com/sunaba-dev/sunaba/internal/parameters"
	"github.com/sunaba-dev/sunaba/internal/sealed"
	"github.com/sunaba-dev/sunaba/internal/store"
)

var here = parameters.Scope{Account: "111122223333", Region: "us-west-2"}

type bench struct {
	*parameters.Service
	t  *testing.T
	db *store.DB
}

func newBench(t *testing.T) *bench {
	t.Helper()
	db, err := store.Open(t.Context(), filepath.Join(t.TempDir(), "store.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	key, err := sealed.NewKey(bytes.Repeat([]byte{7}, 32))
	if err != nil {
		t.Fatal(err)
	}
	now := time.Date(2026, 1, 2, 3, 4, 5, 678912345, time.UTC)
	return &bench{parameters.New(parameters.Options{Store: db, Seal: key, Now: func() time.Time { return now }}), t, db}
}

func (b *bench) must(err error) {
	b.t.Helper()
	if err != nil {
		b.t.Fatal(err)
	}
}

func (b *bench) fails(err error, code fault.Code, message string) {
	b.t.Helper()
	if !fault.Is(err, code) || !strings.Contains(fault.From(err).Message, message) {
		b.t.Errorf("got %v, want %s %q", err, code, message)
	}
}

// put makes a String, or a new version of what is there.
func (b *bench) put(name, value string, change ...func(*parameters.Put)) parameters.Version {
	b.t.Helper()
	v, err := b.try(name, value, change...)
	b.must(err)
	return v
}

func (b *bench) try(name, value string, change ...func(*parameters.Put)) (parameters.Version, error) {
	in := parameters.Put{Scope: here, Name: name, Value: value, Type: parameters.String, Overwrite: true, By: "arn:aws:iam::111122223333:root"}
	for _, c := range change {
		c(&in)
	}
	return b.Put(b.t.Context(), in)
}

func secure(in *parameters.Put) { in.Type = parameters.SecureString }

func once(in *parameters.Put) { in.Overwrite = false }

func (b *bench) ref(text string) parameters.Reference {
	b.t.Helper()
	r, err := parameters.Parse(here, text)
	b.must(err)
	return r
}

func (b *bench) get(text string) (parameters.Found, error) {
	b.t.Helper()
	return b.Get(b.t.Context(), b.ref(text), true)
}

func TestVersionsAndSelectors(t *testing.T) {
	b := newBench(t)
	for i, value := range []string{"one", "two", "three"} {
		if v := b.put("/app/db", value); v.Number != int64(i+1) || v.Tier != parameters.Standard {
			t.Errorf("%+v", v)
		}
	}
	_, _, err := b.Label(t.Context(), b.ref("/app/db"), 2, []string{"prod"})
	b.must(err)
	for selector, want := range map[string]string{"": "three", ":1": "one", ":3": "three", ":prod": "two"} {
		for _, name := range []string{"/app/db", "  /app/db", "arn:aws:ssm:us-west-2:111122223333:parameter/app/db"} {
			f, err := b.get(name + selector)
			b.must(err)
			if f.Value != want || f.Selector != selector || f.Parameter.Name != "/app/db" || f.Parameter.ARN() != "arn:aws:ssm:us-west-2:111122223333:parameter/app/db" {
				t.Errorf("%s%s: %+v", name, selector, f)
			}
		}
	}
	_, err = b.get("/app/db:4")
	b.fails(err, parameters.VersionNotFound, "Systems Manager could not find version 4 of /app/db. Verify the version and try again.")
	_, err = b.get("/app/db:dev")
	b.fails(err, parameters.VersionNotFound, "label dev of /app/db")
	_, err = b.get("/app/none")
	b.fails(err, parameters.NotFound, "Parameter /app/none not found.")
	_, err = b.get("app/db")
	b.fails(err, parameters.NotFound, "")
	_, err = b.try("/app/db", "four", once)
	b.fails(err, parameters.AlreadyExists, "The parameter already exists. To overwrite this value, set the overwrite option in the request to true.")
	b.must(b.Delete(t.Context(), b.ref("/app/db")))
	b.fails(b.Delete(t.Context(), b.ref("/app/db")), parameters.NotFound, "")
	if v := b.put("/app/db", "again"); v.Number != 1 {
		t.Error(v.Number)
	}
}

func TestNamesWithAndWithoutASlashHaveOneARN(t *testing.T) {
	b := newBench(t)
	b.put("plain", "one")
	f, err := b.get("arn:aws:ssm:us-west-2:111122223333:parameter/plain")
	b.must(err)
	if f.Value != "one" || f.Parameter.ARN() != "arn:aws:ssm:us-west-2:111122223333:parameter/plain" {
		t.Errorf("%+v", f)
	}
	b.put("/plain", "two")
	if f, err := b.get("arn:aws:ssm:us-west-2:111122223333:parameter/plain"); err != nil || f.Value != "two" {
		t.Errorf("%+v %v", f, err)
	}
	for _, name := range []string{"arn:aws:ssm:us-west-2:111122223333:parameter/plain", "arn:aws:ssm:us-west-2:111122223333:parameter/plain"} {
		b.must(b.Delete(t.Context(), b.ref(name)))
	}
	_, err = b.get("plain")
	b.fails(err, parameters.NotFound, "")
}

func TestNames(t *testing.T) {
	b := newBench(t)
	for _, c := range []struct {
		name    string
		code    fault.Code
		message string
	}{
		{"a", "", ""}, {"/a/b.c-d_e", "", ""}, {"/cdk-bootstrap/hnb659fds/version", "", ""}, {strings.Repeat("/a", 15), "", ""}, {" spaces ", "", ""}, {"/my/aws/x", "", ""},
		{strings.Repeat("/a", 16), parameters.LevelLimitExceeded, "maximum of 15 levels"},
		{"aws-x", fault.Validation, `can't be prefixed with "aws" or "ssm"`},
		{"/AWS", fault.Validation, `can't be prefixed with "aws" or "ssm"`},
		{"ssm", fault.Validation, `can't be prefixed with "aws" or "ssm"`},
		{"/aws/service/x", fault.AccessDenied, "No access to reserved parameter name: /aws/service/x."},
		{"/ssm/service/x", fault.Validation, `can't be prefixed with "ssm"`},
		{"a/b", fault.Validation, "Parameter name must be a fully qualified name."},
		{"/a//b", fault.Validation, "sub-path"}, {"/a/", fault.Validation, "sub-path"}, {"/", fault.Validation, "sub-path"}, {"a b", fault.Validation, "sub-path"},
		{"/a:1", fault.Validation, "sub-path"}, {"", fault.Validation, "sub-path"}, {"/é", fault.Validation, "sub-path"}, {"/a\n/b", fault.Validation, "sub-path"},
		{"arn:aws:ssm:us-west-2:111122223333:parameter/x", fault.Validation, "can't be an ARN"},
		{"/" + strings.Repeat("a", 1100), fault.Validation, "at most 1011"},
	} {
		_, err := b.try(c.name, "v")
		if c.code == "" {
			b.must(err)
			continue
		}
		b.fails(err, c.code, c.message)
	}
	if _, err := b.get("spaces"); err != nil {
		t.Error(err)
	}
	for _, text := range []string{"", "a b", "/a:", "/a:1:2", "arn:aws:ssm:us-east-1:111122223333:parameter/x", "arn:aws:s3:us-west-2:111122223333:parameter/x", "arn:aws:ssm:us-west-2:111122223333:document/x", "arn:",
		"/a:" + strings.Repeat("x", 101), "/a//b", "a\x00"} {
		_, err := parameters.Parse(here, text)
		b.fails(err, fault.Validation, "")
	}
}

func TestSecureStrings(t *testing.T) {
	b := newBench(t)
	const hidden = "hunter2-is-hidden"
	if v := b.put("/pw", hidden, secure); v.KeyID != "alias/aws/ssm" || bytes.Contains(v.Value, []byte(hidden)) {
		t.Errorf("%+v", v)
	}
	f, err := b.get("/pw")
	b.must(err)
	if f.Value != hidden {
		t.Error(f.Value)
	}
	f, err = b.Get(t.Context(), b.ref("/pw"), false)
	b.must(err)
	if raw, err := base64.StdEncoding.DecodeString(f.Value); err != nil || bytes.Contains(raw, []byte(hidden)) {
		t.Error(f.Value, err)
	}
	p, err := b.db.Parameter(t.Context(), here, "/pw")
	b.must(err)
	if bytes.Contains(p.Last().Value, []byte(hidden)) {
		t.Error("the store has the plain value")
	}
	b.put("/pw", "next", secure, func(in *parameters.Put) { in.Type, in.KeyID = "", "alias/mine" })
	if f, err = b.get("/pw"); err != nil || f.Version.Type != parameters.SecureString || f.Version.KeyID != "alias/mine" || f.Value != "next" {
		t.Errorf("%+v %v", f, err)
	}
	b.put("/pw", "plain now")
	if f, err = b.get("/pw"); err != nil || f.Version.KeyID != "" || f.Value != "plain now" {
		t.Errorf("%+v %v", f, err)
	}
	if f, err = b.get("/pw:1"); err != nil || f.Value != hidden {
		t.Errorf("%+v %v", f, err)
	}
}

func TestAttackSealedValueMovedToAnotherParameter(t *testing.T) {
	b := newBench(t)
	b.put("/theirs", "hidden", secure)
	p, err := b.db.Parameter(t.Context(), here, "/theirs")
	b.must(err)
	stolen := *p.Last()
	for _, name := range []string{"/mine", "/theirs"} {
		_, err = b.db.ChangeParameter(t.Context(), here, name, 10, func(p *parameters.Parameter) error {
			stolen.Number = int64(len(p.Versions) + 1)
			p.Versions = append(p.Versions, stolen)
			return nil
		})
		b.must(err)
		f, err := b.get(name)
		b.fails(err, parameters.InvalidKeyID, "can't be decrypted")
		if f.Value != "" {
			t.Error(f.Value)
		}
	}
}

func TestWhatPutRefuses(t *testing.T) {
	b := newBench(t)
	b.put("/adv", strings.Repeat("x", parameters.MaxAdvanced), func(in *parameters.Put) { in.Tier = parameters.Advanced })
	text := func(s string) *string { return &s }
	many := map[string]string{}
	for i := range parameters.MaxTags + 1 {
		many[fmt.Sprint(i)] = ""
	}
	const hidden = "hunter2"
	for name, c := range map[string]struct {
		change  func(*parameters.Put)
		code    fault.Code
		message string
	}{
		"no type":              {func(in *parameters.Put) { in.Type = "" }, fault.Validation, "A parameter type is required when you create a parameter."},
		"key of a String":      {func(in *parameters.Put) { in.KeyID = "k" }, fault.Validation, "KeyId is required for SecureString type parameter only."},
		"tags on overwrite":    {func(in *parameters.Put) { in.Tags = map[string]string{"a": "b"} }, fault.Validation, "tags and overwrite can't be used together"},
		"reserved tags":        {func(in *parameters.Put) { in.Overwrite, in.Tags = false, map[string]string{"aws:b": ""} }, fault.Validation, "reserved"},
		"many tags":            {func(in *parameters.Put) { in.Overwrite, in.Tags = false, many }, parameters.TooManyTags, "at most 50"},
		"nested":               {func(in *parameters.Put) { in.Value = hidden + "{{ssm:x}}" }, fault.Validation, "nest"},
		"policies":             {func(in *parameters.Put) { in.Policies = `[{"Type":"Expiration"}]` }, parameters.InvalidPolicyType, "no parameter policies"},
		"standard, too long":   {func(in *parameters.Put) { in.Value = hidden + strings.Repeat("x", 4096) }, fault.Validation, "Standard tier parameters support a maximum parameter value of 4096 characters."},
		"advanced, too long":   {func(in *parameters.Put) { in.Tier, in.Value = parameters.Intelligent, hidden+strings.Repeat("x", 8192) }, fault.Validation, "Advanced tier parameters support a maximum parameter value of 8192 characters."},
		"back to standard":     {func(in *parameters.Put) { in.Name, in.Tier = "/adv", parameters.Standard }, fault.Validation, "You can't downgrade a parameter"},
		"pattern":              {func(in *parameters.Put) { in.AllowedPattern = text(`\d+`) }, parameters.PatternMismatch, `Parameter value, cannot be validated against allowedPattern: \d+`},
		"not a pattern":        {func(in *parameters.Put) { in.AllowedPattern = text(`(`) }, parameters.InvalidPattern, "regular expression"},
		"pattern that escapes": {func(in *parameters.Put) { in.AllowedPattern = text(`)|(`) }, parameters.InvalidPattern, "regular expression"},
		"unknown data type":    {func(in *parameters.Put) { in.DataType = "aws:moon" }, fault.Validation, "The following data type is not supported: aws:moon"},
		"integration, no lock": {func(in *parameters.Put) { in.DataType, in.Value = "aws:ssm:integration", "{}" }, fault.Validation, "SecureString"},
	} {
		_, err := b.try("/x", hidden, c.change)
		b.fails(err, c.code, c.message)
		if err != nil && strings.Contains(err.Error(), hidden) {
			t.Errorf("%s: the value shows in %v", name, err)
		}
	}
	if _, err := b.get("/x"); !fault.Is(err, parameters.NotFound) {
		t.Error("a refused parameter is there:", err)
	}
}

func TestTiers(t *testing.T) {
	b := newBench(t)
	for _, c := range []struct {
		asked parameters.Tier
		size  int
		want  parameters.Tier
	}{{"", 4096, parameters.Standard}, {parameters.Intelligent, 4096, parameters.Standard}, {parameters.Intelligent, 4097, parameters.Advanced}, {"", 8192, parameters.Advanced}, {parameters.Intelligent, 1, parameters.Advanced}} {
		if v := b.put("/x", strings.Repeat("x", c.size), func(in *parameters.Put) { in.Tier = c.asked }); v.Tier != c.want {
			t.Errorf("%+v: %s", c, v.Tier)
		}
	}
}

func TestDataTypes(t *testing.T) {
	b := newBench(t)
	for name, c := range map[string]struct{ good, bad []string }{
		"text":           {[]string{"any thing"}, nil},
		"aws:ec2:image":  {[]string{"ami-12345abcdeEXAMPLE"}, []string{"ami", "ami-1"}},
		"aws:region":     {[]string{"us-west-2", "us-gov-east-1"}, []string{"west"}},
		"aws:account:id": {[]string{"111122223333"}, []string{"1"}},
		"boolean":        {[]string{"true", "false"}, []string{"TRUE", "1"}},
		"integer":        {[]string{"443", "-1"}, []string{"1.0", ""}},
		"float":          {[]string{"1.5", "1e9"}, []string{"x"}},
		"binary":         {[]string{"eA=="}, []string{"%"}},
		"hostname":       {[]string{"db.example.com"}, []string{"-x", "a..b"}},
		"email":          {[]string{"a@example.com"}, []string{"a", "A <a@example.com>"}},
		"ipv4-address":   {[]string{"192.0.2.1"}, []string{"192.0.2", "::1"}},
		"ipv6-address":   {[]string{"2001:db8::1"}, []string{"192.0.2.1"}},
		"url":            {[]string{"https://example.com/x"}, []string{"example.com"}},
		"json":           {[]string{`{"a":[1]}`}, []string{"{"}},
	} {
		for _, value := range c.good {
			b.put("/x", value, func(in *parameters.Put) { in.DataType = name })
		}
		for _, value := range c.bad {
			if value == "" {
				continue
			}
			_, err := b.try("/x", value, func(in *parameters.Put) { in.DataType = name })
			b.fails(err, fault.Validation, "The parameter value is not valid for the data type "+name)
		}
	}
}

func TestWhatANewVersionKeeps(t *testing.T) {
	b := newBench(t)
	about, pattern, none := "about", `[a-z]+`, ""
	b.put("/x", "abc", func(in *parameters.Put) {
		in.Description, in.AllowedPattern, in.Type = &about, &pattern, parameters.StringList
	})
	if v := b.put("/x", "def", func(in *parameters.Put) { in.Type = "" }); v.Description != about || v.AllowedPattern != pattern || v.Type != parameters.StringList {
		t.Errorf("%+v", v)
	}
	_, err := b.try("/x", "7")
	b.fails(err, parameters.PatternMismatch, "")
	if v := b.put("/x", "7", func(in *parameters.Put) { in.AllowedPattern = &none }); v.AllowedPattern != "" || v.Description != about {
		t.Errorf("%+v", v)
	}
}

func TestOldVersionsAreRemoved(t *testing.T) {
	b := newBench(t)
	for i := range parameters.MaxVersions + 5 {
		b.put("/x", fmt.Sprint(i+1))
	}
	_, err := b.get("/x:5")
	b.fails(err, parameters.VersionNotFound, "")
	if f, err := b.get("/x:6"); err != nil || f.Value != "6" {
		t.Error(f, err)
	}
	_, _, err = b.Label(t.Context(), b.ref("/x"), 6, []string{"kept"})
	b.must(err)
	_, err = b.try("/x", "more")
	b.fails(err, parameters.MaxVersionExceeded, "Version 6, the oldest version, can't be deleted because it has a label")
	_, _, err = b.Label(t.Context(), b.ref("/x"), 0, []string{"kept"})
	b.must(err)
	if v := b.put("/x", "more"); v.Number != parameters.MaxVersions+6 {
		t.Error(v.Number)
	}
}

func TestLabels(t *testing.T) {
	b := newBench(t)
	ctx, x := t.Context(), b.ref("/x")
	b.put("/x", "one")
	b.put("/x", "two")
	version, invalid, err := b.Label(ctx, x, 0, []string{"prod", "1st", "aws-x", "SSM", "a b", "_ok", "prod"})
	b.must(err)
	if version != 2 || !slices.Equal(invalid, []string{"1st", "aws-x", "SSM", "a b"}) {
		t.Error(version, invalid)
	}
	_, _, err = b.Label(ctx, x, 1, []string{"prod"}) // a label is at one version only
	b.must(err)
	if f, err := b.get("/x:prod"); err != nil || f.Value != "one" {
		t.Error(f, err)
	}
	removed, invalid, err := b.Unlabel(ctx, x, 2, []string{"prod", "_ok"})
	b.must(err)
	if !slices.Equal(removed, []string{"_ok"}) || !slices.Equal(invalid, []string{"prod"}) {
		t.Error(removed, invalid)
	}
	var ten []string
	for i := range 10 {
		ten = append(ten, fmt.Sprint("l", i))
	}
	_, _, err = b.Label(ctx, x, 1, ten)
	b.fails(err, parameters.LabelLimitExceeded, "A parameter version can have maximum 10 labels.")
	if p, err := b.Parameter(ctx, x); err != nil || !slices.Equal(p.Versions[0].Labels, []string{"prod"}) {
		t.Error("a refused request left labels", p.Versions, err)
	}
	_, _, err = b.Label(ctx, x, 9, ten)
	b.fails(err, parameters.VersionNotFound, "version 9")
	_, _, err = b.Unlabel(ctx, x, 9, ten)
	b.fails(err, parameters.VersionNotFound, "version 9")
	_, _, err = b.Label(ctx, b.ref("/none"), 0, ten)
	b.fails(err, parameters.NotFound, "")
}

func TestTags(t *testing.T) {
	b := newBench(t)
	ctx, x := t.Context(), b.ref("/x")
	b.put("/x", "one", once, func(in *parameters.Put) { in.Tags = map[string]string{"a": "1"} })
	b.must(b.Tag(ctx, x, map[string]string{"a": "2", "b": ""}))
	b.put("/x", "two")
	tags, err := b.Tags(ctx, x)
	b.must(err)
	if fmt.Sprint(tags) != "map[a:2 b:]" {
		t.Error(tags)
	}
	b.must(b.Untag(ctx, x, []string{"a", "none"}))
	if tags, err := b.Tags(ctx, x); err != nil || fmt.Sprint(tags) != "map[b:]" {
		t.Error(tags, err)
	}
	none := b.ref("/none")
	b.fails(b.Tag(ctx, none, nil), parameters.InvalidResourceID, "")
	b.fails(b.Untag(ctx, none, nil), parameters.InvalidResourceID, "")
	_, err = b.Tags(ctx, none)
	b.fails(err, parameters.InvalidResourceID, "")
	if _, err := b.get("/none"); !fault.Is(err, parameters.NotFound) {
		t.Error("tagging made a parameter:", err)
	}
}

// nothing is a store without parameters.
type nothing struct{ parameters.Store }

func (nothing) Parameter(context.Context, parameters.Scope, string) (parameters.Parameter, error) {
	return parameters.Parameter{}, fault.New(parameters.NotFound, "none")
}

func FuzzParse(f *testing.F) {
	for _, text := range []string{"/a/b:3", "arn:aws:ssm:us-west-2:111122223333:parameter/x:l", "::::::", " /a ", "\xff"} {
		f.Add(text)
	}
	s := parameters.New(parameters.Options{Store: nothing{}})
	f.Fuzz(func(t *testing.T, text string) {
		r, err := parameters.Parse(here, text)
		if err != nil {
			return
		}
		if r.Name == "" || strings.ContainsAny(r.Name, ": \n\x00") || !strings.HasPrefix(r.ARN(), "arn:aws:ssm:us-west-2:") {
			t.Errorf("%+v", r)
		}
		if _, err := s.Get(t.Context(), r, false); !fault.Is(err, parameters.NotFound) {
			t.Error(err)
		}
	})
}

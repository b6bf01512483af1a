package secrets_test

import (
	"strings"
	"testing"
	"time"

	"github.com/sunaba-dev/sunaba/internal/secrets"
)

// listing is a bench with four secrets, a minute apart.
func listing(t *testing.T) *bench {
	b := newBench(t)
	for _, n := range []secrets.NewSecret{
		{Name: "prod/db", Description: "The main database", Tags: map[string]string{"team": "red"}},
		{Name: "prod/api", Description: "Payment API key", Tags: map[string]string{"Team": "blue"}},
		{Name: "Dev/db", Description: "a playground", Tags: map[string]string{"owner": "redmond"}},
		{Name: "gone"},
	} {
		n.Scope, n.Token, n.Value = here, token1, secrets.Text("v")
		_, _, err := b.Create(t.Context(), n)
		b.must(err)
		b.now = b.now.Add(time.Minute)
	}
	_, _, err := b.Delete(t.Context(), here, "gone", secrets.Delete{})
	b.must(err)
	return b
}

func (b *bench) list(l secrets.List) (names, next string) {
	b.t.Helper()
	if l.Limit == 0 {
		l.Limit = 100
	}
	page, next, err := b.List(b.t.Context(), here, l)
	b.must(err)
	var all []string
	for _, x := range page {
		all = append(all, x.Name)
	}
	return strings.Join(all, " "), next
}

func TestListFilters(t *testing.T) {
	b := listing(t)
	by := func(key secrets.FilterKey, values ...string) secrets.Filter {
		return secrets.Filter{Key: key, Values: values}
	}
	for _, c := range []struct {
		filters []secrets.Filter
		want    string
	}{
		{nil, "Dev/db prod/api prod/db"},
		{[]secrets.Filter{by(secrets.ByName, "prod/")}, "prod/api prod/db"},
		{[]secrets.Filter{by(secrets.ByName, "PROD/")}, ""},
		{[]secrets.Filter{by(secrets.ByName, "!prod/")}, "Dev/db"},
		{[]secrets.Filter{by(secrets.ByName, "prod/a", "Dev")}, "Dev/db prod/api"},
		{[]secrets.Filter{by(secrets.ByDescription, "MAIN")}, "prod/db"},
		{[]secrets.Filter{by(secrets.ByDescription, "key pay")}, "prod/api"},
		{[]secrets.Filter{by(secrets.ByTagKey, "team")}, "prod/db"},
		{[]secrets.Filter{by(secrets.ByTagValue, "red")}, "Dev/db prod/db"},
		{[]secrets.Filter{by(secrets.ByTagValue, "red"), by(secrets.ByName, "prod")}, "prod/db"},
		{[]secrets.Filter{by(secrets.ByPrimaryRegion, "us-")}, "Dev/db prod/api prod/db"},
		{[]secrets.Filter{by(secrets.ByOwningService, "rds")}, ""},
		{[]secrets.Filter{by(secrets.ByAll, "DB")}, "Dev/db prod/db"},
		{[]secrets.Filter{by(secrets.ByAll, "red main")}, "prod/db"},
		{[]secrets.Filter{by(secrets.ByAll, "!db")}, "prod/api"},
	} {
		if got, _ := b.list(secrets.List{Filters: c.filters}); got != c.want {
			t.Errorf("%v: %q, want %q", c.filters, got, c.want)
		}
	}
}

func TestListOrderAndPages(t *testing.T) {
	b := listing(t)
	b.must(b.Tag(t.Context(), here, "prod/db", map[string]string{"x": "y"}))
	b.reads("prod/api", secrets.Get{}, "v")
	for _, c := range []struct {
		l    secrets.List
		want string
	}{
		{secrets.List{}, "Dev/db prod/api prod/db"},
		{secrets.List{Deleted: true, Ascending: true}, "prod/db prod/api Dev/db gone"},
		{secrets.List{Sort: secrets.ByTheName, Ascending: true}, "Dev/db prod/api prod/db"},
		{secrets.List{Sort: secrets.ByTheName}, "prod/db prod/api Dev/db"},
		{secrets.List{Sort: secrets.ByChanged}, "prod/db Dev/db prod/api"},
		{secrets.List{Sort: secrets.ByAccessed}, "prod/api prod/db Dev/db"},
	} {
		want := c.want
		if got, next := b.list(c.l); got != want || next != "" {
			t.Errorf("%+v: %q %q, want %q", c.l, got, next, want)
		}
		c.l.Limit = 1
		var got []string
		for range 5 {
			name, next := b.list(c.l)
			got = append(got, name)
			if c.l.Token = next; next == "" {
				break
			}
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%+v by pages: %v, want %q", c.l, got, want)
		}
	}
	_, _, err := b.List(t.Context(), here, secrets.List{Token: "%", Limit: 1})
	b.fails(err, secrets.InvalidNextToken, "")
	if names, _ := b.list(secrets.List{Token: "fn5-"}); names != "Dev/db prod/api prod/db" { // from beyond the last of this order
		t.Error(names)
	}
	// Two that were made in the same microsecond are on two pages.
	for _, name := range []string{"t1", "t2", "t3"} {
		b.create(name, "v")
	}
	first, next := b.list(secrets.List{Limit: 2})
	second, _ := b.list(secrets.List{Limit: 2, Token: next})
	if first != "t3 t2" || second != "t1 Dev/db" {
		t.Error(first, second)
	}
}

func TestListVersions(t *testing.T) {
	b := newBench(t)
	b.create("s", "one")
	for _, token := range []string{token2, token3} {
		b.now = b.now.Add(time.Minute)
		_, _, err := b.Put(t.Context(), here, "s", secrets.Put{Token: token, Value: secrets.Text(token)})
		b.must(err)
	}
	_, page, next, err := b.Versions(t.Context(), here, "s", false, 100, "")
	b.must(err)
	if len(page) != 2 || page[0].ID != token2 || next != "" {
		t.Error(page, next)
	}
	_, page, next, err = b.Versions(t.Context(), here, "s", true, 2, "")
	b.must(err)
	if len(page) != 2 || page[0].ID != token1 || next == "" {
		t.Error(page, next)
	}
	_, page, next, err = b.Versions(t.Context(), here, "s", true, 2, next)
	b.must(err)
	if len(page) != 1 || page[0].ID != token3 || next != "" {
		t.Error(page, next)
	}
}

func TestPasswords(t *testing.T) {
	const lower, upper, digits, marks = "abcdefghijklmnopqrstuvwxyz", "ABCDEFGHIJKLMNOPQRSTUVWXYZ", "0123456789", "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~"
	with := func(change func(*secrets.Password)) secrets.Password {
		p := secrets.DefaultPassword()
		change(&p)
		return p
	}
	for name, c := range map[string]struct {
		p     secrets.Password
		parts []string // each occurs
		only  string
	}{
		"default":     {with(func(*secrets.Password) {}), []string{lower, upper, digits, marks}, lower + upper + digits + marks},
		"shortest":    {with(func(p *secrets.Password) { p.Length = 4 }), []string{lower, upper, digits, marks}, lower + upper + digits + marks},
		"digits only": {with(func(p *secrets.Password) { p.Lowercase, p.Uppercase, p.Punctuation = false, false, false }), []string{digits}, digits},
		"excluded":    {with(func(p *secrets.Password) { p.Exclude = lower + marks + "O0l1é" }), nil, "ABCDEFGHIJKLMNPQRSTUVWXYZ23456789"},
		"space":       {with(func(p *secrets.Password) { p.Space = true }), []string{" "}, lower + upper + digits + marks + " "},
		"long":        {with(func(p *secrets.Password) { p.Length, p.Each = 4096, false }), nil, lower + upper + digits + marks},
	} {
		seen := map[string]bool{}
		for range 20 {
			got, err := c.p.Random()
			if err != nil || len(got) != c.p.Length || strings.Trim(got, c.only) != "" {
				t.Errorf("%s: %q, %v", name, got, err)
			}
			for _, part := range c.parts {
				if !strings.ContainsAny(got, part) {
					t.Errorf("%s: %q has none of %q", name, got, part)
				}
			}
			seen[got] = true
		}
		if len(seen) < 2 {
			t.Errorf("%s: always the same", name)
		}
	}
	b := newBench(t)
	_, err := with(func(p *secrets.Password) { p.Length = 3 }).Random()
	b.fails(err, secrets.InvalidParameter, "3 characters")
	_, err = secrets.Password{Length: 8}.Random()
	b.fails(err, secrets.InvalidParameter, "leave none")
	_, err = with(func(p *secrets.Password) { p.Exclude = lower + upper + digits + marks }).Random()
	b.fails(err, secrets.InvalidParameter, "leave none")
}

func TestPolicies(t *testing.T) {
	b := newBench(t)
	b.create("s", "one")
	for policy, public := range map[string]bool{
		`{"Statement":[{"Effect":"Allow","Principal":"*","Action":"*","Resource":"*"}]}`:                                          true,
		`{"Statement":{"Effect":"Allow","Principal":{"AWS":"*"},"Action":"*","Resource":"*"}}`:                                    true,
		`{"Statement":[{"Effect":"Deny","Principal":"*"},{"Effect":"Allow","Principal":{"Service":"a","AWS":["x","*"]}}]}`:        true,
		`{"Statement":[{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::111122223333:root"}}]}`:                                 false,
		`{"Statement":[{"Effect":"Deny","Principal":"*"}]}`:                                                                       false,
		`{"Statement":[{"Effect":"Allow","Principal":"*","Condition":{"StringEquals":{"aws:PrincipalAccount":"111122223333"}}}]}`: false,
		`{"Statement":7}`: false, `{`: false, `{}`: false, `{"Statement":[{"Effect":"Allow","Principal":{"AWS":7}}]}`: false, `{"Statement":[{"Effect":"Allow"}]}`: false,
	} {
		_, err := b.PutPolicy(t.Context(), here, "s", policy, true)
		if public {
			b.fails(err, secrets.PublicPolicy, "BlockPublicPolicy")
		} else {
			b.must(err)
		}
		_, err = b.PutPolicy(t.Context(), here, "s", policy, false)
		b.must(err)
		if x, err := b.Secret(t.Context(), here, "s"); err != nil || x.Policy != policy {
			t.Error(x.Policy, err)
		}
	}
	for range 2 {
		x, err := b.DeletePolicy(t.Context(), here, "s")
		b.must(err)
		if x.Policy != "" {
			t.Error(x.Policy)
		}
	}
}

func FuzzLookup(f *testing.F) {
	for _, id := range []string{"prod/db", "arn:aws:secretsmanager:us-west-2:111122223333:secret:prod/db-AbCdEf", "arn:aws:secretsmanager:us-west-2:111122223333:secret:-AbCdEf", "arn:::::::", "\x00", ""} {
		f.Add(id)
	}
	s := secrets.New(secrets.Options{Store: nothing{}})
	f.Fuzz(func(t *testing.T, id string) {
		if _, err := s.Secret(t.Context(), here, id); err == nil {
			t.Error("found in an empty store")
		}
		if r := secrets.ResourceOf(here, id); !strings.HasPrefix(r, "arn:") {
			t.Error(r)
		}
	})
}

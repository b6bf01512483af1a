package network

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sunaba-dev/sunaba/internal/egress"
)

func TestSecretsThatCannotBeUsed(t *testing.T) {
	broken := errors.New("the disk is full")
	for name, c := range map[string]struct {
		from   Secrets
		status int
		text   string
	}{
		"none":    {entries{}, 403, "secretsmanager:GetSecretValue"},
		"nowhere": {nil, 403, "secretsmanager:GetSecretValue"},
		"failing": {secretsFunc(func(context.Context, string) (string, error) { return "", broken }), 502, "cannot be used"},
		"empty":   {entries{"token": " \n"}, 502, "cannot be used"},
		"lines":   {entries{"token": theSecret + "\r\nX-More: " + theSecret}, 502, "cannot be used"},
	} {
		t.Run(name, func(t *testing.T) {
			l := newInjectionLab(t, ownHost+"=token", c.from)
			l.host(ownAddr+":443", func(_ http.ResponseWriter, r *http.Request) { t.Errorf("the host was asked: %v", r.Header) })
			for _, protocol := range []string{protocolHTTP1, protocolHTTP2} {
				status, text := body(t, l.client(ownAddr+":443", protocol), request("POST", "https://"+ownHost+"/", strings.NewReader("x"), "Authorization", "Bearer placeholder"))
				if status != c.status || !strings.Contains(text, c.text) || strings.Contains(text, theSecret) {
					t.Errorf("%s: %d %s", protocol, status, text)
				}
			}
			l.last(func(c Connection) bool { return c.Verdict == Refused && strings.Contains(c.Reason, "not sent") })
			l.mu.Lock()
			defer l.mu.Unlock()
			if !strings.Contains(l.log.String(), "a request was not sent without its secret") || !strings.Contains(l.log.String(), "host="+ownHost) {
				t.Errorf("log: %s", l.log.String())
			}
		})
	}
}

type secretsFunc func(context.Context, string) (string, error)

func (f secretsFunc) Secret(ctx context.Context, id string) (string, error) { return f(ctx, id) }

func TestRotatedSecretActsWithinAMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		now, reads := "one", 0
		v := &vault{from: secretsFunc(func(_ context.Context, id string) (string, error) {
			reads++
			if now == "" {
				return "", ErrNoSecret
			}
			return " " + now + "\n", nil
		})}
		expect := func(want string, wantReads int) {
			t.Helper()
			if text, err := v.value(t.Context(), "token"); text != want || (err != nil) != (want == "") || reads != wantReads {
				t.Errorf("%q %v after %d reads; want %q after %d", text, err, reads, want, wantReads)
			}
		}
		expect("one", 1)
		now = "two"
		time.Sleep(secretTime - time.Second)
		expect("one", 1)
		time.Sleep(time.Second)
		expect("two", 2)
		now = "" // the role may not read it any more
		v.forget([]injection{{secret: "token"}})
		expect("", 3)
		now = "three" // errors are not kept
		expect("three", 4)
	})
}

func TestRefusedSecretIsReadAgain(t *testing.T) {
	var mu sync.Mutex
	now := "old"
	l := newInjectionLab(t, ownHost+"=token", secretsFunc(func(context.Context, string) (string, error) {
		mu.Lock()
		defer mu.Unlock()
		return now, nil
	}))
	l.host(ownAddr+":443", func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer new" {
			http.Error(w, "expired", http.StatusUnauthorized)
		}
	})
	c := l.client(ownAddr + ":443")
	if status, _ := body(t, c, request("GET", "https://"+ownHost+"/", nil)); status != 401 {
		t.Error(status)
	}
	mu.Lock()
	now = "new"
	mu.Unlock()
	if status, _ := body(t, c, request("GET", "https://"+ownHost+"/", nil)); status != 200 {
		t.Error(status)
	}
}

func TestParseInjections(t *testing.T) {
	arn := "arn:aws:secretsmanager:us-west-2:111122223333:secret:prod/token-AbCdEf"
	for list, want := range map[string][]injection{
		"api.example.com=openai":  {{"api.example.com", "openai", "Authorization", "Bearer "}},
		"API.Example.com.=openai": {{"api.example.com", "openai", "Authorization", "Bearer "}},
		".example.com=a b.example.com=b,.b.example.com=c": {{"b.example.com", "b", "Authorization", "Bearer "}, {".b.example.com", "c", "Authorization", "Bearer "},
			{".example.com", "a", "Authorization", "Bearer "}},
		"*.example.com=prod/a=b@c:x-api-key":                  {{".example.com", "prod/a=b@c", "X-Api-Key", ""}},
		"a.test=" + arn:                                       {{"a.test", arn, "Authorization", "Bearer "}},
		"a.test=" + arn + ":Authorization a.test=k:X-Api-Key": {{"a.test", arn, "Authorization", ""}, {"a.test", "k", "X-Api-Key", ""}},
	} {
		n, err := ParseInjections(list)
		if d := cmp.Diff(want, n.all, cmp.AllowUnexported(injection{})); d != "" || err != nil {
			t.Errorf("%s: %v %s", list, err, d)
		}
	}
	for list, want := range map[string]string{
		"": "empty", "   ": "empty", "api.example.com": "HOST=SECRET", "=x": "no host", "com=x": "no host", "*=x": "no host", ".com=x": "no host", "*example.com=x": "no host", "1.2.3.4=x": "no host",
		"a.*.com=x": "no host", "a.test=": "neither", "a.test=x y": "HOST=SECRET", "a.test=x:": "no header", "a.test=x:Host": "no header", "a.test=x:transfer-encoding": "no header",
		"a.test=x:Proxy-Authorization": "no header",
		"a.test=x:A:B":                 "no header", "a.test=arn:aws:iam::1:role/r": "neither", "a.test=arn:aws:ssm:us-west-2:1:secret:x": "neither", "s3.us-west-2.amazonaws.com=x": "AWS", ".amazonaws.com=x": "AWS",
		"a.test=x a.test=y": "already", "a.test=x a.test=y:authorization": "already", "https://a.test=x": "no host", strings.Repeat("a.test=x ", maxInjections+1): "are allowed",
	} {
		if n, err := ParseInjections(list); err == nil || !strings.Contains(err.Error(), want) || n.all != nil {
			t.Errorf("%q: %v %v; want %q", list, n, err, want)
		}
	}
}

func FuzzParseInjections(f *testing.F) {
	for _, seed := range []string{"api.example.com=openai", ".example.com=arn:aws:secretsmanager:us-west-2:111122223333:secret:a-AbCdEf:X-Key", "*.a.b=c:d,e.f=g"} {
		f.Add(seed, "api.example.com")
	}
	f.Fuzz(func(t *testing.T, list, name string) {
		n, err := ParseInjections(list)
		if err != nil {
			return
		}
		for _, i := range n.all {
			if strings.ContainsAny(i.header, " :\r\n") || strings.ContainsAny(i.host, "*/:= ") || i.secret == "" || !strings.Contains(strings.TrimPrefix(i.host, "."), ".") {
				t.Errorf("%q: %+v", list, i)
			}
		}
		name, ok := egress.CleanName(name)
		if !ok {
			return
		}
		seen := map[string]bool{}
		for _, i := range n.of(name) {
			if name != i.host && !strings.HasSuffix(name, i.host) || seen[i.header] {
				t.Errorf("%q gives %q %+v", list, name, i)
			}
			seen[i.header] = true
		}
	})
}

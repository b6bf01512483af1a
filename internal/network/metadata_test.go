package network

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

type fakeRole struct {
	calls int
	life  time.Duration
	err   error
}

func (r *fakeRole) Credentials(context.Context) (Key, error) {
	r.calls++
	now := time.Now()
	return Key{AccessKeyID: "ASIA", SecretAccessKey: "secret", SessionToken: "token", Updated: now, Expires: now.Add(r.life)}, r.err
}

func service(session string, c Credentials) *metadata {
	p := sandboxed
	p.Session, p.Credentials, p.RoleARN = session, c, "arn:aws:iam::000000000000:role/r"
	return newMetadata(p, "secret of "+session, slog.New(slog.DiscardHandler))
}

func ask(m *metadata, method, path string, header ...string) (status int, body string) {
	r := httptest.NewRequest(method, path, nil)
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	m.ServeHTTP(w, r)
	return w.Code, w.Body.String()
}

func token(t *testing.T, m *metadata) string {
	t.Helper()
	status, body := ask(m, http.MethodPut, "/latest/api/token", ttlHeader, "21600")
	if status != http.StatusOK || body == "" {
		t.Fatalf("no token: %d %s", status, body)
	}
	return body
}

const credentialsPath = "/latest/meta-data/iam/security-credentials/execution_role"

func TestMetadataTree(t *testing.T) {
	m := service("one", &fakeRole{life: time.Hour})
	tok := token(t, m)
	for path, want := range map[string]string{
		"/":                      "latest",
		"/latest":                "dynamic/\nmeta-data/",
		"/latest/meta-data/iam/": "info\nsecurity-credentials/",
		"/latest/meta-data/iam/security-credentials/": "execution_role",
		"/latest/meta-data/iam/security-credentials":  "execution_role",
		"/latest/meta-data/placement/region":          "us-west-2",
		"/latest/meta-data/placement":                 "availability-zone\nregion",
		"/latest/meta-data/services/domain":           "amazonaws.com",
	} {
		if status, body := ask(m, http.MethodGet, path, tokenHeader, tok); status != http.StatusOK || body != want {
			t.Errorf("%s: %d %q, want %q", path, status, body, want)
		}
	}
	for _, path := range []string{"/latest/user-data", "/latest/meta-data/nothing", "/2000-01-01/meta-data", "/latest/meta-data/iam/security-credentials/other", "/latest/meta-data/../../etc", "/latest/meta-data/placement/region/x"} {
		if status, _ := ask(m, http.MethodGet, path, tokenHeader, tok); status != http.StatusNotFound {
			t.Errorf("%s: %d", path, status)
		}
	}
	_, body := ask(m, http.MethodGet, "/latest/dynamic/instance-identity/document", tokenHeader, tok)
	var id instance
	if err := json.Unmarshal([]byte(body), &id); err != nil || id.Region != "us-west-2" || id.AccountID != "000000000000" || !strings.HasPrefix(id.InstanceID, "i-") {
		t.Errorf("the identity: %+v, %v", id, err)
	}
}

func TestMetadataIsVersion2(t *testing.T) {
	m := service("one", &fakeRole{life: time.Hour})
	tok := token(t, m)
	for name, row := range map[string]struct {
		method, path string
		header       []string
		want         int
	}{
		"no token":                 {"GET", credentialsPath, nil, 401},
		"an empty token":           {"GET", credentialsPath, []string{tokenHeader, ""}, 401},
		"a made-up token":          {"GET", credentialsPath, []string{tokenHeader, "AQAA"}, 401},
		"a changed token":          {"GET", credentialsPath, []string{tokenHeader, "B" + tok[1:]}, 401},
		"a token of a later end":   {"GET", credentialsPath, []string{tokenHeader, "f" + tok[1:]}, 401},
		"no lifetime":              {"PUT", "/latest/api/token", nil, 400},
		"lifetime 0":               {"PUT", "/latest/api/token", []string{ttlHeader, "0"}, 400},
		"lifetime too long":        {"PUT", "/latest/api/token", []string{ttlHeader, "21601"}, 400},
		"lifetime no number":       {"PUT", "/latest/api/token", []string{ttlHeader, "x"}, 400},
		"a token through a proxy":  {"PUT", "/latest/api/token", []string{ttlHeader, "60", "X-Forwarded-For", "10.0.0.1"}, 403},
		"a token by GET":           {"GET", "/latest/api/token", []string{ttlHeader, "60"}, 405},
		"credentials by POST":      {"POST", credentialsPath, []string{tokenHeader, tok}, 405},
		"what is not there":        {"GET", "/latest/nothing", nil, 401},
		"credentials with a token": {"GET", credentialsPath, []string{tokenHeader, tok}, 200},
	} {
		if status, body := ask(m, row.method, row.path, row.header...); status != row.want || row.want != 200 && strings.Contains(body, "secret") {
			t.Errorf("%s: %d %q, want %d", name, status, body, row.want)
		}
	}
}

func TestAttackTokenOfAnotherSession(t *testing.T) {
	one, two := service("one", &fakeRole{life: time.Hour}), service("two", &fakeRole{life: time.Hour})
	if status, _ := ask(two, http.MethodGet, credentialsPath, tokenHeader, token(t, one)); status != http.StatusUnauthorized {
		t.Errorf("a session's token works for another: %d", status)
	}
}

func TestTokensAndCredentialsExpire(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &fakeRole{life: time.Hour}
		m := service("one", r)
		tok := token(t, m)
		got := func(want int) {
			t.Helper()
			status, body := ask(m, http.MethodGet, credentialsPath, tokenHeader, tok)
			if status != http.StatusOK || !strings.Contains(body, `"Code": "Success"`) || r.calls != want {
				t.Errorf("%d %s after %d calls, want %d", status, body, r.calls, want)
			}
		}
		got(1)
		time.Sleep(44 * time.Minute)
		got(1)
		time.Sleep(2 * time.Minute) // less than 15 minutes are left
		got(2)
		r.life = 20 * time.Minute
		time.Sleep(50 * time.Minute)
		got(3)
		time.Sleep(14 * time.Minute) // a quarter of such a short life is more than what is left only in a minute
		got(3)
		time.Sleep(2 * time.Minute)
		got(4)
		time.Sleep(6 * time.Hour)
		if status, _ := ask(m, http.MethodGet, credentialsPath, tokenHeader, tok); status != http.StatusUnauthorized {
			t.Errorf("an old token: %d", status)
		}
	})
}

func TestRoleThatIsGone(t *testing.T) {
	r := &fakeRole{err: errors.New("the cause is for the log")}
	m := service("one", r)
	status, body := ask(m, http.MethodGet, credentialsPath, tokenHeader, token(t, m))
	var doc map[string]string
	if err := json.Unmarshal([]byte(body), &doc); status != http.StatusOK || err != nil || doc["Code"] != "AssumeRoleUnauthorizedAccess" || doc["Message"] == "" {
		t.Errorf("%d %s", status, body)
	}
	if strings.Contains(body, "cause") {
		t.Error("the cause is told inside")
	}
	r.err, r.life = nil, time.Hour
	if _, body := ask(m, http.MethodGet, credentialsPath, tokenHeader, token(t, m)); !strings.Contains(body, "Success") {
		t.Errorf("a role that is back: %s", body)
	}
}

func FuzzToken(f *testing.F) {
	m := service("one", &fakeRole{life: time.Hour})
	now := time.Now()
	f.Add(m.token(now.Add(-time.Second)))
	f.Add("AAAA")
	f.Fuzz(func(t *testing.T, s string) {
		if m.valid(s, now) {
			t.Errorf("%q is valid", s)
		}
	})
}

func TestOldMetadataServiceOnlyWhereItIsWanted(t *testing.T) {
	const leaf = "/latest/meta-data/placement/region"
	m := service("one", &fakeRole{life: time.Hour})
	if status, _ := ask(m, http.MethodGet, leaf); status != http.StatusUnauthorized {
		t.Errorf("without a token: %d", status)
	}
	m.policy.MetadataV1 = true
	if status, body := ask(m, http.MethodGet, leaf); status != http.StatusOK || body != "us-west-2" {
		t.Errorf("%d %s", status, body)
	}
	for _, header := range [][]string{{tokenHeader, "wrong"}, {"X-Forwarded-For", "10.0.0.1"}} {
		if status, _ := ask(m, http.MethodGet, leaf, header...); status != http.StatusUnauthorized {
			t.Errorf("%v: %d", header, status)
		}
	}
}

func TestContainerCredentials(t *testing.T) {
	r := &fakeRole{life: time.Hour}
	m := service("one", r)
	get := func(method, path, authorization string) (int, string) {
		q := httptest.NewRequestWithContext(t.Context(), method, path, nil)
		q.Header.Set("Authorization", authorization)
		w := httptest.NewRecorder()
		m.serveContainer(w, q)
		return w.Code, w.Body.String()
	}
	status, body := get(http.MethodGet, containerPath, m.authorization)
	var d map[string]string
	if err := json.Unmarshal([]byte(body), &d); err != nil || status != http.StatusOK || d["AccessKeyId"] != "ASIA" || d["Token"] != "token" || d["RoleArn"] == "" || d["Expiration"] == "" {
		t.Errorf("%d %s %v", status, body, err)
	}
	for _, c := range [][3]string{{http.MethodGet, containerPath, ""}, {http.MethodGet, containerPath, service("two", r).authorization}, {http.MethodPost, containerPath, m.authorization}, {http.MethodGet, "/latest/meta-data/", m.authorization}} {
		if status, body := get(c[0], c[1], c[2]); status == http.StatusOK || strings.Contains(body, "ASIA") {
			t.Errorf("%v: %d %s", c, status, body)
		}
	}
	r.err = errors.New("gone")
	m = service("one", r)
	if status, body := get(http.MethodGet, containerPath, m.authorization); status != http.StatusForbidden || strings.Contains(body, "gone") {
		t.Errorf("%d %s", status, body)
	}
	p := sandboxed
	s := newLab(t, p, sayHost).s
	if s.Environment() != nil {
		t.Error("a session without a role has credentials in its environment")
	}
}

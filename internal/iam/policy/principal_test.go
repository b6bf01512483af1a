package policy_test

import (
	"testing"

	"github.com/sunaba-dev/sunaba/internal/iam/policy"
)

const (
	acct  = "111122223333"
	other = "444455556666"
)

var (
	root      = policy.Who{Account: acct, ARN: "arn:aws:iam::" + acct + ":root"}
	user      = policy.Who{Account: acct, ARN: "arn:aws:iam::" + acct + ":user/dev/ann"}
	session   = policy.Who{Account: acct, ARN: "arn:aws:sts::" + acct + ":assumed-role/r/s", Role: "arn:aws:iam::" + acct + ":role/team/r"}
	agentcore = policy.Who{Service: "bedrock-agentcore.amazonaws.com"}
	anonymous = policy.Who{}
	stranger  = policy.Who{Account: other, ARN: "arn:aws:iam::" + other + ":user/eve"}
)

func TestPrincipals(t *testing.T) {
	for _, c := range []struct {
		name, principal string
		who             policy.Who
		want            policy.Match
	}{
		{"everyone, short", `"Principal":"*"`, user, policy.ByEveryone},
		{"everyone, long", `"Principal":{"AWS":"*"}`, user, policy.ByEveryone},
		{"everyone is also anonymous", `"Principal":"*"`, anonymous, policy.ByEveryone},
		{"everyone is also a stranger", `"Principal":"*"`, stranger, policy.ByEveryone},
		{"everyone is also a service", `"Principal":"*"`, agentcore, policy.ByEveryone},
		{"account id", `"Principal":{"AWS":"` + acct + `"}`, user, policy.ByAccount},
		{"account's root", `"Principal":{"AWS":"arn:aws:iam::` + acct + `:root"}`, user, policy.ByAccount},
		{"account, session", `"Principal":{"AWS":"` + acct + `"}`, session, policy.ByAccount},
		{"account, root user", `"Principal":{"AWS":"` + acct + `"}`, root, policy.ByName},
		{"account, stranger", `"Principal":{"AWS":"` + acct + `"}`, stranger, policy.ByNothing},
		{"account, anonymous", `"Principal":{"AWS":"` + acct + `"}`, anonymous, policy.ByNothing},
		{"account, service", `"Principal":{"AWS":"` + acct + `"}`, agentcore, policy.ByNothing},
		{"user", `"Principal":{"AWS":"` + user.ARN + `"}`, user, policy.ByName},
		{"another user", `"Principal":{"AWS":"` + user.ARN + `2"}`, user, policy.ByNothing},
		{"user in a list", `"Principal":{"AWS":["` + stranger.ARN + `","` + user.ARN + `"]}`, user, policy.ByName},
		{"role", `"Principal":{"AWS":"` + session.Role + `"}`, session, policy.ByName},
		{"role without its path", `"Principal":{"AWS":"arn:aws:iam::` + acct + `:role/r"}`, session, policy.ByNothing},
		{"session", `"Principal":{"AWS":"` + session.ARN + `"}`, session, policy.BySession},
		{"session and role", `"Principal":{"AWS":["` + session.Role + `","` + session.ARN + `"]}`, session, policy.BySession},
		{"another session", `"Principal":{"AWS":"` + session.ARN + `2"}`, session, policy.ByNothing},
		{"service", `"Principal":{"Service":"bedrock-agentcore.amazonaws.com"}`, agentcore, policy.ByName},
		{"another service", `"Principal":{"Service":"lambda.amazonaws.com"}`, agentcore, policy.ByNothing},
		{"services in a list", `"Principal":{"Service":["lambda.amazonaws.com","bedrock-agentcore.amazonaws.com"]}`, agentcore, policy.ByName},
		{"a service is not a user", `"Principal":{"Service":"bedrock-agentcore.amazonaws.com"}`, user, policy.ByNothing},
		{"both kinds", `"Principal":{"Service":"lambda.amazonaws.com","AWS":"` + acct + `"}`, user, policy.ByAccount},
		{"federated", `"Principal":{"Federated":"arn:aws:iam::` + acct + `:oidc-provider/x"}`, user, policy.ByNothing},
		{"canonical user", `"Principal":{"CanonicalUser":"79a59df900b949e55d96a1e698fbacedfd6e09d98eacf8f8d5218e7cd47ef2be"}`, user, policy.ByNothing},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := parse(t, one(`"Effect":"Allow",`+c.principal+`,"Action":"s3:*","Resource":"*"`), policy.Resource)
			decision, by := d.Evaluate(&policy.Request{Action: "s3:GetObject", Resource: object, Who: c.who})
			if by != c.want || (decision == policy.Allow) != (c.want != policy.ByNothing) {
				t.Errorf("decision %d by %d, want %d", decision, by, c.want)
			}
		})
	}
}

// Deny with NotPrincipal spares who is listed under each of its names.
func TestNotPrincipal(t *testing.T) {
	list := func(arns ...string) string {
		out := `"NotPrincipal":{"AWS":[`
		for i, a := range arns {
			if i > 0 {
				out += ","
			}
			out += `"` + a + `"`
		}
		return out + `]}`
	}
	for _, c := range []struct {
		name, principal, effect string
		who                     policy.Who
		want                    policy.Decision
	}{
		{"user and account listed", list(acct, user.ARN), "Deny", user, policy.NoMatch},
		{"user without its account", list(user.ARN), "Deny", user, policy.Deny},
		{"account only", list(acct), "Deny", user, policy.Deny},
		{"account only, root user", list(acct), "Deny", root, policy.NoMatch},
		{"another user", list(acct, user.ARN), "Deny", stranger, policy.Deny},
		{"session with all names", list(acct, session.Role, session.ARN), "Deny", session, policy.NoMatch},
		{"session without its own name", list(acct, session.Role), "Deny", session, policy.Deny},
		{"anonymous", list(acct), "Deny", anonymous, policy.Deny},
		{"service listed", `"NotPrincipal":{"Service":"bedrock-agentcore.amazonaws.com"}`, "Deny", agentcore, policy.NoMatch},
		{"service, others listed", list(acct), "Deny", agentcore, policy.Deny},
		{"everyone listed", `"NotPrincipal":"*"`, "Deny", anonymous, policy.NoMatch},
		{"allow to the rest", list(stranger.ARN), "Allow", user, policy.Allow},
		{"allow leaves out by any name", list(acct), "Allow", user, policy.NoMatch},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := parse(t, one(`"Effect":"`+c.effect+`",`+c.principal+`,"Action":"s3:*","Resource":"*"`), policy.Resource)
			if got, _ := d.Evaluate(&policy.Request{Action: "s3:GetObject", Resource: object, Who: c.who}); got != c.want {
				t.Errorf("decision %d, want %d", got, c.want)
			}
		})
	}
}

// The strongest of several statements that allow is what counts.
func TestStrongestMatch(t *testing.T) {
	d := parse(t, `{"Statement":[{"Effect":"Allow","Principal":{"AWS":"`+session.ARN+`"},"Action":"sts:AssumeRole"},{"Effect":"Allow","Principal":{"AWS":"`+acct+`"},"Action":"sts:*"}]}`, policy.Trust)
	if decision, by := d.Evaluate(&policy.Request{Action: "sts:AssumeRole", Who: session}); decision != policy.Allow || by != policy.BySession {
		t.Error(decision, by)
	}
	if decision, by := d.Evaluate(&policy.Request{Action: "sts:TagSession", Who: session}); decision != policy.Allow || by != policy.ByAccount {
		t.Error(decision, by)
	}
}

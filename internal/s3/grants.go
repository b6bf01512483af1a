package s3

import (
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"sync"

	"github.com/versity/versitygw/auth"
	"github.com/versity/versitygw/s3err"

	"github.com/sunaba-dev/sunaba/internal/fault"
	"github.com/sunaba-dev/sunaba/internal/sigv4"
)

// grant is one request that was handed over: what versitygw may ask about while it lasts.
type grant struct {
	ctx        context.Context
	gateway    *Gateway
	caller     caller
	conditions map[string][]string
	// perObject says that the operation reports refusals object by object (DeleteObjects), not as one error.
	perObject bool

	mu      sync.Mutex
	decided map[question]error // what was asked before, nil if it was allowed
}

type question struct{ action, resource string }

// ask authorises an action on a resource once.
func (g *grant) ask(action, resource string) error {
	q := question{action, resource}
	g.mu.Lock()
	err, known := g.decided[q]
	g.mu.Unlock()
	if known {
		return err
	}
	err = g.gateway.authorize(g.ctx, g.caller, action, resource, g.conditions)
	g.settle(action, resource, err)
	return err
}

// settle remembers an answer.
func (g *grant) settle(action, resource string, err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.decided == nil {
		g.decided = map[question]error{}
	}
	g.decided[question{action, resource}] = err
}

// grants is what versitygw takes for an IAM service. It knows the requests that are under way, each by a random id, and nothing else.
type grants struct {
	secret string // signs what is handed over
	mu     sync.RWMutex
	live   map[string]*grant
}

var (
	_ auth.IAMService         = (*grants)(nil)
	_ auth.SigningKeyProvider = (*grants)(nil)
	_ auth.PolicyEvaluator    = (*grants)(nil)
)

func newGrants() *grants { return &grants{secret: rand.Text(), live: map[string]*grant{}} }

// issue gives a request an id that is good until revoke is called.
func (g *grants) issue(v *grant) (id string, revoke func()) {
	id = rand.Text()
	g.mu.Lock()
	g.live[id] = v
	g.mu.Unlock()
	return id, func() {
		g.mu.Lock()
		delete(g.live, id)
		g.mu.Unlock()
	}
}

func (g *grants) find(id string) (*grant, bool) {
	g.mu.RLock()
	defer g.mu.RUnlock()
	v, ok := g.live[id]
	return v, ok
}

// DeriveSigningKey implements auth.SigningKeyProvider. The access key is a grant's id. The account that it returns is the owner of what it makes: the
// account id, so that all keys of an account own the same buckets.
func (g *grants) DeriveSigningKey(access, sessionToken, date, region, service string) ([]byte, auth.Account, error) {
	v, ok := g.find(access)
	if !ok || sessionToken != "" {
		return nil, auth.Account{}, auth.ErrNoSuchUser
	}
	owner := v.caller.account
	if owner == "" {
		owner = anonymousOwner
	}
	key := sigv4.DeriveSigningKey(g.secret, sigv4.Scope{Date: date, Region: region, Service: service})
	return key, auth.Account{Access: owner, SessionToken: access, Role: auth.RoleUser, Arn: v.caller.arn}, nil
}

// anonymousOwner stands for nobody where versitygw wants an account.
const anonymousOwner = "anonymous"

// The decisions of versitygw, whose type is not exported: the values must be those of its constants. TestTrapAEvaluatorSeam holds them.
const (
	decisionAllow = 1
	decisionDeny  = 2
)

// EvaluatePolicy implements auth.PolicyEvaluator. It never abstains: versitygw would ask the access list then, which lets the owner's account do everything.
func (g *grants) EvaluatePolicy(_, id string, actions []auth.Action, resources []string, _ map[string][]string) (auth.PolicyEvaluation, error) {
	v, ok := g.find(id)
	if !ok {
		return auth.PolicyEvaluation{}, s3err.GetAPIError(s3err.ErrAccessDenied)
	}
	answer := auth.PolicyEvaluation{PrincipalArn: v.caller.arn, Decisions: matrix(len(resources), len(actions), auth.PolicyEvaluation{}.Decisions)}
	for i, resource := range resources {
		for j, action := range actions {
			err := v.ask(string(action), resource)
			switch {
			case err == nil:
				answer.Decisions[i][j] = decisionAllow
			case v.perObject && isDenial(err) && isObject(resource):
				answer.Decisions[i][j] = decisionDeny
			default: // as an error, so that the authority's message reaches the client
				return auth.PolicyEvaluation{}, v.asGatewayError(err)
			}
		}
	}
	return answer, nil
}

// matrix makes a table of an element type that cannot be named here: the last argument is only there for its type.
func matrix[T any](rows, columns int, _ [][]T) [][]T {
	m := make([][]T, rows)
	for i := range m {
		m[i] = make([]T, columns)
	}
	return m
}

func isObject(resource string) bool {
	return strings.Contains(strings.TrimPrefix(resource, arnPrefix), "/")
}

// isDenial reports whether an error of the authority is its answer, and not its failure.
func isDenial(err error) bool {
	return fault.Is(err, codeAccessDenied) || fault.Is(err, fault.AccessDenied)
}

// asGatewayError keeps code, message and status of an error through versitygw, which would print its cause to standard error: it goes to the log here.
func (g *grant) asGatewayError(err error) error {
	code, message, status := classify(err)
	if status >= http.StatusInternalServerError {
		g.gateway.o.Log.ErrorContext(g.ctx, "authorise a request to S3", slog.Any("error", err))
	}
	return s3err.APIError{Code: string(code), Description: message, HTTPStatusCode: status}
}

// The rest of auth.IAMService: there are no accounts to manage.

var errNoAccounts = errors.New("accounts are not kept here")

// CreateAccount implements auth.IAMService.
func (*grants) CreateAccount(auth.Account) error { return errNoAccounts }

// GetUserAccount implements auth.IAMService. It knows no secret that could be asked for.
func (*grants) GetUserAccount(string) (auth.Account, error) {
	return auth.Account{}, auth.ErrNoSuchUser
}

// ResolveAccounts implements auth.IAMService: it names the accounts that cannot be grantees, which are those that are not account ids.
func (*grants) ResolveAccounts(ids []string) ([]string, error) {
	missing := []string{}
	for _, id := range ids {
		if len(id) != 12 || strings.Trim(id, "0123456789") != "" {
			missing = append(missing, id)
		}
	}
	return missing, nil
}

// UpdateUserAccount implements auth.IAMService.
func (*grants) UpdateUserAccount(string, auth.MutableProps) error { return errNoAccounts }

// DeleteUserAccount implements auth.IAMService.
func (*grants) DeleteUserAccount(string) error { return errNoAccounts }

// ListUserAccounts implements auth.IAMService.
func (*grants) ListUserAccounts() ([]auth.Account, error) { return nil, nil }

// Shutdown implements auth.IAMService.
func (*grants) Shutdown() error { return nil }

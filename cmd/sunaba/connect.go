package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/sunaba-dev/sunaba/internal/codeinterpreter"
	"github.com/sunaba-dev/sunaba/internal/fault"
	"github.com/sunaba-dev/sunaba/internal/iam"
	"github.com/sunaba-dev/sunaba/internal/network"
	"github.com/sunaba-dev/sunaba/internal/secrets"
)

// roleCredentials are the credentials of one session's execution role.
type roleCredentials struct {
	who  identities
	role iam.Handover
}

// credentialsTime is how long one set lives; the metadata service asks for the next before it ends.
const credentialsTime = 50 * time.Minute

// Credentials implements network.Credentials. A role that has been deleted, or that trusts the service no more, gives none.
func (c roleCredentials) Credentials(ctx context.Context) (network.Key, error) {
	k, err := c.who.AssumeRoleForService(ctx, c.role)
	if err != nil {
		return network.Key{}, fmt.Errorf("the execution role's credentials: %w", err)
	}
	return network.Key{AccessKeyID: k.AccessKeyID, SecretAccessKey: k.Secret, SessionToken: k.Token, Updated: time.Now(), Expires: k.Expires}, nil
}

// roleSecrets are the secrets that one session's execution role may read.
type roleSecrets struct {
	role    roleCredentials
	secrets *secrets.Service
	scope   secrets.Scope

	mu  sync.Mutex
	key string // id of the credentials under which they are read
}

// Secret implements network.Secrets: GetSecretValue as the role, with the condition keys that a request of the session itself would have.
func (r *roleSecrets) Secret(ctx context.Context, id string) (string, error) {
	p, err := r.principal(ctx)
	if err != nil {
		return "", err
	}
	keys := map[string][]string{"aws:SecureTransport": {"true"}, "secretsmanager:SecretId": {id}, "secretsmanager:VersionStage": {secrets.Current}}
	resource := secrets.ResourceOf(r.scope, id)
	x, missing := r.secrets.Secret(ctx, r.scope, id)
	switch {
	case missing == nil:
		resource, keys["secretsmanager:SecretPrimaryRegion"] = x.ARN(), []string{x.Region}
		for k, v := range x.Tags {
			keys["aws:ResourceTag/"+k], keys["secretsmanager:ResourceTag/"+k] = []string{v}, []string{v}
		}
	case !fault.Is(missing, secrets.NotFound):
		return "", missing
	}
	r.role.who.Used(p, "secretsmanager", r.scope.Region)
	err = r.role.who.Authorize(ctx, iam.Request{Principal: p, Action: "secretsmanager:GetSecretValue", Resource: resource, Context: keys, ResourcePolicy: []byte(x.Policy)})
	if err == nil {
		err = missing
	}
	var value secrets.Value
	if err == nil {
		_, _, value, err = r.secrets.Value(ctx, r.scope, x.ARN(), secrets.Get{}) // of the very one that was decided about
	}
	if fault.Is(err, fault.AccessDenied) || fault.Is(err, secrets.NotFound) || fault.Is(err, secrets.InvalidRequest) { // the last is marked for deletion
		return "", fmt.Errorf("%w: %w", network.ErrNoSecret, err)
	}
	if err != nil {
		return "", err
	}
	text, ok := value.Text()
	if !ok {
		return "", errors.New("its value is binary")
	}
	return text, nil
}

// principal is the role in this session. It is assumed again when its credentials have ended; without a role that trusts the service there is nobody who could read.
func (r *roleSecrets) principal(ctx context.Context) (iam.Principal, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.key != "" {
		p, _, err := r.role.who.KeyHolder(ctx, r.key)
		if err == nil || (!errors.Is(err, iam.ErrUnknownKey) && !errors.Is(err, iam.ErrExpiredToken)) {
			return p, err
		}
	}
	k, err := r.role.Credentials(ctx)
	if fault.Is(err, iam.NoSuchEntity) || fault.Is(err, fault.AccessDenied) {
		return iam.Principal{}, fmt.Errorf("%w: %w", network.ErrNoSecret, err)
	}
	if err != nil {
		return iam.Principal{}, err
	}
	r.key = k.AccessKeyID
	p, _, err := r.role.who.KeyHolder(ctx, r.key)
	return p, err
}

// connector gives sessions their view of the world.
type connector struct {
	who     identities
	network *network.Network
	outside outside
	secrets *secrets.Service // that requests of sessions may get; nil has none
}

// connect gives a session of an interpreter its view.
func (c connector) connect(ci codeinterpreter.Interpreter, s codeinterpreter.Session) codeinterpreter.Connection {
	return c.view(ci, ci.ARN(), s.ID, s.ID)
}

// view is what a session sees: in SANDBOX mode S3 by its real names, in the others every endpoint of AWS and the outside; and the role's credentials, if there is one. A
// session in SANDBOX mode without a role sees nothing. arn is of the resource that the session is of, name the session's among all that are live, roleSession that of its role's session.
func (c connector) view(ci codeinterpreter.Interpreter, arn, name, roleSession string) codeinterpreter.Connection {
	p := network.Policy{Session: name, Account: ci.Account, Region: ci.Region, Services: []string{"s3"}, Outside: c.outside.of(ci), MetadataV1: c.outside.imdsV1}
	if p.Outside != nil {
		p.Services = []string{network.AnyService}
	} else if ci.ExecutionRole == "" {
		return codeinterpreter.Connection{}
	}
	if ci.ExecutionRole != "" {
		role := iam.Handover{RoleARN: ci.ExecutionRole, Service: agentcoreService, SourceAccount: ci.Account, SourceARN: arn, SessionName: roleSession, Duration: credentialsTime}
		credentials := roleCredentials{c.who, role}
		p.RoleARN, p.Credentials = ci.ExecutionRole, credentials
		if p.Outside != nil && c.secrets != nil {
			p.Outside.Secrets = &roleSecrets{role: credentials, secrets: c.secrets, scope: secrets.Scope{Account: ci.Account, Region: ci.Region}}
		}
	}
	if list, tagged := ci.Tags[bucketsTag]; tagged {
		buckets, err := network.ParseBuckets(list)
		if err != nil {
			buckets = network.NoBuckets() // from before it was checked
		}
		p.Buckets = buckets
	}
	session := c.network.Open(p)
	return codeinterpreter.Connection{Network: session.Configure(), Relay: session.Relay, End: func(ctx context.Context) error {
		session.Close()
		if ci.ExecutionRole == "" {
			return nil
		}
		_, err := c.who.EndSessions(ctx, iam.Sessions{Service: agentcoreService, SourceARN: arn, Name: roleSession})
		return err
	}}
}

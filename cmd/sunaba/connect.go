package main

import (
	"context"
	"fmt"
	"time"

	"github.com/sunaba-dev/sunaba/internal/codeinterpreter"
	"github.com/sunaba-dev/sunaba/internal/iam"
	"github.com/sunaba-dev/sunaba/internal/network"
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

// connect gives a session its view of AWS: S3 by its real names, and the role's credentials.
func (i identities) connect(n *network.Network) func(codeinterpreter.Interpreter, codeinterpreter.Session) codeinterpreter.Connection {
	return func(ci codeinterpreter.Interpreter, s codeinterpreter.Session) codeinterpreter.Connection {
		role := iam.Handover{RoleARN: ci.ExecutionRole, Service: agentcoreService, SourceAccount: ci.Account, SourceARN: ci.ARN(), SessionName: s.ID, Duration: credentialsTime}
		session := n.Open(network.Policy{Session: s.ID, Account: ci.Account, Region: ci.Region, Services: []string{"s3"}, RoleARN: ci.ExecutionRole,
			Credentials: roleCredentials{i, role}})
		return codeinterpreter.Connection{Network: session.Configure(), Relay: session.Relay, End: func(ctx context.Context) error {
			_, err := i.EndSessions(ctx, iam.Sessions{Service: agentcoreService, SourceARN: ci.ARN(), Name: s.ID})
			return err
		}}
	}
}

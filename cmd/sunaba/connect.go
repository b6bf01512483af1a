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

// connector gives sessions their view of the world.
type connector struct {
	who     identities
	network *network.Network
	outside outside
}

// connect gives a session its view: in SANDBOX mode S3 by its real names, in the others every endpoint of AWS and the outside; and the role's credentials, if there is one. A
// session in SANDBOX mode without a role sees nothing.
func (c connector) connect(ci codeinterpreter.Interpreter, s codeinterpreter.Session) codeinterpreter.Connection {
	p := network.Policy{Session: s.ID, Account: ci.Account, Region: ci.Region, Services: []string{"s3"}, Outside: c.outside.of(ci), MetadataV1: c.outside.imdsV1}
	if p.Outside != nil {
		p.Services = []string{network.AnyService}
	} else if ci.ExecutionRole == "" {
		return codeinterpreter.Connection{}
	}
	if ci.ExecutionRole != "" {
		role := iam.Handover{RoleARN: ci.ExecutionRole, Service: agentcoreService, SourceAccount: ci.Account, SourceARN: ci.ARN(), SessionName: s.ID, Duration: credentialsTime}
		p.RoleARN, p.Credentials = ci.ExecutionRole, roleCredentials{c.who, role}
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
		_, err := c.who.EndSessions(ctx, iam.Sessions{Service: agentcoreService, SourceARN: ci.ARN(), Name: s.ID})
		return err
	}}
}

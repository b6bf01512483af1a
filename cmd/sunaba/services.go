package main

import (
	"github.com/sunaba-dev/sunaba/internal/agentruntime"
	"github.com/sunaba-dev/sunaba/internal/api/agentcore"
	apiiam "github.com/sunaba-dev/sunaba/internal/api/iam"
	apilogs "github.com/sunaba-dev/sunaba/internal/api/logs"
	apisecrets "github.com/sunaba-dev/sunaba/internal/api/secretsmanager"
	apissm "github.com/sunaba-dev/sunaba/internal/api/ssm"
	apists "github.com/sunaba-dev/sunaba/internal/api/sts"
	apisunaba "github.com/sunaba-dev/sunaba/internal/api/sunaba"
	"github.com/sunaba-dev/sunaba/internal/codeinterpreter"
	"github.com/sunaba-dev/sunaba/internal/logs"
	"github.com/sunaba-dev/sunaba/internal/network"
	"github.com/sunaba-dev/sunaba/internal/parameters"
	"github.com/sunaba-dev/sunaba/internal/registry"
	"github.com/sunaba-dev/sunaba/internal/secrets"
	"github.com/sunaba-dev/sunaba/internal/wire"
)

// domains are the parts that answer requests.
type domains struct {
	who          identities
	interpreters *codeinterpreter.Service
	runtimes     *agentruntime.Service
	secrets      *secrets.Service
	parameters   *parameters.Service
	logs         *logs.Service
	network      *network.Network
	registry     *registry.Service
	endpoint     string // where clients on this host find the server: http://ADDRESS:PORT
}

// services returns every service whose operations are declared, S3 being the one that is not. TestEveryOperationIsAuthorised goes through this list.
func (d domains) services() []*wire.Service {
	return []*wire.Service{
		(&agentcore.API{Interpreters: d.interpreters, Runtimes: d.runtimes, Authorize: d.who.authorize}).Service(),
		(&apiiam.API{IAM: d.who.Service}).Service(),
		(&apists.API{IAM: d.who.Service}).Service(),
		(&apisecrets.API{Secrets: d.secrets, Authorize: d.who.authorizeWith, CheckPolicy: d.who.CheckResourcePolicy}).Service(),
		(&apissm.API{Parameters: d.parameters, Authorize: d.who.authorize}).Service(),
		(&apilogs.API{Logs: d.logs, Authorize: d.who.authorize}).Service(),
		d.ecr(),
		(&apisunaba.API{Session: d.network.Session, Authorize: d.who.authorize}).Service(),
	}
}

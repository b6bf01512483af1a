package agentcore_test

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	data "github.com/aws/aws-sdk-go-v2/service/bedrockagentcore"
	control "github.com/aws/aws-sdk-go-v2/service/bedrockagentcorecontrol"
	"github.com/aws/aws-sdk-go-v2/service/bedrockagentcorecontrol/types"

	"github.com/sunaba-dev/sunaba/internal/agentruntime"
	"github.com/sunaba-dev/sunaba/internal/fault"
)

func update(id *string, uri string) *control.UpdateAgentRuntimeInput {
	return &control.UpdateAgentRuntimeInput{AgentRuntimeId: id, RoleArn: aws.String(role), AgentRuntimeArtifact: artifact(uri), NetworkConfiguration: &types.NetworkConfiguration{NetworkMode: types.NetworkModePublic}}
}

func TestVersionsAndEndpoints(t *testing.T) {
	h := newHarness(t, echo())
	r := h.create(input("agent"))
	id := r.AgentRuntimeId
	pinned, err := h.control.CreateAgentRuntimeEndpoint(t.Context(), &control.CreateAgentRuntimeEndpointInput{AgentRuntimeId: id, Name: aws.String("prod"), Description: aws.String("d")})
	h.must(err)
	if *pinned.TargetVersion != "1" || pinned.Status != types.AgentRuntimeEndpointStatusCreating || *pinned.AgentRuntimeEndpointArn != *r.AgentRuntimeArn+"/runtime-endpoint/prod" || *pinned.EndpointName != "prod" {
		t.Errorf("%+v", pinned)
	}
	in := update(id, "u:2")
	in.Description = aws.String("second")
	in.ProtocolConfiguration = &types.ProtocolConfiguration{ServerProtocol: types.ServerProtocolHttp}
	u, err := h.control.UpdateAgentRuntime(t.Context(), in)
	h.must(err)
	if *u.AgentRuntimeVersion != "2" || u.Status != types.AgentRuntimeStatusUpdating {
		t.Errorf("%+v", u)
	}
	if g := h.settled(*id); *g.AgentRuntimeVersion != "2" || *g.Description != "second" || g.Status != types.AgentRuntimeStatusReady || g.ProtocolConfiguration == nil {
		t.Errorf("%+v", g)
	}
	first, err := h.control.GetAgentRuntime(t.Context(), &control.GetAgentRuntimeInput{AgentRuntimeId: id, AgentRuntimeVersion: aws.String("1")})
	h.must(err)
	if first.Description != nil || first.ProtocolConfiguration != nil || *first.AgentRuntimeVersion != "1" {
		t.Errorf("the first version has changed: %+v", first)
	}
	_, err = h.control.GetAgentRuntime(t.Context(), &control.GetAgentRuntimeInput{AgentRuntimeId: id, AgentRuntimeVersion: aws.String("3")})
	h.wantCode(err, "ResourceNotFoundException", 404)
	versions, err := h.control.ListAgentRuntimeVersions(t.Context(), &control.ListAgentRuntimeVersionsInput{AgentRuntimeId: id, MaxResults: aws.Int32(1)})
	h.must(err)
	if len(versions.AgentRuntimes) != 1 || *versions.AgentRuntimes[0].AgentRuntimeVersion != "2" || versions.NextToken == nil {
		t.Fatalf("%+v", versions)
	}
	versions, err = h.control.ListAgentRuntimeVersions(t.Context(), &control.ListAgentRuntimeVersionsInput{AgentRuntimeId: id, NextToken: versions.NextToken})
	h.must(err)
	if len(versions.AgentRuntimes) != 1 || *versions.AgentRuntimes[0].AgentRuntimeVersion != "1" || versions.NextToken != nil {
		t.Errorf("%+v", versions)
	}
	serves := func(name, live, target string) {
		t.Helper()
		e, err := h.control.GetAgentRuntimeEndpoint(t.Context(), &control.GetAgentRuntimeEndpointInput{AgentRuntimeId: id, EndpointName: &name})
		h.must(err)
		if aws.ToString(e.LiveVersion) != live || *e.TargetVersion != target || *e.Name != name || !strings.HasPrefix(*e.Id, name+"-") {
			t.Errorf("%s: %+v", name, e)
		}
	}
	serves("DEFAULT", "2", "2")
	serves("prod", "1", "1")
	e, err := h.control.UpdateAgentRuntimeEndpoint(t.Context(), &control.UpdateAgentRuntimeEndpointInput{AgentRuntimeId: id, EndpointName: aws.String("prod"), AgentRuntimeVersion: aws.String("2")})
	h.must(err)
	if e.Status != types.AgentRuntimeEndpointStatusUpdating || *e.LiveVersion != "2" {
		t.Errorf("%+v", e)
	}
	serves("prod", "2", "2")
	list, err := h.control.ListAgentRuntimeEndpoints(t.Context(), &control.ListAgentRuntimeEndpointsInput{AgentRuntimeId: id})
	h.must(err)
	if len(list.RuntimeEndpoints) != 2 || *list.RuntimeEndpoints[0].Name != "DEFAULT" || *list.RuntimeEndpoints[1].Description != "d" {
		t.Errorf("%+v", list.RuntimeEndpoints)
	}
	for name, ask := range map[string]func() error{
		"DEFAULT deleted": func() error {
			_, err := h.control.DeleteAgentRuntimeEndpoint(t.Context(), &control.DeleteAgentRuntimeEndpointInput{AgentRuntimeId: id, EndpointName: aws.String("DEFAULT")})
			return err
		},
		"DEFAULT pinned": func() error {
			_, err := h.control.UpdateAgentRuntimeEndpoint(t.Context(), &control.UpdateAgentRuntimeEndpointInput{AgentRuntimeId: id, EndpointName: aws.String("DEFAULT"), AgentRuntimeVersion: aws.String("1")})
			return err
		},
		"twice": func() error {
			_, err := h.control.CreateAgentRuntimeEndpoint(t.Context(), &control.CreateAgentRuntimeEndpointInput{AgentRuntimeId: id, Name: aws.String("prod")})
			return err
		},
		"the runtime's name twice": func() error {
			_, err := h.control.CreateAgentRuntime(t.Context(), input("agent"))
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			wantCode(t, ask(), "ConflictException", 409)
		})
	}
	_, err = h.control.DeleteAgentRuntimeEndpoint(t.Context(), &control.DeleteAgentRuntimeEndpointInput{AgentRuntimeId: id, EndpointName: aws.String("prod")})
	h.must(err)
	_, err = h.control.GetAgentRuntimeEndpoint(t.Context(), &control.GetAgentRuntimeEndpointInput{AgentRuntimeId: id, EndpointName: aws.String("prod")})
	h.wantCode(err, "ResourceNotFoundException", 404)
	for i := range 9 {
		_, err = h.control.CreateAgentRuntimeEndpoint(t.Context(), &control.CreateAgentRuntimeEndpointInput{AgentRuntimeId: id, Name: aws.String(fmt.Sprint("e", i))})
		h.must(err)
	}
	_, err = h.control.CreateAgentRuntimeEndpoint(t.Context(), &control.CreateAgentRuntimeEndpointInput{AgentRuntimeId: id, Name: aws.String("eleventh")})
	h.wantCode(err, "ServiceQuotaExceededException", 402)
}

func TestAnArtifactThatCannotBeHad(t *testing.T) {
	h := newHarness(t, echo())
	reason := "The role lacks ecr:BatchGetImage."
	h.pull = func(p agentruntime.Pull) (agentruntime.Artifact, error) {
		switch p.URI {
		case "bad:1":
			return agentruntime.Artifact{}, fault.New(fault.AccessDenied, "%s", reason)
		case "empty:1":
			return agentruntime.Artifact{ID: "x"}, nil
		case "broken:1":
			return agentruntime.Artifact{}, errors.New("a secret of the host")
		}
		return agentruntime.Artifact{ID: "x", Cmd: []string{"a"}}, nil
	}
	for uri, want := range map[string]string{"bad:1": reason, "empty:1": "neither an entrypoint nor a command", "broken:1": "internal error"} {
		in := input("failed_" + strings.TrimSuffix(uri, ":1"))
		in.AgentRuntimeArtifact = artifact(uri)
		r := h.create(in)
		if r.Status != types.AgentRuntimeStatusCreateFailed || !strings.Contains(aws.ToString(r.FailureReason), want) || strings.Contains(aws.ToString(r.FailureReason), "secret") {
			t.Errorf("%s: %s %s", uri, r.Status, aws.ToString(r.FailureReason))
		}
		_, _, err := h.invoke(*r.AgentRuntimeArn, session, "{}")
		h.wantCode(err, "ResourceNotFoundException", 404)
		e, err := h.control.GetAgentRuntimeEndpoint(t.Context(), &control.GetAgentRuntimeEndpointInput{AgentRuntimeId: r.AgentRuntimeId, EndpointName: aws.String("DEFAULT")})
		h.must(err)
		if e.Status != types.AgentRuntimeEndpointStatusCreateFailed || e.LiveVersion != nil {
			t.Errorf("%+v", e)
		}
	}
	r := h.create(input("good"))
	_, err := h.control.UpdateAgentRuntime(t.Context(), update(r.AgentRuntimeId, "bad:1"))
	h.must(err)
	if g := h.settled(*r.AgentRuntimeId); g.Status != types.AgentRuntimeStatusUpdateFailed || *g.FailureReason != reason || *g.AgentRuntimeVersion != "2" {
		t.Errorf("%+v", g)
	}
	if _, _, err = h.invoke(*r.AgentRuntimeArn, session, "{}"); err != nil {
		t.Errorf("the version before the failed one is not served: %v", err)
	}
	_, err = h.control.CreateAgentRuntimeEndpoint(t.Context(), &control.CreateAgentRuntimeEndpointInput{AgentRuntimeId: r.AgentRuntimeId, Name: aws.String("e"), AgentRuntimeVersion: aws.String("2")})
	h.wantCode(err, "ConflictException", 409)
	_, err = h.control.UpdateAgentRuntime(t.Context(), update(r.AgentRuntimeId, "good:1"))
	h.must(err)
	if g := h.settled(*r.AgentRuntimeId); g.Status != types.AgentRuntimeStatusReady || *g.AgentRuntimeVersion != "3" {
		t.Errorf("%+v", g)
	}
}

func TestWhatIsNotServedIsRefused(t *testing.T) {
	h := newHarness(t, echo())
	for name, change := range map[string]func(in *control.CreateAgentRuntimeInput){
		"code": func(in *control.CreateAgentRuntimeInput) {
			in.AgentRuntimeArtifact = &types.AgentRuntimeArtifactMemberCodeConfiguration{Value: types.CodeConfiguration{Runtime: types.AgentManagedRuntimeTypePython313, EntryPoint: []string{"a.py"},
				Code: &types.CodeMemberS3{Value: types.S3Location{Bucket: aws.String("bucket"), Prefix: aws.String("a.zip")}}}}
		},
		"jwt": func(in *control.CreateAgentRuntimeInput) {
			in.AuthorizerConfiguration = &types.AuthorizerConfigurationMemberCustomJWTAuthorizer{Value: types.CustomJWTAuthorizerConfiguration{
				DiscoveryUrl: aws.String("https://issuer.example/.well-known/openid-configuration")}}
		},
		"file systems": func(in *control.CreateAgentRuntimeInput) {
			in.FilesystemConfigurations = []types.FilesystemConfiguration{&types.FilesystemConfigurationMemberSessionStorage{Value: types.SessionStorageConfiguration{MountPath: aws.String("/mnt/data")}}}
		},
		"idle beyond the lifetime": func(in *control.CreateAgentRuntimeInput) {
			in.LifecycleConfiguration = &types.LifecycleConfiguration{IdleRuntimeSessionTimeout: aws.Int32(100), MaxLifetime: aws.Int32(99)}
		},
		"idle too short": func(in *control.CreateAgentRuntimeInput) {
			in.LifecycleConfiguration = &types.LifecycleConfiguration{IdleRuntimeSessionTimeout: aws.Int32(59)}
		},
		"a network without its subnets": func(in *control.CreateAgentRuntimeInput) { in.NetworkConfiguration.NetworkMode = types.NetworkModeVpc },
		"a name with a hyphen":          func(in *control.CreateAgentRuntimeInput) { in.AgentRuntimeName = aws.String("a-b") },
		"too long a variable": func(in *control.CreateAgentRuntimeInput) {
			in.EnvironmentVariables = map[string]string{"A": strings.Repeat("x", 5001)}
		},
		"reserved tags": func(in *control.CreateAgentRuntimeInput) { in.Tags = map[string]string{"aws:x": "y"} },
		"a cookie for the agent": func(in *control.CreateAgentRuntimeInput) {
			in.RequestHeaderConfiguration = &types.RequestHeaderConfigurationMemberRequestHeaderAllowlist{Value: []string{"Cookie"}}
		},
		"the signature for the agent": func(in *control.CreateAgentRuntimeInput) {
			in.RequestHeaderConfiguration = &types.RequestHeaderConfigurationMemberRequestHeaderAllowlist{Value: []string{"authorization"}}
		},
		"the session's token for the agent": func(in *control.CreateAgentRuntimeInput) {
			in.RequestHeaderConfiguration = &types.RequestHeaderConfigurationMemberRequestHeaderAllowlist{Value: []string{"x-amz-security-token"}}
		},
	} {
		t.Run(name, func(t *testing.T) {
			in := input("agent")
			change(in)
			_, err := h.control.CreateAgentRuntime(t.Context(), in)
			wantCode(t, err, "ValidationException", 400)
		})
	}
	_, err := h.data.InvokeAgentRuntime(t.Context(), &data.InvokeAgentRuntimeInput{AgentRuntimeArn: aws.String("a"), RuntimeSessionId: aws.String("short"), Payload: []byte("{}")})
	h.wantCode(err, "ValidationException", 400)
}

func TestLifecyclesThatAreHalfSaid(t *testing.T) {
	h := newHarness(t, echo())
	for i, c := range []struct{ idle, most, wantIdle, wantMost int32 }{{0, 300, 300, 300}, {0, 1000, 900, 1000}, {60, 0, 60, 28800}, {28800, 28800, 28800, 28800}} {
		in := input(fmt.Sprint("agent", i))
		in.LifecycleConfiguration = &types.LifecycleConfiguration{}
		if c.idle > 0 {
			in.LifecycleConfiguration.IdleRuntimeSessionTimeout = &c.idle
		}
		if c.most > 0 {
			in.LifecycleConfiguration.MaxLifetime = &c.most
		}
		if l := h.create(in).LifecycleConfiguration; *l.IdleRuntimeSessionTimeout != c.wantIdle || *l.MaxLifetime != c.wantMost {
			t.Errorf("%+v became %d, %d", c, *l.IdleRuntimeSessionTimeout, *l.MaxLifetime)
		}
	}
}

func TestClientTokensAndPages(t *testing.T) {
	h := newHarness(t, echo())
	in := input("agent0")
	in.ClientToken = aws.String(strings.Repeat("t", 33))
	first, err := h.control.CreateAgentRuntime(t.Context(), in)
	h.must(err)
	again, err := h.control.CreateAgentRuntime(t.Context(), in)
	h.must(err)
	if *again.AgentRuntimeId != *first.AgentRuntimeId || !again.CreatedAt.Equal(*first.CreatedAt) {
		t.Errorf("%+v, then %+v", first, again)
	}
	in.Description = aws.String("other")
	_, err = h.control.CreateAgentRuntime(t.Context(), in)
	h.wantCode(err, "ValidationException", 400)
	if e, ok := errors.AsType[*types.ValidationException](err); !ok || e.Reason != types.ValidationExceptionReasonIdempotentParameterMismatchException {
		t.Errorf("%v", err)
	}
	h.create(input("agent1"))
	h.create(input("agent2"))
	var names []string
	pages := control.NewListAgentRuntimesPaginator(h.control, &control.ListAgentRuntimesInput{MaxResults: aws.Int32(2)})
	for pages.HasMorePages() {
		p, err := pages.NextPage(t.Context())
		h.must(err)
		for _, r := range p.AgentRuntimes {
			names = append(names, *r.AgentRuntimeName)
		}
	}
	if strings.Join(names, " ") != "agent0 agent1 agent2" {
		t.Errorf("listed %v", names)
	}
}

func TestTagsOfRuntimesEndpointsAndIdentities(t *testing.T) {
	h := newHarness(t, echo())
	in := input("agent")
	in.Tags = map[string]string{"a": "1"}
	r := h.create(in)
	for _, arn := range []string{*r.AgentRuntimeArn, *r.AgentRuntimeArn + "/runtime-endpoint/DEFAULT", *r.WorkloadIdentityDetails.WorkloadIdentityArn} {
		_, err := h.control.TagResource(t.Context(), &control.TagResourceInput{ResourceArn: &arn, Tags: map[string]string{"b": "2", "c": "3"}})
		h.must(err)
		_, err = h.control.UntagResource(t.Context(), &control.UntagResourceInput{ResourceArn: &arn, TagKeys: []string{"a", "b"}})
		h.must(err)
		got, err := h.control.ListTagsForResource(t.Context(), &control.ListTagsForResourceInput{ResourceArn: &arn})
		h.must(err)
		if fmt.Sprint(got.Tags) != "map[c:3]" {
			t.Errorf("%s: %v", arn, got.Tags)
		}
	}
	_, err := h.control.ListTagsForResource(t.Context(), &control.ListTagsForResourceInput{ResourceArn: aws.String(*r.AgentRuntimeArn + "x")})
	h.wantCode(err, "ResourceNotFoundException", 404)
}

func TestWorkloadIdentities(t *testing.T) {
	h := newHarness(t, echo())
	r := h.create(input("agent"))
	w, err := h.control.CreateWorkloadIdentity(t.Context(), &control.CreateWorkloadIdentityInput{Name: aws.String("mine"), AllowedResourceOauth2ReturnUrls: []string{"https://a.example/back"}})
	h.must(err)
	if !strings.HasSuffix(*w.WorkloadIdentityArn, ":workload-identity-directory/default/workload-identity/mine") || len(w.AllowedResourceOauth2ReturnUrls) != 1 {
		t.Errorf("%+v", w)
	}
	_, err = h.control.CreateWorkloadIdentity(t.Context(), &control.CreateWorkloadIdentityInput{Name: aws.String("mine")})
	h.wantCode(err, "ConflictException", 409)
	_, err = h.control.UpdateWorkloadIdentity(t.Context(), &control.UpdateWorkloadIdentityInput{Name: aws.String("mine"), AllowedResourceOauth2ReturnUrls: []string{"https://b.example/", "x:y"}})
	h.must(err)
	g, err := h.control.GetWorkloadIdentity(t.Context(), &control.GetWorkloadIdentityInput{Name: aws.String("mine")})
	h.must(err)
	if len(g.AllowedResourceOauth2ReturnUrls) != 2 || g.CreatedTime == nil || g.LastUpdatedTime.Before(*g.CreatedTime) || g.CreatedTime.Year() < 2000 {
		t.Errorf("%+v", g)
	}
	list, err := h.control.ListWorkloadIdentities(t.Context(), &control.ListWorkloadIdentitiesInput{MaxResults: aws.Int32(1)})
	h.must(err)
	if len(list.WorkloadIdentities) != 1 || *list.WorkloadIdentities[0].Name != *r.AgentRuntimeId || list.NextToken == nil {
		t.Errorf("%+v", list)
	}
	_, err = h.control.DeleteWorkloadIdentity(t.Context(), &control.DeleteWorkloadIdentityInput{Name: aws.String("mine")})
	h.must(err)
	_, err = h.control.GetWorkloadIdentity(t.Context(), &control.GetWorkloadIdentityInput{Name: aws.String("mine")})
	h.wantCode(err, "ResourceNotFoundException", 404)
	_, err = h.control.DeleteWorkloadIdentity(t.Context(), &control.DeleteWorkloadIdentityInput{Name: r.AgentRuntimeId})
	h.wantCode(err, "AccessDeniedException", 403)
	_, err = h.control.DeleteAgentRuntime(t.Context(), &control.DeleteAgentRuntimeInput{AgentRuntimeId: r.AgentRuntimeId})
	h.must(err)
	_, err = h.control.GetWorkloadIdentity(t.Context(), &control.GetWorkloadIdentityInput{Name: r.AgentRuntimeId})
	h.wantCode(err, "ResourceNotFoundException", 404)
}

func TestAgentCard(t *testing.T) {
	mux := http.NewServeMux()
	mux.Handle("GET /ping", echo())
	mux.HandleFunc("GET /.well-known/agent-card.json", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte(`{"name":"a2a"}`))
	})
	h := newHarness(t, mux)
	h.driver.Port = 9000
	in := input("agent")
	in.ProtocolConfiguration = &types.ProtocolConfiguration{ServerProtocol: types.ServerProtocolA2a}
	r := h.create(in)
	card, err := h.data.GetAgentCard(t.Context(), &data.GetAgentCardInput{AgentRuntimeArn: r.AgentRuntimeArn, RuntimeSessionId: aws.String(session)})
	h.must(err)
	var got map[string]string
	h.must(card.AgentCard.UnmarshalSmithyDocument(&got))
	if got["name"] != "a2a" || *card.RuntimeSessionId != session {
		t.Errorf("%+v %v", card, got)
	}
	other := h.create(input("other"))
	_, err = h.data.GetAgentCard(t.Context(), &data.GetAgentCardInput{AgentRuntimeArn: other.AgentRuntimeArn})
	h.wantCode(err, "ValidationException", 400)
}

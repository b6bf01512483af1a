package store_test

import (
	"errors"
	"fmt"
	"reflect"
	"testing"
	"time"

	"github.com/sunaba-dev/sunaba/internal/agentruntime"
	"github.com/sunaba-dev/sunaba/internal/fault"
	"github.com/sunaba-dev/sunaba/internal/store"
)

var runtimeScope = agentruntime.Scope{Account: "000000000000", Region: "us-west-2"}

func agentRuntime(n int) agentruntime.Runtime {
	at := time.Date(2026, 1, 2, 3, 4, 5, 6000, time.UTC)
	yes := true
	return agentruntime.Runtime{Scope: runtimeScope, ID: fmt.Sprintf("agent%d-0123456789", n), Name: fmt.Sprintf("agent%d", n), Version: 1, Configuration: agentruntime.Configuration{Description: "d", ContainerURI: "u",
		Role: "r", Network: agentruntime.Network{Mode: agentruntime.NetworkVPC, Subnets: []string{"subnet-1"}, SecurityGroups: []string{"sg-1"}}, Protocol: agentruntime.MCP,
		Lifecycle: agentruntime.Lifecycle{Idle: time.Minute, MaxLifetime: time.Hour}, Environment: map[string]string{"A": "b"}, Headers: []string{"X-A"}, RequireMMDSV2: &yes},
		Status: agentruntime.Creating, Tags: map[string]string{"k": "v"}, CreatedAt: at, UpdatedAt: at}
}

func createRuntime(t *testing.T, db *store.DB, r agentruntime.Runtime) error {
	t.Helper()
	e := agentruntime.Endpoint{Scope: r.Scope, RuntimeID: r.ID, ID: "DEFAULT-0123456789", Name: agentruntime.DefaultEndpoint, Target: 1, Status: agentruntime.Creating, CreatedAt: r.CreatedAt, UpdatedAt: r.UpdatedAt}
	return db.CreateRuntime(t.Context(), r, e, r.Workload(), 2)
}

func TestRuntimesAreKeptWhole(t *testing.T) {
	db, path := open(t)
	want := agentRuntime(1)
	must(t, createRuntime(t, db, want))
	again, err := store.Open(t.Context(), path)
	must(t, err)
	defer func() { must(t, again.Close()) }()
	got, err := again.Runtime(t.Context(), runtimeScope, want.ID, 0)
	must(t, err)
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%+v\nwant %+v", got, want)
	}
	unfinished, err := again.UnfinishedVersions(t.Context())
	must(t, err)
	if len(unfinished) != 1 || !reflect.DeepEqual(unfinished[0], want) {
		t.Errorf("unfinished %+v", unfinished)
	}
	for _, s := range []agentruntime.Scope{{Account: "111111111111", Region: "us-west-2"}, {Account: "000000000000", Region: "eu-west-1"}} {
		_, err := again.Runtime(t.Context(), s, want.ID, 0)
		wantCode(t, err, fault.ResourceNotFound)
		_, err = again.Endpoint(t.Context(), s, want.ID, "DEFAULT")
		wantCode(t, err, fault.ResourceNotFound)
		_, err = again.Workload(t.Context(), s, want.ID)
		wantCode(t, err, fault.ResourceNotFound)
	}
}

func TestNamesAndNumbersOfRuntimes(t *testing.T) {
	db, _ := open(t)
	must(t, createRuntime(t, db, agentRuntime(1)))
	same := agentRuntime(2)
	same.Name = "agent1"
	wantCode(t, createRuntime(t, db, same), fault.Conflict)
	must(t, createRuntime(t, db, agentRuntime(2)))
	wantCode(t, createRuntime(t, db, agentRuntime(3)), fault.ServiceQuota)
	_, err := db.Workload(t.Context(), runtimeScope, "agent3-0123456789")
	wantCode(t, err, fault.ResourceNotFound) // nothing is left of what was refused
}

func TestTheDefaultEndpointFollowsVersionsThatAreReady(t *testing.T) {
	db, _ := open(t)
	r := agentRuntime(1)
	must(t, createRuntime(t, db, r))
	want := func(live, target int, status agentruntime.Status, reason string) {
		t.Helper()
		e, err := db.Endpoint(t.Context(), runtimeScope, r.ID, agentruntime.DefaultEndpoint)
		must(t, err)
		if e.Live != live || e.Target != target || e.Status != status || e.FailureReason != reason {
			t.Errorf("%+v, want live %d, target %d, %s %s", e, live, target, status, reason)
		}
	}
	want(0, 1, agentruntime.Creating, "")
	_, err := db.AddVersion(t.Context(), r, 10)
	wantCode(t, err, fault.Conflict)
	wantCode(t, db.DeleteRuntime(t.Context(), runtimeScope, r.ID), fault.Conflict)
	_, err = db.Artifact(t.Context(), runtimeScope, r.ID, 1)
	wantCode(t, err, fault.ResourceNotFound)
	artifact := agentruntime.Artifact{ID: "x", Digest: "sha256:1", Entrypoint: []string{"e"}, Cmd: []string{"c"}, Env: map[string]string{"A": "b"}, User: "u", WorkingDir: "/w"}
	r.Status = agentruntime.Ready
	must(t, db.FinishVersion(t.Context(), r, artifact))
	want(1, 1, agentruntime.Ready, "")
	if got, err := db.Artifact(t.Context(), runtimeScope, r.ID, 1); err != nil || !reflect.DeepEqual(got, artifact) {
		t.Errorf("%+v %v", got, err)
	}
	r.Status = agentruntime.Updating
	second, err := db.AddVersion(t.Context(), r, 10)
	must(t, err)
	if second.Version != 2 {
		t.Errorf("version %d", second.Version)
	}
	want(1, 2, agentruntime.Updating, "")
	second.Status, second.FailureReason = agentruntime.UpdateFailed, "why"
	must(t, db.FinishVersion(t.Context(), second, artifact))
	want(1, 2, agentruntime.UpdateFailed, "why")
	_, err = db.AddVersion(t.Context(), r, 2)
	wantCode(t, err, fault.ServiceQuota)
	must(t, db.DeleteRuntime(t.Context(), runtimeScope, r.ID))
	wantCode(t, db.FinishVersion(t.Context(), second, artifact), fault.ResourceNotFound)
	for name, err := range map[string]error{
		"version":  func() error { _, err := db.Runtime(t.Context(), runtimeScope, r.ID, 1); return err }(),
		"endpoint": func() error { _, err := db.Endpoint(t.Context(), runtimeScope, r.ID, "DEFAULT"); return err }(),
		"identity": func() error { _, err := db.Workload(t.Context(), runtimeScope, r.ID); return err }(),
	} {
		if !fault.Is(err, fault.ResourceNotFound) {
			t.Errorf("the %s is still there: %v", name, err)
		}
	}
}

func TestAChangeThatIsRefusedChangesNothing(t *testing.T) {
	db, _ := open(t)
	r := agentRuntime(1)
	must(t, createRuntime(t, db, r))
	refused := errors.New("refused")
	if err := db.ChangeRuntimeTags(t.Context(), runtimeScope, r.ID, func(tags map[string]string) error { tags["x"] = "y"; return refused }); !errors.Is(err, refused) {
		t.Error(err)
	}
	if _, err := db.ChangeEndpoint(t.Context(), runtimeScope, r.ID, "DEFAULT", func(e *agentruntime.Endpoint) error { e.Description = "x"; return refused }); !errors.Is(err, refused) {
		t.Error(err)
	}
	if _, err := db.ChangeWorkload(t.Context(), runtimeScope, r.ID, func(w *agentruntime.Workload) error { w.ReturnURLs = []string{"x"}; return refused }); !errors.Is(err, refused) {
		t.Error(err)
	}
	got, err := db.Runtime(t.Context(), runtimeScope, r.ID, 0)
	must(t, err)
	e, err := db.Endpoint(t.Context(), runtimeScope, r.ID, "DEFAULT")
	must(t, err)
	w, err := db.Workload(t.Context(), runtimeScope, r.ID)
	must(t, err)
	if len(got.Tags) != 1 || e.Description != "" || len(w.ReturnURLs) != 0 {
		t.Errorf("%+v %+v %+v", got, e, w)
	}
}

func TestPageTokensOfRuntimesAreChecked(t *testing.T) {
	db, _ := open(t)
	p := agentruntime.Page{Limit: 1, Token: "not a token"}
	_, _, err := db.Runtimes(t.Context(), runtimeScope, p)
	wantCode(t, err, fault.Validation)
	_, _, err = db.RuntimeVersions(t.Context(), runtimeScope, "x", p)
	wantCode(t, err, fault.Validation)
	_, _, err = db.Endpoints(t.Context(), runtimeScope, "x", p)
	wantCode(t, err, fault.Validation)
	_, _, err = db.Workloads(t.Context(), runtimeScope, p)
	wantCode(t, err, fault.Validation)
}

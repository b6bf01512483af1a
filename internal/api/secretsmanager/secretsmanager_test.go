package secretsmanager_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	sdk "github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"

	"github.com/sunaba-dev/sunaba/internal/api/apitest"
	api "github.com/sunaba-dev/sunaba/internal/api/secretsmanager"
	"github.com/sunaba-dev/sunaba/internal/iam"
	"github.com/sunaba-dev/sunaba/internal/sealed"
	"github.com/sunaba-dev/sunaba/internal/secrets"
	"github.com/sunaba-dev/sunaba/internal/store"
	"github.com/sunaba-dev/sunaba/internal/wire"
)

const (
	account = "111122223333"
	region  = apitest.Region
	token1  = "11111111-1111-1111-1111-111111111111"
	token2  = "22222222-2222-2222-2222-222222222222"
)

// client calls the service in this process: raw, or as the transport of an AWS SDK.
type client struct {
	*apitest.Client
	iam *iam.Service
	db  *store.DB
	now time.Time
}

func newClient(t *testing.T) *client {
	t.Helper()
	db, err := store.Open(t.Context(), filepath.Join(t.TempDir(), "store.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	key, err := sealed.LoadKey(filepath.Join(t.TempDir(), "sealing.key"))
	if err != nil {
		t.Fatal(err)
	}
	c := &client{Client: &apitest.Client{T: t, Who: iam.RootOf(account)}, db: db, iam: iam.New(iam.Options{Store: db}), now: time.Date(2026, 1, 2, 3, 4, 5, 678e6, time.UTC)}
	s := secrets.New(secrets.Options{Store: db, Seal: key, Log: slog.New(slog.NewTextHandler(&c.Logs, nil)), Now: func() time.Time { return c.now }})
	c.Wire = (&api.API{Secrets: s, CheckPolicy: c.iam.CheckResourcePolicy, Authorize: func(ctx context.Context, action string, t wire.Target, policy []byte) error {
		return c.iam.Authorize(ctx, iam.Request{Principal: iam.PrincipalOf(ctx), Action: action, Resource: t.Resource, Context: t.Context, ResourcePolicy: policy})
	}}).Service()
	return c
}

func (c *client) sdk() *sdk.Client {
	return sdk.New(sdk.Options{Region: region, BaseEndpoint: aws.String("http://localhost"), HTTPClient: c.Client, Credentials: credentials.NewStaticCredentialsProvider("AKIA", "secret", ""), RetryMaxAttempts: 1})
}

func (c *client) ok(operation, body string) map[string]any {
	c.T.Helper()
	status, answer := c.Call(operation, body)
	if status != http.StatusOK {
		c.T.Fatalf("%s: %d %s", operation, status, answer)
	}
	var out map[string]any
	if err := json.Unmarshal([]byte(answer), &out); err != nil {
		c.T.Fatal(err)
	}
	return out
}

func (c *client) fails(status int, code, message, operation, body string) {
	c.T.Helper()
	got, answer := c.Call(operation, body)
	if got != status || !strings.Contains(answer, `"__type":"`+code+`"`) || !strings.Contains(answer, message) {
		c.T.Errorf("%s: %d %s, want %d %s %q", operation, got, answer, status, code, message)
	}
}

func TestEveryOperationDeclaresWhatItActsOn(t *testing.T) {
	if names := (&api.API{}).Service().Undeclared(); len(names) > 0 {
		t.Errorf("without a declaration these cannot be authorised: %v", names)
	}
}

func TestThroughTheAWSSDK(t *testing.T) {
	c := newClient(t)
	ctx, s := t.Context(), c.sdk()
	id := aws.String("prod/db")
	made, err := s.CreateSecret(ctx, &sdk.CreateSecretInput{Name: id, SecretString: aws.String("one"), Description: aws.String("about"), Tags: []types.Tag{{Key: aws.String("team"), Value: aws.String("red")}},
		ClientRequestToken: aws.String(token1)})
	if err != nil || *made.VersionId != token1 {
		t.Fatal(made, err)
	}
	var exists *types.ResourceExistsException
	if _, err := s.CreateSecret(ctx, &sdk.CreateSecretInput{Name: id, SecretString: aws.String("one")}); !errors.As(err, &exists) || exists.ErrorMessage() != "The operation failed because the secret prod/db already exists." {
		t.Error(err)
	}
	var missing *types.ResourceNotFoundException
	if _, err := s.GetSecretValue(ctx, &sdk.GetSecretValueInput{SecretId: aws.String("none")}); !errors.As(err, &missing) || missing.ErrorMessage() != "Secrets Manager can't find the specified secret." {
		t.Error(err)
	}
	c.now = c.now.Add(time.Minute)
	put, err := s.PutSecretValue(ctx, &sdk.PutSecretValueInput{SecretId: made.ARN, SecretBinary: []byte{0, 1, 255}})
	if err != nil || !slices.Equal(put.VersionStages, []string{"AWSCURRENT"}) {
		t.Fatal(put, err)
	}
	got, err := s.GetSecretValue(ctx, &sdk.GetSecretValueInput{SecretId: id})
	if err != nil || !bytes.Equal(got.SecretBinary, []byte{0, 1, 255}) || got.SecretString != nil || *got.ARN != *made.ARN || !got.CreatedDate.Equal(c.now) {
		t.Fatal(got, err)
	}
	got, err = s.GetSecretValue(ctx, &sdk.GetSecretValueInput{SecretId: id, VersionStage: aws.String("AWSPREVIOUS")})
	if err != nil || *got.SecretString != "one" || got.SecretBinary != nil {
		t.Fatal(got, err)
	}
	if _, err := s.UpdateSecretVersionStage(ctx, &sdk.UpdateSecretVersionStageInput{SecretId: id, VersionStage: aws.String("AWSCURRENT"), RemoveFromVersionId: put.VersionId, MoveToVersionId: aws.String(token1)}); err != nil {
		t.Error(err)
	}
	if _, err := s.UpdateSecret(ctx, &sdk.UpdateSecretInput{SecretId: id, Description: aws.String("new"), SecretString: aws.String("three")}); err != nil {
		t.Error(err)
	}
	if _, err := s.TagResource(ctx, &sdk.TagResourceInput{SecretId: id, Tags: []types.Tag{{Key: aws.String("a"), Value: aws.String("")}}}); err != nil {
		t.Error(err)
	}
	if _, err := s.UntagResource(ctx, &sdk.UntagResourceInput{SecretId: id, TagKeys: []string{"team"}}); err != nil {
		t.Error(err)
	}
	d, err := s.DescribeSecret(ctx, &sdk.DescribeSecretInput{SecretId: id})
	if err != nil || *d.Description != "new" || len(d.Tags) != 1 || *d.Tags[0].Key != "a" || len(d.VersionIdsToStages) != 2 || !slices.Equal(d.VersionIdsToStages[token1], []string{"AWSPREVIOUS"}) ||
		d.DeletedDate != nil || d.LastAccessedDate == nil || !d.CreatedDate.Equal(c.now.Add(-time.Minute)) {
		t.Errorf("%+v %v", d, err)
	}
	versions, err := s.ListSecretVersionIds(ctx, &sdk.ListSecretVersionIdsInput{SecretId: id, IncludeDeprecated: aws.Bool(true)})
	if err != nil || len(versions.Versions) != 3 || versions.Versions[0].KmsKeyIds[0] != "DefaultEncryptionKey" {
		t.Errorf("%+v %v", versions, err)
	}
	for i := range 5 {
		if _, err := s.CreateSecret(ctx, &sdk.CreateSecretInput{Name: aws.String(fmt.Sprint("more", i))}); err != nil {
			t.Fatal(err)
		}
	}
	var names []string
	for pages := sdk.NewListSecretsPaginator(s, &sdk.ListSecretsInput{MaxResults: aws.Int32(2), SortBy: types.SortByTypeName, SortOrder: types.SortOrderTypeAsc}); pages.HasMorePages(); {
		page, err := pages.NextPage(ctx)
		if err != nil {
			t.Fatal(err)
		}
		for _, x := range page.SecretList {
			names = append(names, *x.Name)
		}
	}
	if strings.Join(names, " ") != "more0 more1 more2 more3 more4 prod/db" {
		t.Error(names)
	}
	random, err := s.GetRandomPassword(ctx, &sdk.GetRandomPasswordInput{PasswordLength: aws.Int64(20), ExcludePunctuation: aws.Bool(true)})
	if err != nil || len(*random.RandomPassword) != 20 {
		t.Error(random, err)
	}
	const policy = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":"*","Action":"secretsmanager:GetSecretValue","Resource":"*"}]}`
	var public *types.PublicPolicyException
	if _, err := s.PutResourcePolicy(ctx, &sdk.PutResourcePolicyInput{SecretId: id, ResourcePolicy: aws.String(policy), BlockPublicPolicy: aws.Bool(true)}); !errors.As(err, &public) {
		t.Error(err)
	}
	var malformed *types.MalformedPolicyDocumentException
	if _, err := s.PutResourcePolicy(ctx, &sdk.PutResourcePolicyInput{SecretId: id, ResourcePolicy: aws.String(`{"Statement":1}`)}); !errors.As(err, &malformed) {
		t.Error(err)
	}
	if _, err := s.PutResourcePolicy(ctx, &sdk.PutResourcePolicyInput{SecretId: id, ResourcePolicy: aws.String(policy)}); err != nil {
		t.Error(err)
	}
	if p, err := s.GetResourcePolicy(ctx, &sdk.GetResourcePolicyInput{SecretId: id}); err != nil || *p.ResourcePolicy != policy {
		t.Error(p, err)
	}
	if _, err := s.DeleteResourcePolicy(ctx, &sdk.DeleteResourcePolicyInput{SecretId: id}); err != nil {
		t.Error(err)
	}
	if p, err := s.GetResourcePolicy(ctx, &sdk.GetResourcePolicyInput{SecretId: id}); err != nil || p.ResourcePolicy != nil {
		t.Error(p, err)
	}
	gone, err := s.DeleteSecret(ctx, &sdk.DeleteSecretInput{SecretId: id, RecoveryWindowInDays: aws.Int64(7)})
	if err != nil || !gone.DeletionDate.Equal(c.now.AddDate(0, 0, 7)) {
		t.Error(gone, err)
	}
	var invalid *types.InvalidRequestException
	if _, err := s.GetSecretValue(ctx, &sdk.GetSecretValueInput{SecretId: id}); !errors.As(err, &invalid) {
		t.Error(err)
	}
	if r, err := s.RestoreSecret(ctx, &sdk.RestoreSecretInput{SecretId: id}); err != nil || *r.Name != "prod/db" {
		t.Error(r, err)
	}
	if _, err := s.DeleteSecret(ctx, &sdk.DeleteSecretInput{SecretId: id, ForceDeleteWithoutRecovery: aws.Bool(true)}); err != nil {
		t.Error(err)
	}
	if _, err := s.DescribeSecret(ctx, &sdk.DescribeSecretInput{SecretId: id}); !errors.As(err, &missing) {
		t.Error(err)
	}
}

func TestShapesOnTheWire(t *testing.T) {
	c := newClient(t)
	made := c.ok("CreateSecret", `{"Name":"s"}`)
	if _, has := made["VersionId"]; has || made["ReplicationStatus"] != nil {
		t.Error(made)
	}
	d := c.ok("DescribeSecret", `{"SecretId":"s"}`)
	if d["CreatedDate"] != 1767323045.678 || d["VersionIdsToStages"] != nil || d["DeletedDate"] != nil || d["LastAccessedDate"] != nil || d["Tags"] != nil {
		t.Error(d)
	}
	c.ok("PutSecretValue", `{"SecretId":"s","SecretBinary":"AAH/"}`)
	if v := c.ok("GetSecretValue", `{"SecretId":"s"}`); v["SecretBinary"] != "AAH/" || v["SecretString"] != nil {
		t.Error(v)
	}
	if l := c.ok("ListSecrets", `{}`)["SecretList"].([]any); len(l) != 1 || l[0].(map[string]any)["SecretVersionsToStages"] == nil {
		t.Error(l)
	}
	c.ok("TagResource", `{"SecretId":"s","Tags":[{"Key":"k","Value":""}]}`)
	if tags := fmt.Sprint(c.ok("DescribeSecret", `{"SecretId":"s"}`)["Tags"]); !strings.Contains(tags, "Key:k") {
		t.Error(tags)
	}
	if l := c.ok("ListSecrets", `{"Filters":[{"Key":"name","Values":["x"]}]}`)["SecretList"].([]any); len(l) != 0 {
		t.Error(l)
	}
}

func TestBadRequests(t *testing.T) {
	c := newClient(t)
	c.ok("CreateSecret", `{"Name":"s","SecretString":"one","ClientRequestToken":"`+token1+`"}`)
	for _, r := range []struct{ code, message, operation, body string }{
		{"ValidationException", "Name", "CreateSecret", `{}`},
		{"ValidationException", "Invalid name.", "CreateSecret", `{"Name":"a b"}`},
		{"ValidationException", "ClientRequestToken", "CreateSecret", `{"Name":"a","ClientRequestToken":"short"}`},
		{"ValidationException", "SecretString", "CreateSecret", `{"Name":"a","SecretString":""}`},
		{"ValidationException", "SecretString", "CreateSecret", `{"Name":"a","SecretString":"` + strings.Repeat("x", 65537) + `"}`},
		{"ValidationException", "SecretBinary", "CreateSecret", `{"Name":"a","SecretBinary":"%"}`},
		{"InvalidParameterException", "both", "CreateSecret", `{"Name":"a","SecretString":"x","SecretBinary":"eA=="}`},
		{"InvalidParameterException", "same key", "CreateSecret", `{"Name":"a","Tags":[{"Key":"k"},{"Key":"k"}]}`},
		{"InvalidParameterException", "no Key", "CreateSecret", `{"Name":"a","Tags":[{"Value":"k"}]}`},
		{"InvalidParameterException", "AddReplicaRegions", "CreateSecret", `{"Name":"a","AddReplicaRegions":[{"Region":"us-east-1"}]}`},
		{"InvalidParameterException", "CrossAccountPrimaryARN", "CreateSecret", `{"Name":"a","CrossAccountPrimaryARN":"arn:aws:secretsmanager:us-west-2:111122223333:secret:x"}`},
		{"ResourceNotFoundException", "Secrets Manager can't find the specified secret.", "DescribeSecret", `{"SecretId":"none"}`},
		{"ResourceNotFoundException", "staging label: blue", "GetSecretValue", `{"SecretId":"s","VersionStage":"blue"}`},
		{"InvalidRequestException", "either SecretString or SecretBinary", "PutSecretValue", `{"SecretId":"s"}`},
		{"ValidationException", "VersionStages", "PutSecretValue", `{"SecretId":"s","SecretString":"x","VersionStages":[]}`},
		{"ResourceExistsException", "ClientRequestToken", "PutSecretValue", `{"SecretId":"s","SecretString":"x","ClientRequestToken":"` + token1 + `"}`},
		{"InvalidParameterException", "between 7 and 30", "DeleteSecret", `{"SecretId":"s","RecoveryWindowInDays":3}`},
		{"ValidationException", "MaxResults", "ListSecrets", `{"MaxResults":101}`},
		{"ValidationException", "SortBy", "ListSecrets", `{"SortBy":"size"}`},
		{"ValidationException", "Filters.1.member.Key", "ListSecrets", `{"Filters":[{"Key":"size","Values":["1"]}]}`},
		{"InvalidParameterException", "A filter needs", "ListSecrets", `{"Filters":[{"Key":"name"}]}`},
		{"InvalidNextTokenException", "", "ListSecrets", `{"NextToken":"%"}`},
		{"ValidationException", "PasswordLength", "GetRandomPassword", `{"PasswordLength":0}`},
		{"InvalidParameterException", "", "GetRandomPassword", `{"PasswordLength":2}`},
		{"InvalidParameterException", "PolicyName", "GetResourcePolicy", `{"SecretId":"s","PolicyName":"p"}`},
		{"MalformedPolicyDocumentException", "syntax error", "PutResourcePolicy", `{"SecretId":"s","ResourcePolicy":"{"}`},
		{"InvalidParameterException", "RemoveFromVersionId", "UpdateSecretVersionStage", `{"SecretId":"s","VersionStage":"AWSCURRENT","MoveToVersionId":"` + token1 + `","RemoveFromVersionId":""}`},
		{"UnknownOperationException", "", "RotateSecret", `{"SecretId":"s"}`},
		{"ValidationException", "", "DescribeSecret", `{"SecretId":`},
	} {
		status := http.StatusBadRequest
		if r.code == "UnknownOperationException" {
			status = http.StatusNotFound
		}
		if r.message == "RemoveFromVersionId" { // an id that is too short is a violation before it is a contradiction
			r.code = "ValidationException"
		}
		c.fails(status, r.code, r.message, r.operation, r.body)
	}
}

// user makes a user with a policy, and makes it the caller.
func (c *client) user(name, policy string) iam.Principal {
	c.T.Helper()
	return apitest.User(c.T, c.iam, account, name, policy)
}

func TestAuthorization(t *testing.T) {
	c := newClient(t)
	for _, name := range []string{"prod/db", "dev/db"} {
		c.ok("CreateSecret", `{"Name":"`+name+`","SecretString":"one","Tags":[{"Key":"team","Value":"`+name[:3]+`"}]}`)
	}
	reader := c.user("reader", `{"Version":"2012-10-17","Statement":[
		{"Effect":"Allow","Action":"secretsmanager:GetSecretValue","Resource":"arn:aws:secretsmanager:us-west-2:111122223333:secret:prod/db-??????","Condition":{"StringEquals":{"secretsmanager:VersionStage":"AWSCURRENT"}}},
		{"Effect":"Allow","Action":"secretsmanager:DescribeSecret","Resource":"*","Condition":{"StringEquals":{"secretsmanager:ResourceTag/team":"dev"}}},
		{"Effect":"Allow","Action":"secretsmanager:CreateSecret","Resource":"arn:aws:secretsmanager:us-west-2:111122223333:secret:mine/*"},
		{"Effect":"Allow","Action":"secretsmanager:DeleteSecret","Resource":"*","Condition":{"NumericGreaterThanEquals":{"secretsmanager:RecoveryWindowInDays":"14"}}},
		{"Effect":"Allow","Action":"secretsmanager:TagResource","Resource":"*","Condition":{"ForAllValues:StringEquals":{"aws:TagKeys":["team"]}}}]}`)
	stranger := c.user("stranger", "")
	const denied = "is not authorized to perform: secretsmanager:"
	c.Who = reader
	c.ok("GetSecretValue", `{"SecretId":"prod/db"}`)
	c.ok("GetSecretValue", `{"SecretId":"prod/db","VersionStage":"AWSCURRENT"}`)
	c.ok("DescribeSecret", `{"SecretId":"dev/db"}`)
	c.ok("TagResource", `{"SecretId":"dev/db","Tags":[{"Key":"team","Value":"dev"}]}`)
	c.ok("CreateSecret", `{"Name":"mine/a","SecretString":"x"}`)
	c.ok("CreateSecret", `{"Name":"mine/b","Tags":[{"Key":"team","Value":"x"}]}`)
	c.ok("DeleteSecret", `{"SecretId":"dev/db","RecoveryWindowInDays":14}`)
	for _, r := range []struct{ operation, body string }{
		{"GetSecretValue", `{"SecretId":"prod/db","VersionStage":"AWSPREVIOUS"}`},
		{"GetSecretValue", `{"SecretId":"dev/db"}`},
		{"GetSecretValue", `{"SecretId":"none"}`}, // whether it exists is not told
		{"DescribeSecret", `{"SecretId":"prod/db"}`},
		{"CreateSecret", `{"Name":"theirs/a"}`},
		{"DeleteSecret", `{"SecretId":"prod/db"}`},
		{"DeleteSecret", `{"SecretId":"prod/db","ForceDeleteWithoutRecovery":true}`},
		{"UntagResource", `{"SecretId":"prod/db","TagKeys":["team"]}`},
		{"ListSecrets", `{}`}, {"GetRandomPassword", `{}`}, {"PutSecretValue", `{"SecretId":"prod/db","SecretString":"x"}`}, {"UpdateSecret", `{"SecretId":"prod/db"}`},
		{"ListSecretVersionIds", `{"SecretId":"prod/db"}`}, {"RestoreSecret", `{"SecretId":"dev/db"}`}, {"GetResourcePolicy", `{"SecretId":"prod/db"}`},
		{"PutResourcePolicy", `{"SecretId":"prod/db","ResourcePolicy":"{}"}`}, {"DeleteResourcePolicy", `{"SecretId":"prod/db"}`},
		{"UpdateSecretVersionStage", `{"SecretId":"prod/db","VersionStage":"a"}`},
	} {
		c.fails(http.StatusForbidden, "AccessDeniedException", denied+r.operation, r.operation, r.body)
	}

	c.fails(http.StatusForbidden, "AccessDeniedException", denied+"TagResource", "CreateSecret", `{"Name":"mine/c","Tags":[{"Key":"other","Value":"x"}]}`) // tags are an action of their own
	c.fails(http.StatusForbidden, "AccessDeniedException", denied+"DescribeSecret", "DescribeSecret", `{"SecretId":"mine/c"}`)

	// A resource policy grants, within the account alone, and denies whatever else allows.
	c.Who = iam.RootOf(account)
	c.ok("PutResourcePolicy", `{"SecretId":"prod/db","ResourcePolicy":"{\"Version\":\"2012-10-17\",\"Statement\":[{\"Effect\":\"Allow\",\"Principal\":{\"AWS\":\"`+stranger.ARN+
		`\"},\"Action\":\"secretsmanager:GetSecretValue\",\"Resource\":\"*\"},{\"Effect\":\"Deny\",\"Principal\":{\"AWS\":\"`+reader.ARN+`\"},\"Action\":\"*\",\"Resource\":\"*\"}]}"}`)
	c.Who = stranger
	c.ok("GetSecretValue", `{"SecretId":"prod/db"}`)
	c.fails(http.StatusForbidden, "AccessDeniedException", denied, "DescribeSecret", `{"SecretId":"prod/db"}`)
	c.Who = reader
	c.fails(http.StatusForbidden, "AccessDeniedException", "with an explicit deny in a resource-based policy", "GetSecretValue", `{"SecretId":"prod/db"}`)
}

func TestAttackSecretOfAnotherAccountByARN(t *testing.T) {
	c := newClient(t)
	arn := c.ok("CreateSecret", `{"Name":"s","SecretString":"one"}`)["ARN"].(string)
	c.Who = iam.RootOf("444455556666")
	c.fails(http.StatusBadRequest, "ResourceNotFoundException", "", "GetSecretValue", `{"SecretId":"s"}`)
	for _, id := range []string{arn, strings.TrimSuffix(arn, arn[len(arn)-7:])} {
		c.fails(http.StatusForbidden, "AccessDeniedException", "", "GetSecretValue", `{"SecretId":"`+id+`"}`)
		c.fails(http.StatusForbidden, "AccessDeniedException", "", "DeleteSecret", `{"SecretId":"`+id+`","ForceDeleteWithoutRecovery":true}`)
	}
}

func TestNoSecretEverInALogOrAnError(t *testing.T) {
	c := newClient(t)
	const hidden, base64 = "hunter2-is-hidden", "aHVudGVyMi1pcy1oaWRkZW4="
	c.ok("CreateSecret", `{"Name":"s","SecretString":"`+hidden+`","ClientRequestToken":"`+token1+`"}`)
	c.ok("CreateSecret", `{"Name":"b","SecretBinary":"`+base64+`"}`)
	var answers strings.Builder
	long := strings.Repeat(hidden, 4000)
	for _, r := range []struct{ operation, body string }{
		{"CreateSecret", `{"Name":"s","SecretString":"` + hidden + `"}`},
		{"CreateSecret", `{"Name":"s","SecretString":"` + hidden + `x","ClientRequestToken":"` + token1 + `"}`},
		{"CreateSecret", `{"Name":"a b","SecretString":"` + hidden + `"}`},
		{"CreateSecret", `{"Name":"n","SecretString":"` + hidden + `","SecretBinary":"` + base64 + `"}`},
		{"CreateSecret", `{"Name":"n","SecretString":"` + long + `"}`},
		{"CreateSecret", `{"Name":"n","SecretString":["` + hidden + `"]}`},
		{"CreateSecret", `{"Name":"n","SecretString":{"` + hidden + `":1}}`},
		{"CreateSecret", `{"Name":"n","SecretBinary":"` + hidden + `"}`},
		{"CreateSecret", `{"Name":"n","SecretString":"` + hidden + `"`},
		{"CreateSecret", `{"Name":"n","SecretString":` + hidden + `}`},
		{"CreateSecret", `{"Name":"n","SecretString":"` + hidden + `\q"}`},
		{"PutSecretValue", `{"SecretId":"s","SecretString":"` + hidden + `2","ClientRequestToken":"` + token1 + `"}`},
		{"PutSecretValue", `{"SecretId":"none","SecretString":"` + hidden + `"}`},
		{"PutSecretValue", `{"SecretId":"s","SecretString":"` + hidden + `","RotationToken":"` + hidden + `"}`},
		{"UpdateSecret", `{"SecretId":"none","SecretString":"` + hidden + `"}`},
		{"UpdateSecret", `{"SecretId":"s","SecretString":"` + hidden + `2","ClientRequestToken":"` + token1 + `"}`},
	} {
		status, answer := c.Call(r.operation, r.body)
		if status == http.StatusOK {
			t.Errorf("%s %.60s was taken", r.operation, r.body)
		}
		answers.WriteString(answer + "\n")
	}
	// A box that does not open, and a note of access that cannot be written.
	c.ok("DescribeSecret", `{"SecretId":"s"}`)
	scope := secrets.Scope{Account: account, Region: region}
	x, err := c.db.Secret(t.Context(), scope, "s")
	if err != nil {
		t.Fatal(err)
	}
	box, err := c.db.SecretBox(t.Context(), x.Key(), token1)
	if err != nil {
		t.Fatal(err)
	}
	box[len(box)-1] ^= 1
	if _, err := c.db.ChangeSecret(t.Context(), x.Key(), func(x *secrets.Secret, _ func(string) ([]byte, error)) error {
		x.Versions = []secrets.Version{{ID: token2, Stages: []string{"AWSCURRENT"}, CreatedAt: c.now, Box: box}}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	_, answer := c.Call("GetSecretValue", `{"SecretId":"s"}`)
	answers.WriteString(answer)
	if !strings.Contains(answer, "DecryptionFailure") {
		t.Error(answer)
	}
	for _, form := range []string{"hunter2", base64[:12]} {
		for name, text := range map[string]string{"an answer": answers.String(), "the log": c.Logs.String()} {
			if i := strings.Index(text, form); i >= 0 {
				t.Errorf("a secret shows in %s: ...%s", name, text[max(0, i-200):min(len(text), i+40)])
			}
		}
	}
}

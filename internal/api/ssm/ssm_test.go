package ssm_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	sdk "github.com/aws/aws-sdk-go-v2/service/ssm"
	"github.com/aws/aws-sdk-go-v2/service/ssm/types"

	"github.com/sunaba-dev/sunaba/internal/api/apitest"
	api "github.com/sunaba-dev/sunaba/internal/api/ssm"
	"github.com/sunaba-dev/sunaba/internal/iam"
	"github.com/sunaba-dev/sunaba/internal/parameters"
	"github.com/sunaba-dev/sunaba/internal/sealed"
	"github.com/sunaba-dev/sunaba/internal/store"
	"github.com/sunaba-dev/sunaba/internal/wire"
)

const (
	account = "111122223333"
	region  = apitest.Region
)

// client calls the service in this process: raw, or as the transport of an AWS SDK.
type client struct {
	*apitest.Client
	iam *iam.Service
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
	c := &client{Client: &apitest.Client{T: t, Who: iam.RootOf(account)}, iam: iam.New(iam.Options{Store: db})}
	s := parameters.New(parameters.Options{Store: db, Seal: key, Now: func() time.Time { return time.Date(2026, 1, 2, 3, 4, 5, 678e6, time.UTC) }})
	c.Wire = (&api.API{Parameters: s, Authorize: func(ctx context.Context, action string, t wire.Target) error {
		return c.iam.Authorize(ctx, iam.Request{Principal: iam.PrincipalOf(ctx), Action: action, Resource: t.Resource, Context: t.Context})
	}}).Service()
	return c
}

func (c *client) sdk() *sdk.Client {
	return sdk.New(sdk.Options{Region: region, BaseEndpoint: aws.String("http://localhost"), HTTPClient: c.Client, Credentials: credentials.NewStaticCredentialsProvider("AKIA", "secret", ""), RetryMaxAttempts: 1})
}

func (c *client) ok(operation, body string) string {
	c.T.Helper()
	status, answer := c.Call(operation, body)
	if status != http.StatusOK {
		c.T.Fatalf("%s: %d %s", operation, status, answer)
	}
	return answer
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
	name := aws.String("/app/db")
	put, err := s.PutParameter(ctx, &sdk.PutParameterInput{Name: name, Value: aws.String("one"), Type: types.ParameterTypeSecureString, Description: aws.String("about"), Tags: []types.Tag{{Key: aws.String("team"), Value: aws.String("red")}}})
	if err != nil || put.Version != 1 || put.Tier != types.ParameterTierStandard {
		t.Fatal(put, err)
	}
	var exists *types.ParameterAlreadyExists
	if _, err := s.PutParameter(ctx, &sdk.PutParameterInput{Name: name, Value: aws.String("two"), Type: types.ParameterTypeString}); !errors.As(err, &exists) ||
		exists.ErrorMessage() != "The parameter already exists. To overwrite this value, set the overwrite option in the request to true." {
		t.Error(err)
	}
	if put, err = s.PutParameter(ctx, &sdk.PutParameterInput{Name: name, Value: aws.String("two"), Overwrite: aws.Bool(true)}); err != nil || put.Version != 2 {
		t.Error(put, err)
	}
	got, err := s.GetParameter(ctx, &sdk.GetParameterInput{Name: name, WithDecryption: aws.Bool(true)})
	if err != nil || *got.Parameter.Value != "two" || got.Parameter.Type != types.ParameterTypeSecureString || *got.Parameter.ARN != "arn:aws:ssm:us-west-2:111122223333:parameter/app/db" ||
		*got.Parameter.DataType != "text" || !got.Parameter.LastModifiedDate.Equal(time.Date(2026, 1, 2, 3, 4, 5, 678e6, time.UTC)) {
		t.Errorf("%+v %v", got, err)
	}
	if got, err = s.GetParameter(ctx, &sdk.GetParameterInput{Name: name}); err != nil || *got.Parameter.Value == "two" {
		t.Error("decrypted unasked", got, err)
	}
	var missing *types.ParameterNotFound
	if _, err := s.GetParameter(ctx, &sdk.GetParameterInput{Name: aws.String("/cdk-bootstrap/hnb659fds/version")}); !errors.As(err, &missing) {
		t.Error(err)
	}
	var version *types.ParameterVersionNotFound
	if _, err := s.GetParameter(ctx, &sdk.GetParameterInput{Name: aws.String("/app/db:7")}); !errors.As(err, &version) {
		t.Error(err)
	}
	var levels *types.HierarchyLevelLimitExceededException
	if _, err := s.PutParameter(ctx, &sdk.PutParameterInput{Name: aws.String(strings.Repeat("/a", 16)), Value: aws.String("x"), Type: types.ParameterTypeString}); !errors.As(err, &levels) {
		t.Error(err)
	}
	label, err := s.LabelParameterVersion(ctx, &sdk.LabelParameterVersionInput{Name: name, ParameterVersion: aws.Int64(1), Labels: []string{"prod", "9"}})
	if err != nil || label.ParameterVersion != 1 || !slices.Equal(label.InvalidLabels, []string{"9"}) {
		t.Error(label, err)
	}
	many, err := s.GetParameters(ctx, &sdk.GetParametersInput{Names: []string{"/app/db:prod", "/none", "/app/db:8", "a b", "/app/db:prod"}, WithDecryption: aws.Bool(true)})
	if err != nil || len(many.Parameters) != 1 || *many.Parameters[0].Value != "one" || *many.Parameters[0].Selector != ":prod" || !slices.Equal(many.InvalidParameters, []string{"/none", "/app/db:8", "a b"}) {
		t.Errorf("%+v %v", many, err)
	}
	history, err := s.GetParameterHistory(ctx, &sdk.GetParameterHistoryInput{Name: name, WithDecryption: aws.Bool(true)})
	if err != nil || len(history.Parameters) != 2 || *history.Parameters[0].Value != "one" || history.Parameters[0].Labels[0] != "prod" || *history.Parameters[1].LastModifiedUser != "arn:aws:iam::111122223333:root" ||
		*history.Parameters[1].Description != "about" || *history.Parameters[1].KeyId != "alias/aws/ssm" {
		t.Errorf("%+v %v", history, err)
	}
	unlabel, err := s.UnlabelParameterVersion(ctx, &sdk.UnlabelParameterVersionInput{Name: name, ParameterVersion: aws.Int64(1), Labels: []string{"prod", "x"}})
	if err != nil || !slices.Equal(unlabel.RemovedLabels, []string{"prod"}) || !slices.Equal(unlabel.InvalidLabels, []string{"x"}) {
		t.Error(unlabel, err)
	}
	for i := range 23 {
		if _, err := s.PutParameter(ctx, &sdk.PutParameterInput{Name: aws.String(fmt.Sprintf("/many/%02d", i)), Value: aws.String("x"), Type: types.ParameterTypeString}); err != nil {
			t.Fatal(err)
		}
	}
	n := 0
	for pages := sdk.NewGetParametersByPathPaginator(s, &sdk.GetParametersByPathInput{Path: aws.String("/many"), Recursive: aws.Bool(true)}); pages.HasMorePages(); {
		page, err := pages.NextPage(ctx)
		if err != nil {
			t.Fatal(err)
		}
		n += len(page.Parameters)
	}
	if n != 23 {
		t.Error(n)
	}
	n = 0
	for pages := sdk.NewDescribeParametersPaginator(s, &sdk.DescribeParametersInput{MaxResults: aws.Int32(7), ParameterFilters: []types.ParameterStringFilter{{Key: aws.String("Name"), Option: aws.String("BeginsWith"), Values: []string{"/many"}}}}); pages.HasMorePages(); {
		page, err := pages.NextPage(ctx)
		if err != nil {
			t.Fatal(err)
		}
		n += len(page.Parameters)
	}
	if n != 23 {
		t.Error(n)
	}
	if _, err := s.AddTagsToResource(ctx, &sdk.AddTagsToResourceInput{ResourceType: types.ResourceTypeForTaggingParameter, ResourceId: name, Tags: []types.Tag{{Key: aws.String("a"), Value: aws.String("")}}}); err != nil {
		t.Error(err)
	}
	if _, err := s.RemoveTagsFromResource(ctx, &sdk.RemoveTagsFromResourceInput{ResourceType: types.ResourceTypeForTaggingParameter, ResourceId: name, TagKeys: []string{"team"}}); err != nil {
		t.Error(err)
	}
	tags, err := s.ListTagsForResource(ctx, &sdk.ListTagsForResourceInput{ResourceType: types.ResourceTypeForTaggingParameter, ResourceId: name})
	if err != nil || len(tags.TagList) != 1 || *tags.TagList[0].Key != "a" || *tags.TagList[0].Value != "" {
		t.Error(tags, err)
	}
	var kind *types.InvalidResourceType
	if _, err := s.ListTagsForResource(ctx, &sdk.ListTagsForResourceInput{ResourceType: types.ResourceTypeForTaggingDocument, ResourceId: name}); !errors.As(err, &kind) {
		t.Error(err)
	}
	if _, err := s.DeleteParameter(ctx, &sdk.DeleteParameterInput{Name: name}); err != nil {
		t.Error(err)
	}
	if _, err := s.DeleteParameter(ctx, &sdk.DeleteParameterInput{Name: name}); !errors.As(err, &missing) {
		t.Error(err)
	}
	deleted, err := s.DeleteParameters(ctx, &sdk.DeleteParametersInput{Names: []string{"/many/00", "/many/01", "/none"}})
	if err != nil || !slices.Equal(deleted.DeletedParameters, []string{"/many/00", "/many/01"}) || !slices.Equal(deleted.InvalidParameters, []string{"/none"}) {
		t.Error(deleted, err)
	}
}

func TestShapesOnTheWire(t *testing.T) {
	c := newClient(t)
	if got := c.ok("PutParameter", `{"Name":"/x","Value":"one","Type":"String","Tier":"Intelligent-Tiering"}`); got != `{"Version":1,"Tier":"Standard"}` {
		t.Error(got)
	}
	if got := c.ok("GetParameter", `{"Name":"/x"}`); got != `{"Parameter":{"Name":"/x","Type":"String","Value":"one","Version":1,"LastModifiedDate":1767323045.678,`+
		`"ARN":"arn:aws:ssm:us-west-2:111122223333:parameter/x","DataType":"text"}}` {
		t.Error(got)
	}
	if got := c.ok("GetParameters", `{"Names":["/none"]}`); got != `{"Parameters":[],"InvalidParameters":["/none"]}` {
		t.Error(got)
	}
	if got := c.ok("DescribeParameters", `{"Shared":true}`); got != `{"Parameters":[]}` {
		t.Error(got)
	}
	if got := c.ok("DescribeParameters", `{"Filters":[{"Key":"Name","Values":["/"]}]}`); !strings.Contains(got, `"Policies":[],"DataType":"text"`) || strings.Contains(got, "KeyId") {
		t.Error(got)
	}
	if got := c.ok("DeleteParameter", `{"Name":"/x"}`); got != `{}` {
		t.Error(got)
	}
}

func TestBadRequests(t *testing.T) {
	c := newClient(t)
	c.ok("PutParameter", `{"Name":"/x","Value":"one","Type":"String"}`)
	for _, r := range []struct{ code, message, operation, body string }{
		{"ValidationException", "Value", "PutParameter", `{"Name":"/y","Type":"String"}`},
		{"ValidationException", "Value", "PutParameter", `{"Name":"/y","Type":"String","Value":""}`},
		{"ValidationException", "Type", "PutParameter", `{"Name":"/y","Type":"Blob","Value":"v"}`},
		{"ValidationException", "type is required", "PutParameter", `{"Name":"/y","Value":"v"}`},
		{"ValidationException", "KeyId", "PutParameter", `{"Name":"/y","Type":"SecureString","Value":"v","KeyId":"a b"}`},
		{"ValidationException", "same tag key", "PutParameter", `{"Name":"/y","Type":"String","Value":"v","Tags":[{"Key":"a","Value":"1"},{"Key":"a","Value":"2"}]}`},
		{"ParameterNotFound", "Parameter /none not found.", "GetParameter", `{"Name":"/none"}`},
		{"ValidationException", "Invalid parameter name", "GetParameter", `{"Name":"a b"}`},
		{"ValidationException", "Names", "GetParameters", `{"Names":[]}`},
		{"ValidationException", "Names", "GetParameters", `{"Names":["1","2","3","4","5","6","7","8","9","10","11"]}`},
		{"ValidationException", "MaxResults", "GetParametersByPath", `{"Path":"/","MaxResults":11}`},
		{"ValidationException", "forward slash", "GetParametersByPath", `{"Path":"x"}`},
		{"InvalidNextToken", "", "GetParametersByPath", `{"Path":"/","NextToken":"%"}`},
		{"InvalidFilterKey", "", "GetParametersByPath", `{"Path":"/","ParameterFilters":[{"Key":"Name","Values":["x"]}]}`},
		{"ValidationException", "ParameterFilters.1.member.Key", "DescribeParameters", `{"ParameterFilters":[{"Key":"Size","Values":["x"]}]}`},
		{"ValidationException", "You can use either Filters or ParameterFilters in a single request.", "DescribeParameters", `{"ParameterFilters":[{"Key":"Name","Values":["x"]}],"Filters":[{"Key":"Name","Values":["x"]}]}`},
		{"ParameterNotFound", "", "GetParameterHistory", `{"Name":"/none"}`},
		{"ParameterNotFound", "", "LabelParameterVersion", `{"Name":"/none","Labels":["a"]}`},
		{"ValidationException", "parameterVersion", "LabelParameterVersion", `{"Name":"/x","ParameterVersion":0,"Labels":["a"]}`},
		{"ParameterVersionNotFound", "version 2", "UnlabelParameterVersion", `{"Name":"/x","ParameterVersion":2,"Labels":["a"]}`},
		{"InvalidResourceId", "", "ListTagsForResource", `{"ResourceType":"Parameter","ResourceId":"/none"}`},
		{"InvalidResourceId", "", "AddTagsToResource", `{"ResourceType":"Parameter","ResourceId":"/x:1","Tags":[]}`},
		{"InvalidResourceType", "", "RemoveTagsFromResource", `{"ResourceType":"Document","ResourceId":"/x","TagKeys":[]}`},
		{"ValidationException", "ResourceType", "ListTagsForResource", `{"ResourceType":"Thing","ResourceId":"/x"}`},
		{"InvalidPolicyTypeException", "", "PutParameter", `{"Name":"/y","Type":"String","Value":"v","Policies":"[{}, {}]"}`},
	} {
		c.fails(http.StatusBadRequest, r.code, r.message, r.operation, r.body)
	}
}

// user makes a user with a policy.
func (c *client) user(name, policy string) iam.Principal {
	c.T.Helper()
	return apitest.User(c.T, c.iam, account, name, policy)
}

func TestAuthorization(t *testing.T) {
	c := newClient(t)
	for _, name := range []string{"/app/a", "/app/b", "/other", "plain"} {
		c.ok("PutParameter", `{"Name":"`+name+`","Value":"one","Type":"String","Tags":[{"Key":"team","Value":"red"}]}`)
	}
	c.Who = c.user("reader", `{"Version":"2012-10-17","Statement":[
		{"Effect":"Allow","Action":["ssm:GetParameter","ssm:GetParameters","ssm:DeleteParameters","ssm:GetParametersByPath"],"Resource":"arn:aws:ssm:us-west-2:111122223333:parameter/app*"},
		{"Effect":"Allow","Action":"ssm:GetParameterHistory","Resource":"*","Condition":{"StringEquals":{"aws:ResourceTag/team":"red"}}},
		{"Effect":"Allow","Action":"ssm:PutParameter","Resource":"arn:aws:ssm:us-west-2:111122223333:parameter/app/*","Condition":{"StringEquals":{"ssm:Overwrite":"false"}}},
		{"Effect":"Deny","Action":"ssm:GetParametersByPath","Resource":"*","Condition":{"StringEquals":{"ssm:Recursive":"true"}}}]}`)
	const denied = "is not authorized to perform: ssm:"
	c.ok("GetParameter", `{"Name":"/app/a"}`)
	c.ok("GetParameter", `{"Name":"arn:aws:ssm:us-west-2:111122223333:parameter/app/a"}`)
	c.ok("GetParameters", `{"Names":["/app/a","/app/b","/app/none","no name"]}`)
	c.ok("GetParametersByPath", `{"Path":"/app"}`)
	c.ok("GetParameterHistory", `{"Name":"plain"}`)
	c.ok("PutParameter", `{"Name":"/app/new","Value":"x","Type":"String"}`)
	for _, r := range []struct{ operation, body string }{
		{"GetParameter", `{"Name":"/other"}`}, {"GetParameter", `{"Name":"/none"}`}, {"GetParameter", `{"Name":"/other:1"}`},
		{"GetParameters", `{"Names":["/app/a","/other"]}`}, {"GetParameters", `{"Names":["/other","/app/a"]}`}, {"GetParameters", `{"Names":["no name","/other"]}`}, {"GetParameters", `{"Names":["no name"]}`},
		{"DeleteParameters", `{"Names":["/app/a","/other"]}`}, {"DeleteParameter", `{"Name":"/app/a"}`},
		{"GetParametersByPath", `{"Path":"/"}`}, {"GetParametersByPath", `{"Path":"/app","Recursive":true}`},
		{"GetParameterHistory", `{"Name":"/app/new"}`},
		{"PutParameter", `{"Name":"/app/a","Value":"x","Overwrite":true}`}, {"PutParameter", `{"Name":"/other/a","Value":"x","Type":"String"}`},
		{"DescribeParameters", `{}`}, {"LabelParameterVersion", `{"Name":"/app/a","Labels":["l"]}`}, {"UnlabelParameterVersion", `{"Name":"/app/a","ParameterVersion":1,"Labels":["l"]}`},
		{"AddTagsToResource", `{"ResourceType":"Parameter","ResourceId":"/app/a","Tags":[{"Key":"a","Value":"b"}]}`},
		{"RemoveTagsFromResource", `{"ResourceType":"Parameter","ResourceId":"/app/a","TagKeys":["team"]}`}, {"ListTagsForResource", `{"ResourceType":"Parameter","ResourceId":"/app/a"}`},
	} {
		c.fails(http.StatusForbidden, "AccessDeniedException", denied+r.operation, r.operation, r.body)
	}
	c.fails(http.StatusForbidden, "AccessDeniedException", denied+"AddTagsToResource", "PutParameter", `{"Name":"/app/tagged","Value":"x","Type":"String","Tags":[{"Key":"a","Value":"b"}]}`)
	c.Who = iam.RootOf(account)
	if got := c.ok("GetParameters", `{"Names":["/app/a","/other","/app/tagged"]}`); strings.Count(got, `"Value":"one"`) != 2 || !strings.Contains(got, `"InvalidParameters":["/app/tagged"]`) {
		t.Error("a denied request did something:", got)
	}
}

func TestAttackParameterOfAnotherAccountByARN(t *testing.T) {
	c := newClient(t)
	c.ok("PutParameter", `{"Name":"/x","Value":"one","Type":"String"}`)
	c.Who = iam.RootOf("444455556666")
	const arn = "arn:aws:ssm:us-west-2:111122223333:parameter/x"
	c.fails(http.StatusForbidden, "AccessDeniedException", arn, "GetParameter", `{"Name":"`+arn+`"}`)
	c.fails(http.StatusForbidden, "AccessDeniedException", arn, "GetParameters", `{"Names":["/mine","`+arn+`"]}`)
	c.fails(http.StatusForbidden, "AccessDeniedException", arn, "DeleteParameters", `{"Names":["/mine","`+arn+`"]}`)
	c.fails(http.StatusBadRequest, "ParameterNotFound", "", "GetParameter", `{"Name":"/x"}`)
}

func TestNoSecretEverInALogOrAnError(t *testing.T) {
	c := newClient(t)
	const hidden = "hunter2-is-hidden"
	c.ok("PutParameter", `{"Name":"/x","Value":"`+hidden+`","Type":"SecureString"}`)
	var answers strings.Builder
	for _, members := range []string{
		`"Name":"/x","Type":"SecureString","Value":"` + hidden + `"`,
		`"Name":"a b","Type":"SecureString","Value":"` + hidden + `"`,
		`"Name":"/y","Value":"` + hidden + `"`,
		`"Name":"/y","Type":"SecureString","Value":["` + hidden + `"]`,
		`"Name":"/y","Type":"SecureString","Value":{"` + hidden + `":""}`,
		`"Name":"/y","Type":"SecureString","Value":"` + hidden + `","AllowedPattern":"[0-9]+"`,
		`"Name":"/y","Type":"SecureString","Value":"` + hidden + `","AllowedPattern":"("`,
		`"Name":"/y","Type":"SecureString","Value":"` + hidden + `","DataType":"integer"`,
		`"Name":"/y","Type":"SecureString","Value":"` + hidden + `{{x}}"`,
		`"Name":"/y","Type":"SecureString","Value":"` + strings.Repeat(hidden, 1000) + `"`,
		`"Name":"/y","Type":"SecureString","Value":"` + strings.Repeat(hidden, 1000) + `","Tier":"Advanced"`,
		`"Name":"/y","Type":"SecureString","Value":` + hidden,
		`"Name":"/y","Type":"SecureString","Value":"` + hidden + `\q"`,
		`"Name":"/y","Type":"SecureString","Value":"` + hidden,
		`"Name":"/y","Type":"SecureString","Value":"` + hidden + `","Policies":"[{\"Type\":\"Expiration\"}]"`,
	} {
		status, answer := c.Call("PutParameter", `{`+members+`}`)
		if status == http.StatusOK {
			t.Errorf("%.80s was taken", members)
		}
		answers.WriteString(answer + "\n")
	}
	answers.WriteString(c.ok("GetParameter", `{"Name":"/x"}`) + c.ok("GetParameterHistory", `{"Name":"/x"}`) + c.ok("DescribeParameters", `{}`) + c.ok("GetParametersByPath", `{"Path":"/"}`))
	for name, text := range map[string]string{"an answer": answers.String(), "the log": c.Logs.String()} {
		if i := strings.Index(text, "hunter2"); i >= 0 {
			t.Errorf("a secret shows in %s: ...%s", name, text[max(0, i-200):min(len(text), i+40)])
		}
	}
}

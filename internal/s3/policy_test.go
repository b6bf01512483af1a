package s3

import (
	"strings"
	"testing"

	"github.com/sunaba-dev/sunaba/internal/fault"
)

func TestAPolicyIsAboutItsBucket(t *testing.T) {
	for policy, want := range map[string]string{
		`{"Statement":{"Action":"s3:GetObject","Resource":"arn:aws:s3:::mine/*"}}`:                             "",
		`{"Statement":{"Action":["S3:*","*"],"Resource":["arn:aws:s3:::mine","arn:aws-cn:s3:::mine/a:b/*"]}}`:  "",
		`{"Statement":[{"Action":"s3:*","Resource":"*"},{"Action":"s3:*","Resource":"arn:aws:s3:::*"}]}`:       "",
		`{"Statement":{"Action":"s3:*","Resource":"arn:aws:s3:::m*n?/x"}}`:                                     "",
		`{"Statement":{"Action":"s3:*","Resource":"arn:aws:s3:::${aws:PrincipalTag/b}/*"}}`:                    "",
		`{"Statement":{"NotAction":"s3:GetObject","NotResource":"arn:aws:s3:::mine/x"}}`:                       "",
		`{"Statement":{"Action":"s3:*","Resource":"arn:aws:s3:::other/*"}}`:                                    "Policy has invalid resource",
		`{"Statement":{"Action":"s3:*","Resource":"arn:aws:s3:::mine2"}}`:                                      "Policy has invalid resource",
		`{"Statement":{"Action":"s3:*","Resource":"arn:aws:s3:::min"}}`:                                        "Policy has invalid resource",
		`{"Statement":{"Action":"s3:*","Resource":["arn:aws:s3:::mine/*","arn:aws:sqs:us-west-2:1:mine"]}}`:    "Policy has invalid resource",
		`{"Statement":{"Action":"s3:*","Resource":"mine/*"}}`:                                                  "Policy has invalid resource",
		`{"Statement":{"Action":["s3:GetObject","iam:PassRole"],"Resource":"arn:aws:s3:::mine/*"}}`:            "Policy has invalid action",
		`{"Statement":{"Action":"s3-object-lambda:WriteGetObjectResponse","Resource":"arn:aws:s3:::mine/*"}}`:  "Policy has invalid action",
		`{"Statement":[{"Action":"s3:*","Resource":"*"},{"Action":"s3:*","Resource":"arn:aws:s3:::mine.x/"}]}`: "Policy has invalid resource",
	} {
		err := checkTargets("mine", policy)
		if want == "" {
			if err != nil {
				t.Errorf("%s: %v", policy, err)
			}
		} else if !fault.Is(err, codeMalformedPolicy) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", policy, err, want)
		}
	}
}

func FuzzPolicyIsAboutItsBucket(f *testing.F) {
	f.Add("mine", "arn:aws:s3:::m*n?/x")
	f.Add("mine", "*")
	f.Add("a.b-c", "arn:aws:s3:::***")
	f.Fuzz(func(t *testing.T, bucket, pattern string) {
		if !strings.ContainsAny(pattern, "*?") && matches(pattern, bucket) != (pattern == bucket) {
			t.Errorf("without wildcards %q and %q", pattern, bucket)
		}
		if !matches("*"+bucket+"*", bucket) && !strings.ContainsAny(bucket, "*?") {
			t.Errorf("%q is not in itself", bucket)
		}
		_ = checkTargets(bucket, pattern)
	})
}

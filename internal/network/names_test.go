package network

import (
	"strings"
	"testing"
)

func TestParseHost(t *testing.T) {
	for name, want := range map[string]Host{
		"s3.amazonaws.com":                                       {Service: "s3"},
		"S3.us-west-2.AMAZONAWS.com.":                            {Service: "s3", Region: "us-west-2"},
		"s3-us-west-2.amazonaws.com":                             {Service: "s3", Region: "us-west-2"},
		"s3.dualstack.us-west-2.amazonaws.com":                   {Service: "s3", Region: "us-west-2"},
		"s3-fips.dualstack.us-gov-west-1.amazonaws.com":          {Service: "s3", Region: "us-gov-west-1"},
		"bucket.s3.amazonaws.com":                                {Service: "s3", Bucket: "bucket"},
		"a.b.c.s3.us-west-2.amazonaws.com":                       {Service: "s3", Region: "us-west-2", Bucket: "a.b.c"},
		"bucket.s3.dualstack.us-west-2.amazonaws.com":            {Service: "s3", Region: "us-west-2", Bucket: "bucket"},
		"bucket.s3-us-west-2.amazonaws.com":                      {Service: "s3", Region: "us-west-2", Bucket: "bucket"},
		"bedrock-agentcore.s3.us-west-2.amazonaws.com":           {Service: "s3", Region: "us-west-2", Bucket: "bedrock-agentcore"},
		"us-west-2.s3.amazonaws.com":                             {Service: "s3", Bucket: "us-west-2"},
		"sts.amazonaws.com":                                      {Service: "sts"},
		"iam.global.api.aws":                                     {Service: "iam"},
		"sts.us-west-2.amazonaws.com":                            {Service: "sts", Region: "us-west-2"},
		"sts-fips.us-west-2.amazonaws.com":                       {Service: "sts", Region: "us-west-2"},
		"sts.us-west-2.api.aws":                                  {Service: "sts", Region: "us-west-2"},
		"bedrock-agentcore.us-west-2.amazonaws.com":              {Service: "bedrock-agentcore", Region: "us-west-2"},
		"bedrock-agentcore-control.ap-southeast-2.amazonaws.com": {Service: "bedrock-agentcore", Region: "ap-southeast-2"},
		"bedrock-runtime.us-west-2.amazonaws.com":                {Service: "bedrock", Region: "us-west-2"},
		"api.ecr.us-west-2.amazonaws.com":                        {Service: "ecr", Region: "us-west-2"},
		"123456789012.dkr.ecr.eu-west-1.amazonaws.com":           {Service: "ecr", Region: "eu-west-1", Resource: "123456789012.dkr"},
		"id.gateway.bedrock-agentcore.us-west-2.amazonaws.com":   {Service: "bedrock-agentcore", Region: "us-west-2", Resource: "id.gateway"},
	} {
		if got, ok := ParseHost(name); !ok || got != want {
			t.Errorf("%s: %+v, %v; want %+v", name, got, ok, want)
		}
	}
	for _, name := range []string{"", ".", "amazonaws.com", "us-west-2.amazonaws.com", "example.com", "s3.us-west-2.amazonaws.com.evil.org", "s3.us-west-2.amazonaws.com.cn", "evilamazonaws.com",
		"s3.us-west-2.evilamazonaws.com", "s3..amazonaws.com", ".s3.amazonaws.com", "sts.amazonaws.com:443", "169.254.169.254", "a b.s3.amazonaws.com", "s3.us-west-2.amazonaws.com\x00",
		"xn--.-.amazonaws.com", "deep.sts.amazonaws.com", "checkip.amazonaws.com", "secrets.amazonaws.com", strings.Repeat("a", 64) + ".s3.amazonaws.com",
		strings.Repeat("a.", 125) + "s3.amazonaws.com", "[::1]", "*.s3.amazonaws.com"} {
		if got, ok := ParseHost(name); ok {
			t.Errorf("%q passes as %+v", name, got)
		}
	}
}

func TestOneServiceIsNotAnother(t *testing.T) {
	p := Policy{Services: []string{"s3"}}
	for _, name := range []string{"sts.us-west-2.amazonaws.com", "s3-control.us-west-2.amazonaws.com", "iam.amazonaws.com", "bedrock-agentcore.us-west-2.amazonaws.com", "s3express.us-west-2.amazonaws.com"} {
		if _, ok := p.serves(name); ok {
			t.Errorf("a session with S3 alone reaches %s", name)
		}
	}
	if _, ok := (Policy{Services: []string{AnyService}}).serves("sts.us-west-2.amazonaws.com"); !ok {
		t.Error("any service does not have STS")
	}
}

func FuzzParseHost(f *testing.F) {
	f.Add("s3.us-west-2.amazonaws.com")
	f.Add("a.b.s3.dualstack.us-west-2.amazonaws.com.")
	f.Add("sts.us-west-2.api.aws")
	f.Fuzz(func(t *testing.T, name string) {
		h, ok := ParseHost(name)
		if ok && (h.Service == "" || len(name) > maxName+1) {
			t.Errorf("%q passes as %+v", name, h)
		}
	})
}

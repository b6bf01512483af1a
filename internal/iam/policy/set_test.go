package policy_test

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/sunaba-dev/sunaba/internal/iam/policy"
)

// A set decides as its documents do one by one, whatever is in them.
func TestASetDecidesAsItsDocuments(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	pick := func(of ...string) string { return of[r.IntN(len(of))] }
	actions := []string{"s3:GetObject", "S3:getobject", "s3:Get*", "s3:*", "*", "s*:GetObject", "?3:GetObject", "s3:Get?bject", "ec2:*", "ec2:Describe*", "sqs:SendMessage", "*:*", "s3*"}
	resources := []string{"*", "arn:aws:s3:::bucket/*", "arn:aws:s3:::bucket/${aws:username}", "arn:aws:s3:::other", "arn:aws:*:::bucket/a"}
	statement := func() string {
		effect, element := pick("Allow", "Allow", "Deny"), pick("Action", "Action", "Action", "NotAction")
		list := ""
		for i := range 1 + r.IntN(3) {
			if i > 0 {
				list += ","
			}
			list += fmt.Sprintf("%q", pick(actions...))
		}
		s := fmt.Sprintf(`{"Effect":%q,%q:[%s],%q:%q`, effect, element, list, pick("Resource", "Resource", "NotResource"), pick(resources...))
		if r.IntN(3) == 0 {
			s += fmt.Sprintf(`,"Condition":{%q:{"aws:username":%q}}`, pick("StringEquals", "StringNotEquals", "StringLike"), pick("a", "b", "?"))
		}
		return s + "}"
	}
	counts := map[policy.Decision]int{}
	for i := range 20_000 {
		var documents []*policy.Document
		for range r.IntN(4) {
			text := `{"Version":"2012-10-17","Statement":[` + statement()
			for range r.IntN(3) {
				text += "," + statement()
			}
			d, err := policy.Parse([]byte(text+"]}"), policy.Identity)
			if err != nil { // the generator may make what the language has not, such as a wildcard in a service's name
				continue
			}
			documents = append(documents, d)
		}
		q := policy.Request{Action: pick("s3:GetObject", "S3:GETOBJECT", "s3:PutObject", "ec2:DescribeHosts", "sqs:SendMessage"), Resource: pick("*", "arn:aws:s3:::bucket/a", "arn:aws:s3:::other", "bucket"),
			Context: policy.Context{"aws:username": {pick("a", "b")}}}
		want := policy.NoMatch
		for _, d := range documents {
			one := q
			got, _ := d.Evaluate(&one)
			want = max(want, got)
		}
		if got := policy.NewSet(documents...).Evaluate(&q); got != want {
			t.Fatalf("case %d: the set says %v, its %d documents %v for %+v", i, got, len(documents), want, q)
		}
		counts[want]++
	}
	for _, d := range []policy.Decision{policy.NoMatch, policy.Allow, policy.Deny} {
		if counts[d] < 500 {
			t.Errorf("only %d cases with the decision %v", counts[d], d)
		}
	}
}

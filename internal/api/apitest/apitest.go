// Package apitest calls a declared service in this process, for the tests of the API packages: no listener and no signature, but the wire, the authorisation, and the SDKs of AWS.
package apitest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/sunaba-dev/sunaba/internal/iam"
	"github.com/sunaba-dev/sunaba/internal/wire"
)

// Region is where the requests are signed for.
const Region = "us-west-2"

// Client sends requests to Wire as Who. As the HTTP client of an SDK it takes the place of the network.
type Client struct {
	T    *testing.T
	Wire *wire.Service
	Who  iam.Principal
	Logs bytes.Buffer // what the handlers returned for the log
}

// Do implements the HTTP client of aws-sdk-go-v2.
func (c *Client) Do(r *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	ctx := wire.WithRequest(r.Context(), &wire.Request{ID: "id", Account: c.Who.Account, Principal: c.Who.ARN, Region: Region})
	w := httptest.NewRecorder()
	w.Header().Set("X-Amzn-Requestid", "id") // as the server does
	if err := c.Wire.Handle(w, r.WithContext(iam.WithPrincipal(ctx, c.Who)), body); err != nil {
		fmt.Fprintf(&c.Logs, "%v %+v %#v\n", err, err, err)
	}
	return w.Result(), nil
}

// Call posts a JSON document to an operation of an awsJson service, and checks that the answer is one of its protocol.
func (c *Client) Call(operation, body string) (status int, answer string) {
	c.T.Helper()
	r := httptest.NewRequestWithContext(c.T.Context(), http.MethodPost, "/", strings.NewReader(body))
	r.Header.Set("X-Amz-Target", c.Wire.TargetPrefix+"."+operation)
	w, err := c.Do(r)
	if err != nil {
		c.T.Fatal(err)
	}
	b, err := io.ReadAll(w.Body)
	if err != nil || w.Header.Get("Content-Type") != "application/x-amz-json-1.1" || !json.Valid(b) {
		c.T.Errorf("%s: %v %v %s", operation, err, w.Header, b)
	}
	return w.StatusCode, string(b)
}

// User makes a user with an inline policy ("" for none) and a key, and returns who a request with that key is.
func User(t *testing.T, s *iam.Service, account, name, policy string) iam.Principal {
	t.Helper()
	r := iam.Ref{Account: account, Kind: iam.User, Name: name}
	_, err := s.Create(t.Context(), iam.NewEntity{Ref: r})
	if err == nil && policy != "" {
		err = s.PutInline(t.Context(), r, "p", policy)
	}
	if err != nil {
		t.Fatal(err)
	}
	k, err := s.CreateAccessKey(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	_, p, _, err := s.Key(t.Context(), k.ID, "")
	if err != nil {
		t.Fatal(err)
	}
	return p
}

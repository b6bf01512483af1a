package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"github.com/sunaba-dev/sunaba/internal/installation"
)

// call asks the server that runs on the data folder, signed with the folder's root key, in the region of AWS_REGION. It returns the answer as it came, and decoded into out.
func call(ctx context.Context, s *settings, method, path string, in, out any) (text []byte, err error) {
	dir, err := installation.Open(s.dataDir)
	if err != nil {
		return nil, err
	}
	server, running := dir.Server()
	if !running {
		return nil, fmt.Errorf("no server is running on the data folder %s: start it with `sunaba up`", dir.Path())
	}
	key, found, err := dir.Key()
	if err != nil {
		return nil, err
	}
	if !found {
		return nil, fmt.Errorf("the data folder %s has no root key", dir.Path())
	}
	var body []byte
	if in != nil {
		if body, err = json.Marshal(in); err != nil {
			return nil, err
		}
	}
	r, err := http.NewRequestWithContext(ctx, method, server.Endpoint+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	region := os.Getenv("AWS_REGION")
	if region == "" {
		region = defaultRegion
	}
	sum := sha256.Sum256(body)
	if err := v4.NewSigner().SignHTTP(ctx, aws.Credentials{AccessKeyID: key.ID, SecretAccessKey: key.Secret}, r, hex.EncodeToString(sum[:]), "sunaba", region, time.Now()); err != nil {
		return nil, err
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, resp.Body.Close()) }()
	if text, err = io.ReadAll(resp.Body); err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusOK {
		var e struct {
			Message string `json:"message"`
		}
		if json.Unmarshal(text, &e) != nil || e.Message == "" {
			e.Message = resp.Status
		}
		return nil, errors.New(e.Message)
	}
	return text, json.Unmarshal(text, out)
}

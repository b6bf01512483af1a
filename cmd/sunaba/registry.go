package main

import (
	"context"
	"errors"
	"net/http"
	"path/filepath"
	"time"

	"github.com/google/uuid"

	apiecr "github.com/sunaba-dev/sunaba/internal/api/ecr"
	"github.com/sunaba-dev/sunaba/internal/iam"
	"github.com/sunaba-dev/sunaba/internal/installation"
	"github.com/sunaba-dev/sunaba/internal/registry"
	"github.com/sunaba-dev/sunaba/internal/registry/oci"
	"github.com/sunaba-dev/sunaba/internal/store"
	"github.com/sunaba-dev/sunaba/internal/wire"
)

// registryAuthority says who pushes and pulls, and whether they may.
type registryAuthority struct{ identities }

// Caller implements oci.Authority.
func (a registryAuthority) Caller(ctx context.Context, accessKeyID string, r *http.Request) (context.Context, string, error) {
	p, _, err := a.KeyHolder(ctx, accessKeyID)
	if errors.Is(err, iam.ErrUnknownKey) || errors.Is(err, iam.ErrExpiredToken) {
		return nil, "", oci.ErrNoCaller
	}
	if err != nil {
		return nil, "", err
	}
	ctx, _ = a.admit(ctx, p, r)
	return ctx, p.ARN, nil
}

// Authorize implements oci.Authority.
func (a registryAuthority) Authorize(ctx context.Context, action, arn string, conditions map[string][]string, policy []byte) error {
	return a.identities.Authorize(ctx, iam.Request{Principal: iam.PrincipalOf(ctx), Action: action, Resource: arn, Context: conditions, ResourcePolicy: policy})
}

// isRegistry tells a container registry's requests: by their path, under no name of another service. A sandbox that may only use S3 must not find the registry under S3's name.
func isRegistry(r *http.Request) bool {
	service := serviceOfHost(r.Host)
	return (service == "" || service == "ecr") && oci.Serves(r)
}

// registry opens the container registry in the data folder, and sweeps it from time to time.
func (u *up) registry(ctx context.Context, dir *installation.Dir, db *store.DB, d *domains) (err error) {
	d.registry, err = registry.New(registry.Options{Store: db, Dir: filepath.Join(dir.Path(), "registry"), CheckPolicy: d.who.CheckResourcePolicy, NewID: uuid.NewString})
	if err != nil {
		return err
	}
	sweeping, stop := context.WithCancel(ctx)
	swept := make(chan struct{})
	go func() {
		defer close(swept)
		d.registry.Run(sweeping, u.log)
	}()
	u.later(func(context.Context) error {
		stop()
		<-swept
		return nil
	})
	return nil
}

// ecr is the registry's AWS API.
func (d domains) ecr() *wire.Service {
	authority := registryAuthority{d.who}
	return (&apiecr.API{
		Registry: d.registry,
		Endpoint: func(context.Context, registry.Scope) string { return d.endpoint },
		Caller: func(ctx context.Context) (string, time.Time) {
			id := iam.PrincipalOf(ctx).AccessKeyID
			_, ends, err := d.who.KeyHolder(ctx, id)
			if err != nil { // it has just been deleted: what is made for it is good for nothing
				ends = time.Now()
			}
			return id, ends
		},
		Authorize: func(ctx context.Context, action string, t wire.Target, policy []byte) error {
			return authority.Authorize(ctx, action, t.Resource, t.Context, policy)
		},
	}).Service()
}

package main

import (
	"context"
	"net/http"
	"path/filepath"

	"github.com/sunaba-dev/sunaba/internal/installation"
	"github.com/sunaba-dev/sunaba/internal/logs"
	"github.com/sunaba-dev/sunaba/internal/network"
	"github.com/sunaba-dev/sunaba/internal/parameters"
	"github.com/sunaba-dev/sunaba/internal/sealed"
	"github.com/sunaba-dev/sunaba/internal/secrets"
	"github.com/sunaba-dev/sunaba/internal/store"
)

// stores opens what keeps secrets, parameters and logs in the data folder.
func (u *up) stores(ctx context.Context, dir *installation.Dir, db *store.DB, d *domains) error {
	key, err := sealed.LoadKey(filepath.Join(dir.Path(), "sealing.key"))
	if err != nil {
		return err
	}
	d.secrets = secrets.New(secrets.Options{Store: db, Seal: key, Log: u.log})
	d.parameters = parameters.New(parameters.Options{Store: db, Seal: key})
	purging, stop := context.WithCancel(ctx)
	purged := make(chan struct{})
	go func() {
		defer close(purged)
		d.secrets.Run(purging)
	}()
	u.later(func(context.Context) error {
		stop()
		<-purged
		return nil
	})
	if d.logs, err = logs.Open(logs.Options{Dir: filepath.Join(dir.Path(), "logs"), Log: u.log}); err != nil {
		return err
	}
	u.later(func(context.Context) error { return d.logs.Close() })
	return nil
}

// network makes what sandboxes see of the world: this server by the names of AWS, and the outside as far as the operator and the interpreter allow.
func (u *up) network(dir *installation.Dir, who identities, handler http.Handler, observe func(network.Connection)) (connector, error) {
	out, err := u.egress.open(dir.Path())
	if err != nil {
		return connector{}, err
	}
	ca, err := network.LoadCA(filepath.Join(dir.Path(), "ca.pem"))
	if err != nil {
		return connector{}, err
	}
	n := network.New(network.Options{CA: ca, Log: u.log, Resolve: out.resolve, Observe: observe, Handler: handler})
	u.later(func(context.Context) error { return n.Close() })
	return connector{who: who, network: n, outside: out}, nil
}

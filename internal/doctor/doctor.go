// Package doctor looks at a host and says what it lacks to run sandboxes, and which command mends it. It changes nothing.
package doctor

import (
	"context"
	"fmt"
	"time"
)

// Status is how a check ended.
type Status string

// The statuses, from good to bad.
const (
	OK   Status = "ok"
	Warn Status = "warn" // works, with less than it could
	Fail Status = "fail" // sandboxes will not start, or the server will not
)

// Result is the outcome of one check.
type Result struct {
	Name   string `json:"name"` // "control groups"
	Status Status `json:"status"`
	Detail string `json:"detail"`        // what was found, in one line
	Fix    string `json:"fix,omitempty"` // a command, or what to do where no command helps; only with Warn and Fail
}

// Options say what to check.
type Options struct {
	CacheDir string // where images are kept; need not exist yet
	DataDir  string // where sessions write; need not exist yet
	Listen   string // "address:port" that the server will listen on; empty skips the check

	// Image describes the default image, or fails if it is not there; nil skips the check.
	Image func(ctx context.Context) (string, error)
	// TryStart starts a sandbox and ends it; nil skips the check. It is only called when nothing before has failed.
	TryStart func(ctx context.Context) error
	// Host is the machine that is looked at; nil means this one.
	Host *Host
}

// startTimeout bounds the trial start. A cold start takes about a second; a loaded machine may need many times that.
const startTimeout = time.Minute

// Check runs all checks and returns their results in an order that suits reading: what the rest depends on comes first. It takes a second or so, and ends early
// with the context.
func Check(ctx context.Context, o Options) []Result {
	if o.Host == nil {
		o.Host = ThisHost()
	}
	checks := []func(context.Context, Options) (Result, bool){
		platform, kernel, privileges, chroot, userNamespaces, apparmor, seccomp, ptrace, controlGroups, memory, cacheSpace, dataSpace, clock, bootstrap, defaultImage, listener,
	}
	var results []Result
	healthy := true
	for _, check := range checks {
		if ctx.Err() != nil {
			return results
		}
		if r, applies := check(ctx, o); applies {
			results = append(results, r)
			healthy = healthy && r.Status != Fail
		}
	}
	if o.TryStart != nil && ctx.Err() == nil {
		results = append(results, tryStart(ctx, o, healthy))
	}
	return results
}

// Healthy reports whether no check failed.
func Healthy(results []Result) bool {
	for _, r := range results {
		if r.Status == Fail {
			return false
		}
	}
	return true
}

func tryStart(ctx context.Context, o Options, healthy bool) Result {
	const name = "sandbox"
	if !healthy {
		return warn(name, "not tried, because a check before has failed", "mend that first, then run: sunaba doctor")
	}
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	if err := o.TryStart(ctx); err != nil {
		return fail(name, "a sandbox does not start: "+err.Error(), "see the message; with more detail: sunaba up --log-level debug")
	}
	return ok(name, "a gVisor sandbox starts and answers")
}

func ok(name, format string, args ...any) Result {
	return Result{Name: name, Status: OK, Detail: fmt.Sprintf(format, args...)}
}

func warn(name, detail, fix string) Result {
	return Result{Name: name, Status: Warn, Detail: detail, Fix: fix}
}

func fail(name, detail, fix string) Result {
	return Result{Name: name, Status: Fail, Detail: detail, Fix: fix}
}

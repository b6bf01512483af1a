package agentruntime

import (
	"context"
	"time"

	"github.com/sunaba-dev/sunaba/internal/fault"
)

// CreateWorkload makes a workload identity.
func (s *Service) CreateWorkload(ctx context.Context, w Workload) (Workload, error) {
	if err := checkTags(w.Tags); err != nil {
		return w, err
	}
	w.CreatedAt = time.Now().UTC()
	w.UpdatedAt = w.CreatedAt
	return w, s.o.Store.CreateWorkload(ctx, w)
}

// Workload returns one workload identity.
func (s *Service) Workload(ctx context.Context, scope Scope, name string) (Workload, error) {
	return s.o.Store.Workload(ctx, scope, name)
}

// Workloads lists workload identities in the order of their creation, those of runtimes among them.
func (s *Service) Workloads(ctx context.Context, scope Scope, p Page) ([]Workload, string, error) {
	return s.o.Store.Workloads(ctx, scope, p)
}

// UpdateWorkload replaces the return URLs of a workload identity.
func (s *Service) UpdateWorkload(ctx context.Context, scope Scope, name string, returnURLs []string) (Workload, error) {
	return s.o.Store.ChangeWorkload(ctx, scope, name, func(w *Workload) error {
		w.ReturnURLs, w.UpdatedAt = returnURLs, time.Now().UTC()
		return nil
	})
}

// DeleteWorkload removes a workload identity. That of a runtime goes with its runtime only.
func (s *Service) DeleteWorkload(ctx context.Context, scope Scope, name string) error {
	_, err := s.o.Store.Runtime(ctx, scope, name, 0) // the name of a runtime's identity is the runtime's id
	switch {
	case err == nil:
		return fault.New(fault.AccessDenied, "The workload identity %q belongs to the agent runtime of that id, with which it goes.", name)
	case !fault.Is(err, fault.ResourceNotFound):
		return err
	}
	return s.o.Store.DeleteWorkload(ctx, scope, name)
}

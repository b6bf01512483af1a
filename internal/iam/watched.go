package iam

import (
	"context"
	"sync/atomic"
	"time"
)

// watched is a Store that counts its changes, so that what was read before one is not taken for true after it. A change counts once it has been made and before its caller is answered: whoever
// deletes a policy or a key, and is told so, knows that it acts no more. Creating something adds to what there is, and makes nothing untrue that was read.
type watched struct {
	Store
	changes atomic.Uint64
}

// version grows with every change of a credential or of what counts for a decision.
func (w *watched) version() uint64 { return w.changes.Load() }

// changed is deferred by every change, whatever has come of it: a write whose answer is an error may have happened.
func (w *watched) changed() { w.changes.Add(1) }

func (w *watched) ChangeEntity(ctx context.Context, r Ref, change func(*Entity) error) (Entity, error) {
	defer w.changed()
	return w.Store.ChangeEntity(ctx, r, change)
}

func (w *watched) DeleteEntity(ctx context.Context, r Ref) error {
	defer w.changed()
	return w.Store.DeleteEntity(ctx, r)
}

func (w *watched) PutInline(ctx context.Context, r Ref, name, document string, limit int) error {
	defer w.changed()
	return w.Store.PutInline(ctx, r, name, document, limit)
}

func (w *watched) DeleteInline(ctx context.Context, r Ref, name string) error {
	defer w.changed()
	return w.Store.DeleteInline(ctx, r, name)
}

func (w *watched) DeletePolicy(ctx context.Context, arn string) error {
	defer w.changed()
	return w.Store.DeletePolicy(ctx, arn)
}

func (w *watched) CreateVersion(ctx context.Context, arn, document string, makeDefault bool, limit int, at time.Time) (Version, error) {
	defer w.changed()
	return w.Store.CreateVersion(ctx, arn, document, makeDefault, limit, at)
}

func (w *watched) SetDefaultVersion(ctx context.Context, arn string, number int, at time.Time) error {
	defer w.changed()
	return w.Store.SetDefaultVersion(ctx, arn, number, at)
}

func (w *watched) DeleteVersion(ctx context.Context, arn string, number int) error {
	defer w.changed()
	return w.Store.DeleteVersion(ctx, arn, number)
}

func (w *watched) Attach(ctx context.Context, r Ref, policyARN string, limit int) error {
	defer w.changed()
	return w.Store.Attach(ctx, r, policyARN, limit)
}

func (w *watched) Detach(ctx context.Context, r Ref, policyARN string) error {
	defer w.changed()
	return w.Store.Detach(ctx, r, policyARN)
}

func (w *watched) SetBoundary(ctx context.Context, r Ref, policyARN string) error {
	defer w.changed()
	return w.Store.SetBoundary(ctx, r, policyARN)
}

func (w *watched) AddMember(ctx context.Context, holder Ref, member string, limit int) error {
	defer w.changed()
	return w.Store.AddMember(ctx, holder, member, limit)
}

func (w *watched) RemoveMember(ctx context.Context, holder Ref, member string) error {
	defer w.changed()
	return w.Store.RemoveMember(ctx, holder, member)
}

func (w *watched) SetAccessKey(ctx context.Context, r Ref, id string, active bool) error {
	defer w.changed()
	return w.Store.SetAccessKey(ctx, r, id, active)
}

func (w *watched) DeleteAccessKey(ctx context.Context, r Ref, id string) error {
	defer w.changed()
	return w.Store.DeleteAccessKey(ctx, r, id)
}

func (w *watched) EndTemporary(ctx context.Context, which Sessions) (int, error) {
	defer w.changed()
	return w.Store.EndTemporary(ctx, which)
}

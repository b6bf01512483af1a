package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"

	"github.com/sunaba-dev/sunaba/internal/agentruntime"
	"github.com/sunaba-dev/sunaba/internal/fault"
)

const (
	endpointColumns = "e.seq, r.account, r.region, r.id, e.id, e.name, e.description, e.live, e.target, e.status, e.reason, e.tags, e.created_at, e.updated_at"
	endpointRows    = "FROM runtimes r JOIN runtime_endpoints e ON e.runtime = r.seq WHERE "
)

func scanEndpoint(row scanner) (e agentruntime.Endpoint, seq int64, err error) {
	var tags string
	var created, updated int64
	if err = row.Scan(&seq, &e.Account, &e.Region, &e.RuntimeID, &e.ID, &e.Name, &e.Description, &e.Live, &e.Target, &e.Status, &e.FailureReason, &tags, &created, &updated); err != nil {
		return e, 0, err
	}
	e.CreatedAt, e.UpdatedAt = fromMicros(created), fromMicros(updated)
	return e, seq, json.Unmarshal([]byte(tags), &e.Tags)
}

func insertEndpoint(ctx context.Context, tx *sql.Tx, runtime int64, e agentruntime.Endpoint) error {
	_, err := tx.ExecContext(ctx, `INSERT INTO runtime_endpoints (runtime, id, name, description, live, target, status, reason, tags, created_at, updated_at)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
		runtime, e.ID, e.Name, e.Description, e.Live, e.Target, e.Status, e.FailureReason, marshalTags(e.Tags), micros(e.CreatedAt), micros(e.UpdatedAt))
	if isUnique(err) {
		return fault.New(fault.Conflict, "The agent runtime %q has an endpoint with the name %q already.", e.RuntimeID, e.Name)
	}
	return err
}

// CreateEndpoint implements agentruntime.Store.
func (db *DB) CreateEndpoint(ctx context.Context, e agentruntime.Endpoint, limit int) error {
	return db.update(ctx, func(tx *sql.Tx) error {
		_, seq, err := findRuntime(ctx, tx, e.Scope, e.RuntimeID, 0)
		if err != nil {
			return err
		}
		var n int
		if err := tx.QueryRowContext(ctx, "SELECT COUNT(*) FROM runtime_endpoints WHERE runtime = ?", seq).Scan(&n); err != nil {
			return err
		}
		if n >= limit {
			return fault.New(fault.ServiceQuota, "The agent runtime %q has %d endpoints, which is the limit.", e.RuntimeID, n)
		}
		return insertEndpoint(ctx, tx, seq, e)
	})
}

func findEndpoint(ctx context.Context, q querier, s agentruntime.Scope, runtimeID, name string) (agentruntime.Endpoint, int64, error) {
	e, seq, err := scanEndpoint(q.QueryRowContext(ctx, "SELECT "+endpointColumns+" "+endpointRows+ofRuntime+"AND e.name = ?", s.Account, s.Region, runtimeID, name))
	if errors.Is(err, sql.ErrNoRows) {
		err = fault.New(fault.ResourceNotFound, "The agent runtime %q does not exist, or has no endpoint %q.", runtimeID, name)
	}
	return e, seq, err
}

// Endpoint implements agentruntime.Store.
func (db *DB) Endpoint(ctx context.Context, s agentruntime.Scope, runtimeID, name string) (agentruntime.Endpoint, error) {
	e, _, err := findEndpoint(ctx, db.read, s, runtimeID, name)
	return e, err
}

// Endpoints implements agentruntime.Store.
func (db *DB) Endpoints(ctx context.Context, s agentruntime.Scope, runtimeID string, p agentruntime.Page) ([]agentruntime.Endpoint, string, error) {
	after, err := position(p.Token, 0)
	if err != nil {
		return nil, "", err
	}
	rows, err := db.read.QueryContext(ctx, "SELECT "+endpointColumns+" "+endpointRows+ofRuntime+"AND e.seq > ? ORDER BY e.seq LIMIT ?", s.Account, s.Region, runtimeID, after, p.Limit+1)
	if err != nil {
		return nil, "", err
	}
	return collect(rows, p.Limit, scanEndpoint)
}

// ChangeEndpoint implements agentruntime.Store.
func (db *DB) ChangeEndpoint(ctx context.Context, s agentruntime.Scope, runtimeID, name string, change func(e *agentruntime.Endpoint) error) (e agentruntime.Endpoint, err error) {
	err = db.update(ctx, func(tx *sql.Tx) error {
		var seq int64
		if e, seq, err = findEndpoint(ctx, tx, s, runtimeID, name); err != nil {
			return err
		}
		if err := change(&e); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, "UPDATE runtime_endpoints SET description = ?, live = ?, target = ?, status = ?, reason = ?, tags = ?, updated_at = ? WHERE seq = ?",
			e.Description, e.Live, e.Target, e.Status, e.FailureReason, marshalTags(e.Tags), micros(e.UpdatedAt), seq)
		return err
	})
	return e, err
}

// DeleteEndpoint implements agentruntime.Store.
func (db *DB) DeleteEndpoint(ctx context.Context, s agentruntime.Scope, runtimeID, name string) error {
	return db.update(ctx, func(tx *sql.Tx) error {
		_, seq, err := findEndpoint(ctx, tx, s, runtimeID, name)
		if err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, "DELETE FROM runtime_endpoints WHERE seq = ?", seq)
		return err
	})
}

package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"

	"github.com/sunaba-dev/sunaba/internal/agentruntime"
	"github.com/sunaba-dev/sunaba/internal/fault"
)

const workloadColumns = "seq, account, region, name, return_urls, tags, created_at, updated_at"

func scanWorkload(row scanner) (w agentruntime.Workload, seq int64, err error) {
	var urls, tags string
	var created, updated int64
	if err = row.Scan(&seq, &w.Account, &w.Region, &w.Name, &urls, &tags, &created, &updated); err != nil {
		return w, 0, err
	}
	w.CreatedAt, w.UpdatedAt = fromMicros(created), fromMicros(updated)
	return w, seq, errors.Join(json.Unmarshal([]byte(urls), &w.ReturnURLs), json.Unmarshal([]byte(tags), &w.Tags))
}

func insertWorkload(ctx context.Context, tx *sql.Tx, w agentruntime.Workload) error {
	_, err := tx.ExecContext(ctx, "INSERT INTO workload_identities (account, region, name, return_urls, tags, created_at, updated_at) VALUES (?, ?, ?, ?, ?, ?, ?)",
		w.Account, w.Region, w.Name, marshal(w.ReturnURLs), marshalTags(w.Tags), micros(w.CreatedAt), micros(w.UpdatedAt))
	if isUnique(err) {
		return fault.New(fault.Conflict, "A workload identity with the name %q exists already.", w.Name)
	}
	return err
}

// CreateWorkload implements agentruntime.Store.
func (db *DB) CreateWorkload(ctx context.Context, w agentruntime.Workload) error {
	return db.update(ctx, func(tx *sql.Tx) error { return insertWorkload(ctx, tx, w) })
}

func findWorkload(ctx context.Context, q querier, s agentruntime.Scope, name string) (agentruntime.Workload, int64, error) {
	w, seq, err := scanWorkload(q.QueryRowContext(ctx, "SELECT "+workloadColumns+" FROM workload_identities WHERE account = ? AND region = ? AND name = ?", s.Account, s.Region, name))
	if errors.Is(err, sql.ErrNoRows) {
		err = agentruntime.NotFound("workload identity", name)
	}
	return w, seq, err
}

// Workload implements agentruntime.Store.
func (db *DB) Workload(ctx context.Context, s agentruntime.Scope, name string) (agentruntime.Workload, error) {
	w, _, err := findWorkload(ctx, db.read, s, name)
	return w, err
}

// Workloads implements agentruntime.Store.
func (db *DB) Workloads(ctx context.Context, s agentruntime.Scope, p agentruntime.Page) ([]agentruntime.Workload, string, error) {
	after, err := position(p.Token, 0)
	if err != nil {
		return nil, "", err
	}
	rows, err := db.read.QueryContext(ctx, "SELECT "+workloadColumns+" FROM workload_identities WHERE account = ? AND region = ? AND seq > ? ORDER BY seq LIMIT ?", s.Account, s.Region, after, p.Limit+1)
	if err != nil {
		return nil, "", err
	}
	return collect(rows, p.Limit, scanWorkload)
}

// ChangeWorkload implements agentruntime.Store.
func (db *DB) ChangeWorkload(ctx context.Context, s agentruntime.Scope, name string, change func(w *agentruntime.Workload) error) (w agentruntime.Workload, err error) {
	err = db.update(ctx, func(tx *sql.Tx) error {
		var seq int64
		if w, seq, err = findWorkload(ctx, tx, s, name); err != nil {
			return err
		}
		if err := change(&w); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, "UPDATE workload_identities SET return_urls = ?, tags = ?, updated_at = ? WHERE seq = ?", marshal(w.ReturnURLs), marshalTags(w.Tags), micros(w.UpdatedAt), seq)
		return err
	})
	return w, err
}

// DeleteWorkload implements agentruntime.Store.
func (db *DB) DeleteWorkload(ctx context.Context, s agentruntime.Scope, name string) error {
	return db.update(ctx, func(tx *sql.Tx) error {
		_, seq, err := findWorkload(ctx, tx, s, name)
		if err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, "DELETE FROM workload_identities WHERE seq = ?", seq)
		return err
	})
}

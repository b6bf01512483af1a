package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"math"

	"github.com/sunaba-dev/sunaba/internal/agentruntime"
	"github.com/sunaba-dev/sunaba/internal/fault"
)

var _ agentruntime.Store = (*DB)(nil)

// runtimeRows are runtimes at their versions; runtimeColumns begin with the number of the runtime's record.
const (
	runtimeColumns = "r.seq, r.account, r.region, r.id, r.name, v.version, v.configuration, v.status, v.reason, r.tags, r.created_at, v.updated_at"
	runtimeRows    = "FROM runtimes r JOIN runtime_versions v ON v.runtime = r.seq WHERE "
	ofScope        = "r.account = ? AND r.region = ? "
	ofRuntime      = ofScope + "AND r.id = ? "
)

func scanRuntime(row scanner) (r agentruntime.Runtime, seq int64, err error) {
	var configuration, tags string
	var created, updated int64
	if err = row.Scan(&seq, &r.Account, &r.Region, &r.ID, &r.Name, &r.Version, &configuration, &r.Status, &r.FailureReason, &tags, &created, &updated); err != nil {
		return r, 0, err
	}
	r.CreatedAt, r.UpdatedAt = fromMicros(created), fromMicros(updated)
	return r, seq, errors.Join(json.Unmarshal([]byte(configuration), &r.Configuration), json.Unmarshal([]byte(tags), &r.Tags))
}

// scanRuntimeVersion is scanRuntime for lists of one runtime's versions, whose positions are the versions' numbers.
func scanRuntimeVersion(row scanner) (agentruntime.Runtime, int64, error) {
	r, _, err := scanRuntime(row)
	return r, int64(r.Version), err
}

// findRuntime returns a runtime at a version, or at its newest for 0, and the number of its record.
func findRuntime(ctx context.Context, q querier, s agentruntime.Scope, id string, version int) (agentruntime.Runtime, int64, error) {
	r, seq, err := scanRuntime(q.QueryRowContext(ctx, "SELECT "+runtimeColumns+" "+runtimeRows+ofRuntime+"AND v.version = CASE ? WHEN 0 THEN r.version ELSE ? END",
		s.Account, s.Region, id, version, version))
	if errors.Is(err, sql.ErrNoRows) {
		err = agentruntime.NotFound("agent runtime", id)
		if version != 0 {
			err = fault.New(fault.ResourceNotFound, "The agent runtime %q does not exist, or has no version %d.", id, version)
		}
	}
	return r, seq, err
}

// CreateRuntime implements agentruntime.Store.
func (db *DB) CreateRuntime(ctx context.Context, r agentruntime.Runtime, e agentruntime.Endpoint, w agentruntime.Workload, limit int) error {
	return db.update(ctx, func(tx *sql.Tx) error {
		var n int
		if err := tx.QueryRowContext(ctx, "SELECT COUNT(*) FROM runtimes WHERE account = ? AND region = ?", r.Account, r.Region).Scan(&n); err != nil {
			return err
		}
		if n >= limit {
			return fault.New(fault.ServiceQuota, "The account has %d agent runtimes in %s, which is the limit.", n, r.Region)
		}
		result, err := tx.ExecContext(ctx, "INSERT INTO runtimes (account, region, id, name, version, tags, created_at) VALUES (?, ?, ?, ?, ?, ?, ?)",
			r.Account, r.Region, r.ID, r.Name, r.Version, marshalTags(r.Tags), micros(r.CreatedAt))
		if isUnique(err) {
			return fault.New(fault.Conflict, "An agent runtime with the name %q exists already.", r.Name)
		}
		if err != nil {
			return err
		}
		seq, err := result.LastInsertId()
		if err != nil {
			return err
		}
		return errors.Join(insertRuntimeVersion(ctx, tx, seq, r), insertEndpoint(ctx, tx, seq, e), insertWorkload(ctx, tx, w))
	})
}

func marshalTags(tags map[string]string) string {
	if tags == nil {
		tags = map[string]string{}
	}
	return marshal(tags)
}

func insertRuntimeVersion(ctx context.Context, tx *sql.Tx, seq int64, r agentruntime.Runtime) error {
	_, err := tx.ExecContext(ctx, "INSERT INTO runtime_versions (runtime, version, configuration, artifact, status, reason, updated_at) VALUES (?, ?, ?, '', ?, '', ?)",
		seq, r.Version, marshal(r.Configuration), r.Status, micros(r.UpdatedAt))
	return err
}

// AddVersion implements agentruntime.Store.
func (db *DB) AddVersion(ctx context.Context, r agentruntime.Runtime, limit int) (agentruntime.Runtime, error) {
	err := db.update(ctx, func(tx *sql.Tx) error {
		newest, seq, err := findRuntime(ctx, tx, r.Scope, r.ID, 0)
		if err != nil {
			return err
		}
		if err := busy(newest); err != nil {
			return err
		}
		if newest.Version >= limit {
			return fault.New(fault.ServiceQuota, "The agent runtime %q has %d versions, which is the limit.", r.ID, newest.Version)
		}
		r.Version, r.Tags, r.CreatedAt = newest.Version+1, newest.Tags, newest.CreatedAt
		if _, err := tx.ExecContext(ctx, "UPDATE runtimes SET version = ? WHERE seq = ?", r.Version, seq); err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, "UPDATE runtime_endpoints SET target = ?, status = ?, reason = '', updated_at = ? WHERE runtime = ? AND name = ?",
			r.Version, agentruntime.Updating, micros(r.UpdatedAt), seq, agentruntime.DefaultEndpoint)
		return errors.Join(err, insertRuntimeVersion(ctx, tx, seq, r))
	})
	return r, err
}

// busy is the answer about a runtime whose newest version is being made.
func busy(newest agentruntime.Runtime) error {
	if newest.Status == agentruntime.Creating || newest.Status == agentruntime.Updating {
		return fault.New(fault.Conflict, "The agent runtime %q is %s: wait until it is READY.", newest.ID, newest.Status)
	}
	return nil
}

// FinishVersion implements agentruntime.Store.
func (db *DB) FinishVersion(ctx context.Context, r agentruntime.Runtime, a agentruntime.Artifact) error {
	return db.update(ctx, func(tx *sql.Tx) error {
		_, seq, err := findRuntime(ctx, tx, r.Scope, r.ID, r.Version)
		if err != nil {
			return err
		}
		artifact := ""
		if r.Status == agentruntime.Ready {
			artifact = marshal(a)
		}
		if _, err := tx.ExecContext(ctx, "UPDATE runtime_versions SET status = ?, reason = ?, artifact = ?, updated_at = ? WHERE runtime = ? AND version = ? AND status IN (?, ?)",
			r.Status, r.FailureReason, artifact, micros(r.UpdatedAt), seq, r.Version, agentruntime.Creating, agentruntime.Updating); err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, "UPDATE runtime_endpoints SET live = CASE ? WHEN ? THEN ? ELSE live END, status = ?, reason = ?, updated_at = ? WHERE runtime = ? AND name = ? AND target = ?",
			r.Status, agentruntime.Ready, r.Version, r.Status, r.FailureReason, micros(r.UpdatedAt), seq, agentruntime.DefaultEndpoint, r.Version)
		return err
	})
}

// UnfinishedVersions implements agentruntime.Store.
func (db *DB) UnfinishedVersions(ctx context.Context) ([]agentruntime.Runtime, error) {
	rows, err := db.read.QueryContext(ctx, "SELECT "+runtimeColumns+" "+runtimeRows+"v.status IN (?, ?)", agentruntime.Creating, agentruntime.Updating)
	if err != nil {
		return nil, err
	}
	items, _, err := collect(rows, math.MaxInt, scanRuntime)
	return items, err
}

// Runtime implements agentruntime.Store.
func (db *DB) Runtime(ctx context.Context, s agentruntime.Scope, id string, version int) (agentruntime.Runtime, error) {
	r, _, err := findRuntime(ctx, db.read, s, id, version)
	return r, err
}

// Artifact implements agentruntime.Store.
func (db *DB) Artifact(ctx context.Context, s agentruntime.Scope, id string, version int) (a agentruntime.Artifact, err error) {
	var text string
	err = db.read.QueryRowContext(ctx, "SELECT v.artifact "+runtimeRows+ofRuntime+"AND v.version = ? AND v.artifact != ''", s.Account, s.Region, id, version).Scan(&text)
	if errors.Is(err, sql.ErrNoRows) {
		return a, fault.New(fault.ResourceNotFound, "Version %d of the agent runtime %q does not exist, or is not ready.", version, id)
	}
	if err != nil {
		return a, err
	}
	return a, json.Unmarshal([]byte(text), &a)
}

// Runtimes implements agentruntime.Store.
func (db *DB) Runtimes(ctx context.Context, s agentruntime.Scope, p agentruntime.Page) ([]agentruntime.Runtime, string, error) {
	after, err := position(p.Token, 0)
	if err != nil {
		return nil, "", err
	}
	rows, err := db.read.QueryContext(ctx, "SELECT "+runtimeColumns+" "+runtimeRows+ofScope+"AND v.version = r.version AND r.seq > ? ORDER BY r.seq LIMIT ?", s.Account, s.Region, after, p.Limit+1)
	if err != nil {
		return nil, "", err
	}
	return collect(rows, p.Limit, scanRuntime)
}

// RuntimeVersions implements agentruntime.Store.
func (db *DB) RuntimeVersions(ctx context.Context, s agentruntime.Scope, id string, p agentruntime.Page) ([]agentruntime.Runtime, string, error) {
	before, err := position(p.Token, math.MaxInt64)
	if err != nil {
		return nil, "", err
	}
	rows, err := db.read.QueryContext(ctx, "SELECT "+runtimeColumns+" "+runtimeRows+ofRuntime+"AND v.version < ? ORDER BY v.version DESC LIMIT ?", s.Account, s.Region, id, before, p.Limit+1)
	if err != nil {
		return nil, "", err
	}
	return collect(rows, p.Limit, scanRuntimeVersion)
}

// DeleteRuntime implements agentruntime.Store.
func (db *DB) DeleteRuntime(ctx context.Context, s agentruntime.Scope, id string) error {
	return db.update(ctx, func(tx *sql.Tx) error {
		r, seq, err := findRuntime(ctx, tx, s, id, 0)
		if err != nil {
			return err
		}
		if err := busy(r); err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, "DELETE FROM runtimes WHERE seq = ?", seq); err != nil { // versions and endpoints go with it
			return err
		}
		_, err = tx.ExecContext(ctx, "DELETE FROM workload_identities WHERE account = ? AND region = ? AND name = ?", s.Account, s.Region, r.Workload().Name)
		return err
	})
}

// ChangeRuntimeTags implements agentruntime.Store.
func (db *DB) ChangeRuntimeTags(ctx context.Context, s agentruntime.Scope, id string, change func(tags map[string]string) error) error {
	return db.update(ctx, func(tx *sql.Tx) error {
		r, seq, err := findRuntime(ctx, tx, s, id, 0)
		if err != nil {
			return err
		}
		if err := change(r.Tags); err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, "UPDATE runtimes SET tags = ? WHERE seq = ?", marshal(r.Tags), seq)
		return err
	})
}

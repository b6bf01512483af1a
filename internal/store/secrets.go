package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"slices"
	"time"

	"github.com/sunaba-dev/sunaba/internal/fault"
	"github.com/sunaba-dev/sunaba/internal/secrets"
)

var _ secrets.Store = (*DB)(nil)

const secretColumns = "id, account, region, name, suffix, description, kms_key, type, tags, policy, created_at, changed_at, accessed_at, deleted_at, purge_at"

func scanSecret(row scanner) (s secrets.Secret, id int64, err error) {
	var tags string
	var created, changed, accessed, deleted, purge int64
	if err = row.Scan(&id, &s.Account, &s.Region, &s.Name, &s.Suffix, &s.Description, &s.KMSKeyID, &s.Type, &tags, &s.Policy, &created, &changed, &accessed, &deleted, &purge); err != nil {
		return s, 0, err
	}
	s.CreatedAt, s.ChangedAt, s.AccessedAt, s.DeletedAt, s.PurgeAt = fromMicros(created), fromMicros(changed), orNever(accessed), orNever(deleted), orNever(purge)
	return s, id, json.Unmarshal([]byte(tags), &s.Tags)
}

// zeroMicros is what orNever reads.
func zeroMicros(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return micros(t)
}

func noSecret() error {
	return fault.New(secrets.NotFound, "Secrets Manager can't find the specified secret.")
}

// CreateSecret implements secrets.Store.
func (db *DB) CreateSecret(ctx context.Context, s secrets.Secret, limit int) error {
	return db.update(ctx, func(tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, "DELETE FROM secrets WHERE account = ? AND region = ? AND name = ? AND purge_at > 0 AND purge_at <= ?",
			s.Account, s.Region, s.Name, micros(s.CreatedAt)); err != nil {
			return err
		}
		n, err := count(ctx, tx, "SELECT COUNT(*) FROM secrets WHERE account = ? AND region = ?", s.Account, s.Region)
		if err != nil {
			return err
		}
		r, err := tx.ExecContext(ctx, `INSERT INTO secrets (account, region, name, suffix, description, kms_key, type, tags, policy, created_at, changed_at, accessed_at, deleted_at, purge_at)
			VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
			s.Account, s.Region, s.Name, s.Suffix, s.Description, s.KMSKeyID, s.Type, marshal(orEmpty(s.Tags)), s.Policy, micros(s.CreatedAt), micros(s.ChangedAt),
			zeroMicros(s.AccessedAt), zeroMicros(s.DeletedAt), zeroMicros(s.PurgeAt))
		switch {
		case isUnique(err):
			return fault.New(secrets.Exists, "The operation failed because the secret %s already exists.", s.Name)
		case err != nil:
			return err
		case n >= limit:
			return fault.New(secrets.LimitExceeded, "The account has %d secrets in %s, which is the limit.", n, s.Region)
		}
		id, err := r.LastInsertId()
		if err != nil {
			return err
		}
		return saveVersions(ctx, tx, id, nil, s.Versions)
	})
}

// saveVersions brings the rows of a secret's versions from what they were to what they are to be.
func saveVersions(ctx context.Context, tx *sql.Tx, secret int64, were, are []secrets.Version) error {
	for _, old := range were {
		if !slices.ContainsFunc(are, func(v secrets.Version) bool { return v.ID == old.ID }) {
			if _, err := tx.ExecContext(ctx, "DELETE FROM secret_versions WHERE secret = ? AND id = ?", secret, old.ID); err != nil {
				return err
			}
		}
	}
	for _, v := range are {
		stages := v.Stages
		if stages == nil {
			stages = []string{}
		}
		i := slices.IndexFunc(were, func(old secrets.Version) bool { return v.ID == old.ID })
		var err error
		switch {
		case i < 0:
			_, err = tx.ExecContext(ctx, "INSERT INTO secret_versions (secret, id, stages, box, created_at, accessed_at) VALUES (?, ?, ?, ?, ?, ?)",
				secret, v.ID, marshal(stages), v.Box, micros(v.CreatedAt), zeroMicros(v.AccessedAt))
		case !slices.Equal(were[i].Stages, v.Stages):
			_, err = tx.ExecContext(ctx, "UPDATE secret_versions SET stages = ? WHERE secret = ? AND id = ?", marshal(stages), secret, v.ID)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// secretOf reads a secret with its versions, and its row's id.
func secretOf(ctx context.Context, q querier, s secrets.Scope, name string) (secrets.Secret, int64, error) {
	x, id, err := scanSecret(q.QueryRowContext(ctx, "SELECT "+secretColumns+" FROM secrets WHERE account = ? AND region = ? AND name = ?", s.Account, s.Region, name))
	if errors.Is(err, sql.ErrNoRows) {
		return x, 0, noSecret()
	}
	if err != nil {
		return x, 0, err
	}
	err = eachVersion(ctx, q, "secret = ?", []any{id}, func(_ int64, v secrets.Version) { x.Versions = append(x.Versions, v) })
	return x, id, err
}

// eachVersion reads versions without their boxes, in the order in which they were made.
func eachVersion(ctx context.Context, q querier, where string, args []any, each func(secret int64, v secrets.Version)) (err error) {
	rows, err := q.QueryContext(ctx, "SELECT secret, id, stages, created_at, accessed_at FROM secret_versions WHERE "+where+" ORDER BY seq", args...)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var of, created, accessed int64
		var stages string
		var v secrets.Version
		if err := rows.Scan(&of, &v.ID, &stages, &created, &accessed); err != nil {
			return err
		}
		if err := json.Unmarshal([]byte(stages), &v.Stages); err != nil {
			return err
		}
		v.CreatedAt, v.AccessedAt = fromMicros(created), orNever(accessed)
		each(of, v)
	}
	return rows.Err()
}

// Secret implements secrets.Store.
func (db *DB) Secret(ctx context.Context, s secrets.Scope, name string) (x secrets.Secret, err error) {
	err = db.view(ctx, func(tx *sql.Tx) error {
		x, _, err = secretOf(ctx, tx, s, name)
		return err
	})
	return x, err
}

// view runs f in one read transaction, which sees one state of the store.
func (db *DB) view(ctx context.Context, f func(tx *sql.Tx) error) error {
	tx, err := db.read.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
	if err != nil {
		return err
	}
	return errors.Join(f(tx), ignoreDone(tx.Rollback()))
}

// ChangeSecret implements secrets.Store.
func (db *DB) ChangeSecret(ctx context.Context, k secrets.Key, change func(*secrets.Secret, func(string) ([]byte, error)) error) (x secrets.Secret, err error) {
	err = db.update(ctx, func(tx *sql.Tx) error {
		var id int64
		if x, id, err = secretOf(ctx, tx, k.Scope, k.Name); err != nil {
			return err
		}
		if x.Suffix != k.Suffix {
			return noSecret()
		}
		were := make([]secrets.Version, len(x.Versions))
		for i, v := range x.Versions {
			were[i] = secrets.Version{ID: v.ID, Stages: slices.Clone(v.Stages)}
		}
		if err := change(&x, func(version string) ([]byte, error) { return box(ctx, tx, k, version) }); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, "UPDATE secrets SET description = ?, kms_key = ?, type = ?, tags = ?, policy = ?, changed_at = ?, deleted_at = ?, purge_at = ? WHERE id = ?",
			x.Description, x.KMSKeyID, x.Type, marshal(orEmpty(x.Tags)), x.Policy, micros(x.ChangedAt), zeroMicros(x.DeletedAt), zeroMicros(x.PurgeAt), id)
		if err != nil {
			return err
		}
		return saveVersions(ctx, tx, id, were, x.Versions)
	})
	return x, err
}

// ofSecret selects the row of a key; its arguments are key's.
const ofSecret = "SELECT id FROM secrets WHERE account = ? AND region = ? AND name = ? AND suffix = ?"

func keyArgs(k secrets.Key, more ...any) []any {
	return append([]any{k.Account, k.Region, k.Name, k.Suffix}, more...)
}

func box(ctx context.Context, q querier, k secrets.Key, version string) (b []byte, err error) {
	err = q.QueryRowContext(ctx, "SELECT box FROM secret_versions WHERE secret = ("+ofSecret+") AND id = ?", keyArgs(k, version)...).Scan(&b)
	if errors.Is(err, sql.ErrNoRows) {
		err = noSecret()
	}
	return b, err
}

// SecretBox implements secrets.Store.
func (db *DB) SecretBox(ctx context.Context, k secrets.Key, versionID string) ([]byte, error) {
	return box(ctx, db.read, k, versionID)
}

// SecretAccessed implements secrets.Store.
func (db *DB) SecretAccessed(ctx context.Context, k secrets.Key, versionID string, day time.Time) error {
	return db.update(ctx, func(tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, "UPDATE secret_versions SET accessed_at = ? WHERE secret = ("+ofSecret+") AND id = ?",
			append(append([]any{micros(day)}, keyArgs(k)...), versionID)...); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, "UPDATE secrets SET accessed_at = ? WHERE account = ? AND region = ? AND name = ? AND suffix = ?", append([]any{micros(day)}, keyArgs(k)...)...)
		return err
	})
}

// Secrets implements secrets.Store.
func (db *DB) Secrets(ctx context.Context, s secrets.Scope) (all []secrets.Secret, err error) {
	err = db.view(ctx, func(tx *sql.Tx) (err error) {
		rows, err := tx.QueryContext(ctx, "SELECT "+secretColumns+" FROM secrets WHERE account = ? AND region = ?", s.Account, s.Region)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, rows.Close()) }()
		at := map[int64]int{}
		for rows.Next() {
			x, id, err := scanSecret(rows)
			if err != nil {
				return err
			}
			at[id] = len(all)
			all = append(all, x)
		}
		if err := rows.Err(); err != nil {
			return err
		}
		return eachVersion(ctx, tx, "secret IN (SELECT id FROM secrets WHERE account = ? AND region = ?)", []any{s.Account, s.Region}, func(of int64, v secrets.Version) {
			x := &all[at[of]]
			x.Versions = append(x.Versions, v)
		})
	})
	return all, err
}

// DeleteSecret implements secrets.Store.
func (db *DB) DeleteSecret(ctx context.Context, k secrets.Key) error {
	_, err := db.write.ExecContext(ctx, "DELETE FROM secrets WHERE account = ? AND region = ? AND name = ? AND suffix = ?", keyArgs(k)...)
	return err
}

// PurgeSecrets implements secrets.Store.
func (db *DB) PurgeSecrets(ctx context.Context, now time.Time) (int, error) {
	r, err := db.write.ExecContext(ctx, "DELETE FROM secrets WHERE purge_at > 0 AND purge_at <= ?", micros(now))
	if err != nil {
		return 0, err
	}
	n, err := r.RowsAffected()
	return int(n), err
}

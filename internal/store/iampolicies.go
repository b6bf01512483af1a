package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"strconv"
	"strings"
	"time"

	"github.com/sunaba-dev/sunaba/internal/fault"
	"github.com/sunaba-dev/sunaba/internal/iam"
)

const policyColumns = `p.account, p.name, p.path, p.id, p.description, p.default_version, p.tags, p.created_at, p.updated_at,
	(SELECT COUNT(*) FROM iam_attachments a WHERE a.policy = p.id), (SELECT COUNT(*) FROM iam_entities b WHERE b.boundary = p.id)`

func scanPolicy(row scanner) (p iam.Policy, err error) {
	var tags string
	var created, updated int64
	if err = row.Scan(&p.Account, &p.Name, &p.Path, &p.ID, &p.Description, &p.Default, &tags, &created, &updated, &p.Attachments, &p.Boundaries); err != nil {
		return p, err
	}
	p.CreatedAt, p.UpdatedAt = fromMicros(created), fromMicros(updated)
	return p, json.Unmarshal([]byte(tags), &p.Tags)
}

func (db *DB) policy(ctx context.Context, q querier, arn string) (iam.Policy, error) {
	p, err := scanPolicy(q.QueryRowContext(ctx, "SELECT "+policyColumns+" FROM iam_policies p WHERE arn = ?", arn))
	if errors.Is(err, sql.ErrNoRows) {
		err = iam.PolicyNotFound(arn)
	}
	return p, err
}

// CreatePolicy implements iam.Store.
func (db *DB) CreatePolicy(ctx context.Context, p iam.Policy, document string, limit int) error {
	return db.update(ctx, func(tx *sql.Tx) error {
		if err := underLimit(ctx, tx, "PoliciesPerAccount", limit, "SELECT COUNT(*) FROM iam_policies WHERE account = ?", p.Account); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, `INSERT INTO iam_policies (id, arn, account, name, fold, path, description, default_version, last_version, tags, created_at, updated_at)
			VALUES (?, ?, ?, ?, ?, ?, ?, 1, 1, ?, ?, ?)`,
			p.ID, p.ARN(), p.Account, p.Name, strings.ToLower(p.Name), p.Path, p.Description, marshal(orEmpty(p.Tags)), micros(p.CreatedAt), micros(p.UpdatedAt))
		if isUnique(err) {
			return fault.New(iam.EntityAlreadyExists, "A policy called %s already exists. Duplicate names are not allowed.", p.Name)
		}
		if err != nil {
			return err
		}
		return insertVersion(ctx, tx, p.ID, 1, document, p.CreatedAt)
	})
}

func insertVersion(ctx context.Context, tx *sql.Tx, policy string, number int, document string, at time.Time) error {
	_, err := tx.ExecContext(ctx, "INSERT INTO iam_policy_versions (policy, number, document, created_at) VALUES (?, ?, ?, ?)", policy, number, document, micros(at))
	return err
}

// Policy implements iam.Store.
func (db *DB) Policy(ctx context.Context, arn string) (iam.Policy, error) {
	return db.policy(ctx, db.read, arn)
}

// Policies implements iam.Store.
func (db *DB) Policies(ctx context.Context, account string, f iam.Filter, p iam.Page) ([]iam.Policy, string, error) {
	return listed(ctx, db.read, p, scanPolicy, policyKey, "SELECT "+policyColumns+` FROM iam_policies p
		WHERE account = ? AND substr(path, 1, length(?)) = ? AND (NOT ? OR EXISTS (SELECT 1 FROM iam_attachments a WHERE a.policy = p.id))
			AND (NOT ? OR EXISTS (SELECT 1 FROM iam_entities b WHERE b.boundary = p.id)) AND fold > ? ORDER BY fold LIMIT ?`,
		account, f.PathPrefix, f.PathPrefix, f.OnlyAttached || f.As == iam.AsPermissions, f.As == iam.AsBoundary)
}

func policyKey(p iam.Policy) string { return strings.ToLower(p.Name) }

// ChangePolicyTags implements iam.Store.
func (db *DB) ChangePolicyTags(ctx context.Context, arn string, change func(tags map[string]string) error) error {
	return db.update(ctx, func(tx *sql.Tx) error {
		p, err := db.policy(ctx, tx, arn)
		if err != nil {
			return err
		}
		if err := change(p.Tags); err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, "UPDATE iam_policies SET tags = ? WHERE id = ?", marshal(p.Tags), p.ID)
		return err
	})
}

// DeletePolicy implements iam.Store.
func (db *DB) DeletePolicy(ctx context.Context, arn string) error {
	return db.update(ctx, func(tx *sql.Tx) error {
		p, err := db.policy(ctx, tx, arn)
		if err != nil {
			return err
		}
		if used := p.Attachments + p.Boundaries; used > 0 {
			return conflict(used, "Cannot delete a policy attached to entities.")
		}
		versions, err := count(ctx, tx, "SELECT COUNT(*) FROM iam_policy_versions WHERE policy = ?", p.ID)
		if err != nil || versions > 1 {
			return errors.Join(err, conflict(versions, "This policy has more than one version. Before you delete a policy, you must delete the policy's versions. The default version is deleted with the policy."))
		}
		_, err = tx.ExecContext(ctx, "DELETE FROM iam_policies WHERE id = ?", p.ID)
		return err
	})
}

// CreateVersion implements iam.Store.
func (db *DB) CreateVersion(ctx context.Context, arn, document string, makeDefault bool, limit int, at time.Time) (v iam.Version, err error) {
	v = iam.Version{Document: document, Default: makeDefault, CreatedAt: at}
	err = db.update(ctx, func(tx *sql.Tx) error {
		p, err := db.policy(ctx, tx, arn)
		if err != nil {
			return err
		}
		n, err := count(ctx, tx, "SELECT COUNT(*) FROM iam_policy_versions WHERE policy = ?", p.ID)
		if err == nil && n >= limit {
			err = fault.New(iam.LimitExceeded, "A managed policy can have up to %d versions. Before you create a new version, you must delete an existing version.", limit)
		}
		if err != nil {
			return err
		}
		if err := tx.QueryRowContext(ctx, "UPDATE iam_policies SET last_version = last_version + 1, updated_at = ? WHERE id = ? RETURNING last_version", micros(at), p.ID).Scan(&v.Number); err != nil {
			return err
		}
		if err := insertVersion(ctx, tx, p.ID, v.Number, document, at); err != nil || !makeDefault {
			return err
		}
		_, err = tx.ExecContext(ctx, "UPDATE iam_policies SET default_version = ? WHERE id = ?", v.Number, p.ID)
		return err
	})
	return v, err
}

const versionColumns = "v.number, v.document, v.number = p.default_version, v.created_at"

func scanVersion(row scanner) (v iam.Version, err error) {
	var at int64
	err = row.Scan(&v.Number, &v.Document, &v.Default, &at)
	v.CreatedAt = fromMicros(at)
	return v, err
}

func noVersion(arn string, number int) error {
	return fault.New(iam.NoSuchEntity, "Policy %s version v%d does not exist or is not attachable.", arn, number)
}

// Version implements iam.Store.
func (db *DB) Version(ctx context.Context, arn string, number int) (iam.Version, error) {
	v, err := scanVersion(db.read.QueryRowContext(ctx,
		"SELECT "+versionColumns+" FROM iam_policy_versions v JOIN iam_policies p ON p.id = v.policy WHERE p.arn = ? AND v.number = ?", arn, number))
	if errors.Is(err, sql.ErrNoRows) {
		err = noVersion(arn, number)
	}
	return v, err
}

// Versions implements iam.Store.
func (db *DB) Versions(ctx context.Context, arn string, page iam.Page) ([]iam.Version, string, error) {
	p, err := db.policy(ctx, db.read, arn)
	if err != nil {
		return nil, "", err
	}
	key := func(v iam.Version) string { return strconv.Itoa(-v.Number) } // the newest is first
	return listed(ctx, db.read, page, scanVersion, key, "SELECT "+versionColumns+` FROM iam_policy_versions v JOIN iam_policies p ON p.id = v.policy
		WHERE p.id = ?1 AND (?2 = '' OR -v.number > CAST(?2 AS INTEGER)) ORDER BY v.number DESC LIMIT ?3`, p.ID)
}

// SetDefaultVersion implements iam.Store.
func (db *DB) SetDefaultVersion(ctx context.Context, arn string, number int, at time.Time) error {
	return affects(noVersion(arn, number), func() (sql.Result, error) {
		return db.write.ExecContext(ctx, `UPDATE iam_policies SET default_version = ?1, updated_at = ?2
			WHERE arn = ?3 AND EXISTS (SELECT 1 FROM iam_policy_versions v WHERE v.policy = id AND v.number = ?1)`, number, micros(at), arn)
	})
}

// DeleteVersion implements iam.Store.
func (db *DB) DeleteVersion(ctx context.Context, arn string, number int) error {
	return db.update(ctx, func(tx *sql.Tx) error {
		p, err := db.policy(ctx, tx, arn)
		if err != nil {
			return err
		}
		if p.Default == number {
			return conflict(1, "Cannot delete the default version of a policy.")
		}
		return affects(noVersion(arn, number), func() (sql.Result, error) {
			return tx.ExecContext(ctx, "DELETE FROM iam_policy_versions WHERE policy = ? AND number = ?", p.ID, number)
		})
	})
}

// Attach implements iam.Store.
func (db *DB) Attach(ctx context.Context, r iam.Ref, policyARN string, limit int) error {
	return db.update(ctx, func(tx *sql.Tx) error {
		e, err := db.entity(ctx, tx, r)
		if err != nil {
			return err
		}
		p, err := db.policy(ctx, tx, policyARN)
		if err != nil {
			return err
		}
		if err := underLimit(ctx, tx, "PoliciesPer"+strings.ToUpper(string(r.Kind[:1]))+string(r.Kind[1:]), limit,
			"SELECT COUNT(*) FROM iam_attachments WHERE entity = ? AND policy <> ?", e.ID, p.ID); err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, "INSERT INTO iam_attachments (entity, policy) VALUES (?, ?) ON CONFLICT DO NOTHING", e.ID, p.ID)
		return err
	})
}

// Detach implements iam.Store.
func (db *DB) Detach(ctx context.Context, r iam.Ref, policyARN string) error {
	return db.update(ctx, func(tx *sql.Tx) error {
		e, err := db.entity(ctx, tx, r)
		if err != nil {
			return err
		}
		return affects(fault.New(iam.NoSuchEntity, "Policy %s was not found.", policyARN), func() (sql.Result, error) {
			return tx.ExecContext(ctx, "DELETE FROM iam_attachments WHERE entity = ? AND policy = (SELECT id FROM iam_policies WHERE arn = ?)", e.ID, policyARN)
		})
	})
}

// Attached implements iam.Store.
func (db *DB) Attached(ctx context.Context, r iam.Ref, pathPrefix string, p iam.Page) ([]iam.Policy, string, error) {
	e, err := db.entity(ctx, db.read, r)
	if err != nil {
		return nil, "", err
	}
	return listed(ctx, db.read, p, scanPolicy, policyKey, "SELECT "+policyColumns+` FROM iam_policies p JOIN iam_attachments t ON t.policy = p.id
		WHERE t.entity = ? AND substr(path, 1, length(?)) = ? AND fold > ? ORDER BY fold LIMIT ?`, e.ID, pathPrefix, pathPrefix)
}

// AttachedTo implements iam.Store.
func (db *DB) AttachedTo(ctx context.Context, policyARN string, f iam.EntityFilter, page iam.Page) ([]iam.Entity, string, error) {
	p, err := db.policy(ctx, db.read, policyARN)
	if err != nil {
		return nil, "", err
	}
	return listed(ctx, db.read, page, scanEntity, func(e iam.Entity) string { return string(e.Kind) + "/" + strings.ToLower(e.Name) },
		"SELECT "+entityColumns+` FROM iam_entities e
		WHERE ((? AND EXISTS (SELECT 1 FROM iam_attachments t WHERE t.entity = e.id AND t.policy = ?)) OR (? AND e.boundary = ?))
			AND (? = '' OR e.kind = ?) AND substr(e.path, 1, length(?)) = ? AND e.kind || '/' || e.fold > ? ORDER BY e.kind || '/' || e.fold LIMIT ?`,
		f.As != iam.AsBoundary, p.ID, f.As != iam.AsPermissions, p.ID, f.Kind, f.Kind, f.PathPrefix, f.PathPrefix)
}

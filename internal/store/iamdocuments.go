package store

import (
	"context"
	"database/sql"
	"errors"

	"github.com/sunaba-dev/sunaba/internal/iam"
)

// boundary returns the id of the policy with an ARN; none for "".
func (db *DB) boundary(ctx context.Context, q querier, arn string) (id sql.NullString, err error) {
	if arn == "" {
		return id, nil
	}
	p, err := db.policy(ctx, q, arn)
	return sql.NullString{String: p.ID, Valid: true}, err
}

// SetBoundary implements iam.Store.
func (db *DB) SetBoundary(ctx context.Context, r iam.Ref, policyARN string) error {
	return db.update(ctx, func(tx *sql.Tx) error {
		e, err := db.entity(ctx, tx, r)
		if err != nil {
			return err
		}
		boundary, err := db.boundary(ctx, tx, policyARN)
		if err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, "UPDATE iam_entities SET boundary = ? WHERE id = ?", boundary, e.ID)
		return err
	})
}

// Documents implements iam.Store. It is one query, and so one moment: policies of before a change and a boundary of after it would allow what was never allowed.
func (db *DB) Documents(ctx context.Context, entityID string) (d iam.Documents, err error) {
	const entity, permission, boundary = 0, 1, 2
	rows, err := db.read.QueryContext(ctx, `WITH bearers (id) AS (SELECT ?1 UNION ALL SELECT holder FROM iam_members WHERE member = ?1)
		SELECT 0, '' FROM iam_entities WHERE id = ?1
		UNION ALL SELECT 1, document FROM iam_inline_policies WHERE entity IN (SELECT id FROM bearers)
		UNION ALL SELECT 1, v.document FROM iam_attachments a JOIN iam_policies p ON p.id = a.policy JOIN iam_policy_versions v ON v.policy = p.id AND v.number = p.default_version
			WHERE a.entity IN (SELECT id FROM bearers)
		UNION ALL SELECT 2, v.document FROM iam_entities e JOIN iam_policies p ON p.id = e.boundary JOIN iam_policy_versions v ON v.policy = p.id AND v.number = p.default_version
			WHERE e.id = ?1`, entityID)
	if err != nil {
		return d, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	found := false
	for rows.Next() {
		var what int
		var text string
		if err := rows.Scan(&what, &text); err != nil {
			return d, err
		}
		switch what {
		case entity: // tells the entity without policies from the one that is gone
			found = true
		case permission:
			d.Policies = append(d.Policies, text)
		case boundary:
			d.Boundary = text
		}
	}
	if err := rows.Err(); err != nil {
		return d, err
	}
	if !found {
		return d, iam.NotFound("entity", entityID)
	}
	return d, nil
}

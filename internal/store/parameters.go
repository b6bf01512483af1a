package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"slices"

	"github.com/sunaba-dev/sunaba/internal/fault"
	"github.com/sunaba-dev/sunaba/internal/parameters"
)

var _ parameters.Store = (*DB)(nil)

const parameterColumns = "v.number, v.type, v.value, v.data_type, v.tier, v.key_id, v.description, v.allowed_pattern, v.labels, v.modified_at, v.modified_by"

func versionInto(v *parameters.Version, labels *string, modified *int64) []any {
	return []any{&v.Number, &v.Type, &v.Value, &v.DataType, &v.Tier, &v.KeyID, &v.Description, &v.AllowedPattern, labels, modified, &v.ModifiedBy}
}

// parameter reads a parameter with its versions, and its row's id.
func parameter(ctx context.Context, q querier, s parameters.Scope, name string) (p parameters.Parameter, id int64, err error) {
	p.Scope, p.Name = s, name
	var tags string
	err = q.QueryRowContext(ctx, "SELECT id, tags FROM parameters WHERE account = ? AND region = ? AND name = ?", s.Account, s.Region, name).Scan(&id, &tags)
	if errors.Is(err, sql.ErrNoRows) {
		err = fault.New(parameters.NotFound, "Parameter %s not found.", name)
	}
	if err != nil {
		return p, 0, err
	}
	if err := json.Unmarshal([]byte(tags), &p.Tags); err != nil {
		return p, 0, err
	}
	rows, err := q.QueryContext(ctx, "SELECT "+parameterColumns+" FROM parameter_versions v WHERE v.parameter = ? ORDER BY v.number", id)
	if err != nil {
		return p, 0, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var v parameters.Version
		var labels string
		var modified int64
		if err := rows.Scan(versionInto(&v, &labels, &modified)...); err != nil {
			return p, 0, err
		}
		if err := json.Unmarshal([]byte(labels), &v.Labels); err != nil {
			return p, 0, err
		}
		v.ModifiedAt = fromMicros(modified)
		p.Versions = append(p.Versions, v)
	}
	return p, id, rows.Err()
}

// Parameter implements parameters.Store.
func (db *DB) Parameter(ctx context.Context, s parameters.Scope, name string) (p parameters.Parameter, err error) {
	err = db.view(ctx, func(tx *sql.Tx) error {
		p, _, err = parameter(ctx, tx, s, name)
		return err
	})
	return p, err
}

// ChangeParameter implements parameters.Store.
func (db *DB) ChangeParameter(ctx context.Context, s parameters.Scope, name string, limit int, change func(*parameters.Parameter) error) (p parameters.Parameter, err error) {
	err = db.update(ctx, func(tx *sql.Tx) error {
		var id int64
		p, id, err = parameter(ctx, tx, s, name)
		isNew := fault.Is(err, parameters.NotFound)
		if err != nil && !isNew {
			return err
		}
		were := map[int64][]string{}
		for _, v := range p.Versions {
			were[v.Number] = slices.Clone(v.Labels)
		}
		if err := change(&p); err != nil {
			return err
		}
		if isNew {
			id, err = newParameter(ctx, tx, p, limit)
		} else {
			_, err = tx.ExecContext(ctx, "UPDATE parameters SET tags = ? WHERE id = ?", marshal(orEmpty(p.Tags)), id)
		}
		if err != nil {
			return err
		}
		return saveParameterVersions(ctx, tx, id, were, p.Versions)
	})
	return p, err
}

func newParameter(ctx context.Context, tx *sql.Tx, p parameters.Parameter, limit int) (int64, error) {
	n, err := count(ctx, tx, "SELECT COUNT(*) FROM parameters WHERE account = ? AND region = ?", p.Account, p.Region)
	if err != nil {
		return 0, err
	}
	if n >= limit {
		return 0, fault.New(parameters.LimitExceeded, "The account has %d parameters in %s, which is the limit.", n, p.Region)
	}
	r, err := tx.ExecContext(ctx, "INSERT INTO parameters (account, region, name, tags) VALUES (?, ?, ?, ?)", p.Account, p.Region, p.Name, marshal(orEmpty(p.Tags)))
	if err != nil {
		return 0, err
	}
	return r.LastInsertId()
}

// saveParameterVersions brings the rows of versions from what they were (their labels by number; nothing else of a version changes) to what they are to be.
func saveParameterVersions(ctx context.Context, tx *sql.Tx, parameter int64, were map[int64][]string, are []parameters.Version) error {
	gone := map[int64]bool{}
	for n := range were {
		gone[n] = true
	}
	for _, v := range are {
		delete(gone, v.Number)
		labels := v.Labels
		if labels == nil {
			labels = []string{}
		}
		old, known := were[v.Number]
		var err error
		switch {
		case !known:
			_, err = tx.ExecContext(ctx, `INSERT INTO parameter_versions (parameter, number, type, value, data_type, tier, key_id, description, allowed_pattern, labels, modified_at, modified_by)
				VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
				parameter, v.Number, v.Type, v.Value, v.DataType, v.Tier, v.KeyID, v.Description, v.AllowedPattern, marshal(labels), micros(v.ModifiedAt), v.ModifiedBy)
		case !slices.Equal(old, v.Labels):
			_, err = tx.ExecContext(ctx, "UPDATE parameter_versions SET labels = ? WHERE parameter = ? AND number = ?", marshal(labels), parameter, v.Number)
		}
		if err != nil {
			return err
		}
	}
	for n := range gone {
		if _, err := tx.ExecContext(ctx, "DELETE FROM parameter_versions WHERE parameter = ? AND number = ?", parameter, n); err != nil {
			return err
		}
	}
	return nil
}

// DeleteParameter implements parameters.Store.
func (db *DB) DeleteParameter(ctx context.Context, s parameters.Scope, name string) (bool, error) {
	r, err := db.write.ExecContext(ctx, "DELETE FROM parameters WHERE account = ? AND region = ? AND name = ?", s.Account, s.Region, name)
	if err != nil {
		return false, err
	}
	n, err := r.RowsAffected()
	return n > 0, err
}

// Parameters implements parameters.Store.
func (db *DB) Parameters(ctx context.Context, s parameters.Scope, prefix, after string, versions bool, each func(parameters.Parameter) bool) error {
	return db.view(ctx, func(tx *sql.Tx) (err error) {
		query := "SELECT p.id, p.name, p.tags, " + parameterColumns + ` FROM parameters p JOIN parameter_versions v ON v.parameter = p.id
			WHERE p.account = ? AND p.region = ? AND p.name > ? AND p.name >= ? AND substr(p.name, 1, length(?)) = ?`
		if !versions {
			query += " AND v.number = (SELECT MAX(number) FROM parameter_versions WHERE parameter = p.id)"
		}
		rows, err := tx.QueryContext(ctx, query+" ORDER BY p.name, v.number", s.Account, s.Region, after, prefix, prefix, prefix)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, rows.Close()) }()
		var p parameters.Parameter // collects its versions until the next one's come
		var current int64
		for rows.Next() {
			var v parameters.Version
			var id, modified int64
			var name, tags, labels string
			if err := rows.Scan(append([]any{&id, &name, &tags}, versionInto(&v, &labels, &modified)...)...); err != nil {
				return err
			}
			if id != current {
				if current != 0 && !each(p) {
					return nil
				}
				current, p = id, parameters.Parameter{Scope: s, Name: name}
				if err := json.Unmarshal([]byte(tags), &p.Tags); err != nil {
					return err
				}
			}
			if err := json.Unmarshal([]byte(labels), &v.Labels); err != nil {
				return err
			}
			v.ModifiedAt = fromMicros(modified)
			p.Versions = append(p.Versions, v)
		}
		if err := rows.Err(); err != nil {
			return err
		}
		if current != 0 {
			each(p)
		}
		return nil
	})
}

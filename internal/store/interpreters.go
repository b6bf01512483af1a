package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"strconv"
	"time"

	"github.com/sunaba-dev/sunaba/internal/codeinterpreter"
	"github.com/sunaba-dev/sunaba/internal/fault"
)

var _ codeinterpreter.Store = (*DB)(nil)

const interpreterColumns = "seq, account, region, id, name, description, execution_role, network, status, tags, created_at, updated_at"

type scanner interface{ Scan(dest ...any) error }

func scanInterpreter(row scanner) (i codeinterpreter.Interpreter, seq int64, err error) {
	var network, tags string
	var created, updated int64
	if err = row.Scan(&seq, &i.Account, &i.Region, &i.ID, &i.Name, &i.Description, &i.ExecutionRole, &network, &i.Status, &tags, &created, &updated); err != nil {
		return i, 0, err
	}
	i.CreatedAt, i.UpdatedAt = fromMicros(created), fromMicros(updated)
	return i, seq, errors.Join(json.Unmarshal([]byte(network), &i.Network), json.Unmarshal([]byte(tags), &i.Tags))
}

// CreateInterpreter implements codeinterpreter.Store.
func (db *DB) CreateInterpreter(ctx context.Context, i codeinterpreter.Interpreter, limit int) error {
	return db.update(ctx, func(tx *sql.Tx) error {
		var n int
		if err := tx.QueryRowContext(ctx, "SELECT COUNT(*) FROM interpreters WHERE account = ? AND region = ?", i.Account, i.Region).Scan(&n); err != nil {
			return err
		}
		if n >= limit {
			return fault.New(fault.ServiceQuota, "The account has %d code interpreters in %s, which is the limit.", n, i.Region)
		}
		tags := i.Tags
		if tags == nil {
			tags = map[string]string{}
		}
		_, err := tx.ExecContext(ctx, `INSERT INTO interpreters (account, region, id, name, description, execution_role, network, status, tags, created_at, updated_at)
			VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
			i.Account, i.Region, i.ID, i.Name, i.Description, i.ExecutionRole, marshal(i.Network), i.Status, marshal(tags), micros(i.CreatedAt), micros(i.UpdatedAt))
		if isUnique(err) {
			return fault.New(fault.Conflict, "A code interpreter with the name %q exists already.", i.Name)
		}
		return err
	})
}

// Interpreter implements codeinterpreter.Store.
func (db *DB) Interpreter(ctx context.Context, s codeinterpreter.Scope, id string) (codeinterpreter.Interpreter, error) {
	i, _, err := scanInterpreter(db.read.QueryRowContext(ctx,
		"SELECT "+interpreterColumns+" FROM interpreters WHERE account = ? AND region = ? AND id = ?", s.Account, s.Region, id))
	if errors.Is(err, sql.ErrNoRows) {
		err = codeinterpreter.NotFound("code interpreter", id)
	}
	return i, err
}

// Interpreters implements codeinterpreter.Store.
func (db *DB) Interpreters(ctx context.Context, s codeinterpreter.Scope, p codeinterpreter.Page) (items []codeinterpreter.Interpreter, next string, err error) {
	after, err := position(p.Token, 0)
	if err != nil {
		return nil, "", err
	}
	rows, err := db.read.QueryContext(ctx, "SELECT "+interpreterColumns+" FROM interpreters WHERE account = ? AND region = ? AND seq > ? ORDER BY seq LIMIT ?",
		s.Account, s.Region, after, p.Limit+1)
	if err != nil {
		return nil, "", err
	}
	return collect(rows, p.Limit, scanInterpreter)
}

// collect scans one page; a row beyond the limit means that there is a next page, whose token is the position of the last row of this one.
func collect[T any](rows *sql.Rows, limit int, scan func(scanner) (T, int64, error)) (items []T, next string, err error) {
	defer func() { err = errors.Join(err, rows.Close()) }()
	var last int64
	for rows.Next() {
		if len(items) == limit {
			return items, strconv.FormatInt(last, 36), nil
		}
		item, seq, err := scan(rows)
		if err != nil {
			return nil, "", err
		}
		items, last = append(items, item), seq
	}
	return items, "", rows.Err()
}

// position reads a page token; without one a list begins at first.
func position(token string, first int64) (int64, error) {
	if token == "" {
		return first, nil
	}
	n, err := strconv.ParseInt(token, 36, 64)
	if err != nil || n < 0 {
		return 0, fault.Invalid("nextToken", "Member is not a token of this list")
	}
	return n, nil
}

// DeleteInterpreter implements codeinterpreter.Store.
func (db *DB) DeleteInterpreter(ctx context.Context, s codeinterpreter.Scope, id string) error {
	return db.update(ctx, func(tx *sql.Tx) error {
		var live int
		err := tx.QueryRowContext(ctx, "SELECT COUNT(*) FROM sessions WHERE account = ? AND region = ? AND interpreter = ? AND status = ?",
			s.Account, s.Region, id, codeinterpreter.SessionReady).Scan(&live)
		if err != nil {
			return err
		}
		if live > 0 {
			return fault.New(fault.Conflict, "The code interpreter %q has %d running sessions. Stop them first.", id, live)
		}
		r, err := tx.ExecContext(ctx, "DELETE FROM interpreters WHERE account = ? AND region = ? AND id = ?", s.Account, s.Region, id)
		if err != nil {
			return err
		}
		return exactlyOne(r, id)
	})
}

func exactlyOne(r sql.Result, id string) error {
	n, err := r.RowsAffected()
	if err == nil && n == 0 {
		return codeinterpreter.NotFound("code interpreter", id)
	}
	return err
}

// SetTags implements codeinterpreter.Store.
func (db *DB) SetTags(ctx context.Context, s codeinterpreter.Scope, id string, change func(tags map[string]string) error) error {
	return db.update(ctx, func(tx *sql.Tx) error {
		i, _, err := scanInterpreter(tx.QueryRowContext(ctx,
			"SELECT "+interpreterColumns+" FROM interpreters WHERE account = ? AND region = ? AND id = ?", s.Account, s.Region, id))
		if errors.Is(err, sql.ErrNoRows) {
			return codeinterpreter.NotFound("resource", id)
		}
		if err != nil {
			return err
		}
		if err := change(i.Tags); err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, "UPDATE interpreters SET tags = ?, updated_at = ? WHERE account = ? AND region = ? AND id = ?",
			marshal(i.Tags), micros(time.Now()), s.Account, s.Region, id)
		return err
	})
}

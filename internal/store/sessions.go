package store

import (
	"context"
	"database/sql"
	"errors"
	"math"
	"time"

	"github.com/sunaba-dev/sunaba/internal/codeinterpreter"
	"github.com/sunaba-dev/sunaba/internal/fault"
	"github.com/sunaba-dev/sunaba/internal/idempotency"
)

const sessionColumns = "seq, account, region, id, interpreter, name, timeout, status, reason, created_at, updated_at"

func scanSession(row scanner) (s codeinterpreter.Session, seq int64, err error) {
	var timeout, created, updated int64
	if err = row.Scan(&seq, &s.Account, &s.Region, &s.ID, &s.InterpreterID, &s.Name, &timeout, &s.Status, &s.Reason, &created, &updated); err != nil {
		return s, 0, err
	}
	s.Timeout, s.CreatedAt, s.UpdatedAt = time.Duration(timeout)*time.Second, fromMicros(created), fromMicros(updated)
	return s, seq, nil
}

// CreateSession implements codeinterpreter.Store.
func (db *DB) CreateSession(ctx context.Context, s codeinterpreter.Session, limit int) error {
	return db.update(ctx, func(tx *sql.Tx) error {
		if s.InterpreterID != codeinterpreter.ManagedID {
			var one int
			err := tx.QueryRowContext(ctx, "SELECT 1 FROM interpreters WHERE account = ? AND region = ? AND id = ?", s.Account, s.Region, s.InterpreterID).Scan(&one)
			if errors.Is(err, sql.ErrNoRows) {
				return codeinterpreter.NotFound("code interpreter", s.InterpreterID)
			}
			if err != nil {
				return err
			}
		}
		var n int
		if err := tx.QueryRowContext(ctx, "SELECT COUNT(*) FROM sessions WHERE status = ? AND account = ? AND region = ?",
			codeinterpreter.SessionReady, s.Account, s.Region).Scan(&n); err != nil {
			return err
		}
		if n >= limit {
			return fault.New(fault.ServiceQuota, "The account has %d running sessions in %s, which is the limit.", n, s.Region)
		}
		_, err := tx.ExecContext(ctx, `INSERT INTO sessions (account, region, id, interpreter, name, timeout, status, reason, created_at, updated_at)
			VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
			s.Account, s.Region, s.ID, s.InterpreterID, s.Name, int64(s.Timeout/time.Second), s.Status, s.Reason, micros(s.CreatedAt), micros(s.UpdatedAt))
		return err
	})
}

// Session implements codeinterpreter.Store.
func (db *DB) Session(ctx context.Context, s codeinterpreter.Scope, interpreterID, id string) (codeinterpreter.Session, error) {
	record, _, err := scanSession(db.read.QueryRowContext(ctx,
		"SELECT "+sessionColumns+" FROM sessions WHERE id = ? AND account = ? AND region = ? AND interpreter = ?", id, s.Account, s.Region, interpreterID))
	if errors.Is(err, sql.ErrNoRows) {
		err = codeinterpreter.NotFound("code interpreter session", id)
	}
	return record, err
}

// Sessions implements codeinterpreter.Store.
func (db *DB) Sessions(ctx context.Context, s codeinterpreter.Scope, interpreterID string, status codeinterpreter.SessionStatus, p codeinterpreter.Page) (
	items []codeinterpreter.Session, next string, err error,
) {
	before, err := position(p.Token, math.MaxInt64)
	if err != nil {
		return nil, "", err
	}
	rows, err := db.read.QueryContext(ctx, "SELECT "+sessionColumns+` FROM sessions
		WHERE account = ? AND region = ? AND interpreter = ? AND seq < ? AND (? = '' OR status = ?) ORDER BY seq DESC LIMIT ?`,
		s.Account, s.Region, interpreterID, before, status, status, p.Limit+1)
	if err != nil {
		return nil, "", err
	}
	return collect(rows, p.Limit, scanSession)
}

// EndSession implements codeinterpreter.Store.
func (db *DB) EndSession(ctx context.Context, s codeinterpreter.Scope, id, reason string, at time.Time) (bool, error) {
	r, err := db.write.ExecContext(ctx, "UPDATE sessions SET status = ?, reason = ?, updated_at = ? WHERE id = ? AND account = ? AND region = ? AND status = ?",
		codeinterpreter.SessionTerminated, reason, micros(at), id, s.Account, s.Region, codeinterpreter.SessionReady)
	if err != nil {
		return false, err
	}
	n, err := r.RowsAffected()
	return n > 0, err
}

// EndAllSessions implements codeinterpreter.Store.
func (db *DB) EndAllSessions(ctx context.Context, reason string, at time.Time) (int, error) {
	r, err := db.write.ExecContext(ctx, "UPDATE sessions SET status = ?, reason = ?, updated_at = ? WHERE status = ?",
		codeinterpreter.SessionTerminated, reason, micros(at), codeinterpreter.SessionReady)
	if err != nil {
		return 0, err
	}
	n, err := r.RowsAffected()
	return int(n), err
}

// ForgetSessions implements codeinterpreter.Store. Client tokens of that age go too.
func (db *DB) ForgetSessions(ctx context.Context, before time.Time) error {
	return db.update(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, "DELETE FROM sessions WHERE status = ? AND updated_at < ?", codeinterpreter.SessionTerminated, micros(before))
		if err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, "DELETE FROM client_tokens WHERE created_at < ?", micros(before))
		return err
	})
}

// Remember implements idempotency.Store.
func (db *DB) Remember(ctx context.Context, k idempotency.Key, parameters, answer string, at time.Time) error {
	_, err := db.write.ExecContext(ctx,
		"INSERT INTO client_tokens (account, region, operation, token, parameters, answer, created_at) VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
		k.Account, k.Region, k.Operation, k.Token, parameters, answer, micros(at))
	return err
}

// Recall implements idempotency.Store.
func (db *DB) Recall(ctx context.Context, k idempotency.Key) (parameters, answer string, found bool, err error) {
	err = db.read.QueryRowContext(ctx, "SELECT parameters, answer FROM client_tokens WHERE account = ? AND region = ? AND operation = ? AND token = ?",
		k.Account, k.Region, k.Operation, k.Token).Scan(&parameters, &answer)
	if errors.Is(err, sql.ErrNoRows) {
		return "", "", false, nil
	}
	return parameters, answer, err == nil, err
}

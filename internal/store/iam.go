package store

import (
	"context"
	"database/sql"
	"encoding/base64"
	"encoding/json"
	"errors"
	"strings"
	"time"

	"github.com/sunaba-dev/sunaba/internal/fault"
	"github.com/sunaba-dev/sunaba/internal/iam"
)

var _ iam.Store = (*DB)(nil)

const entityColumns = "e.id, e.account, e.kind, e.name, e.path, e.tags, e.created_at, e.trust, e.description, e.max_session, e.last_used_at, e.last_used_region, COALESCE((SELECT b.arn FROM iam_policies b WHERE b.id = e.boundary), '')"

func scanEntity(row scanner) (e iam.Entity, err error) {
	var tags string
	var created, maxSession, used int64
	if err = row.Scan(&e.ID, &e.Account, &e.Kind, &e.Name, &e.Path, &tags, &created, &e.Trust, &e.Description, &maxSession, &used, &e.LastUsedRegion, &e.Boundary); err != nil {
		return e, err
	}
	e.CreatedAt, e.MaxSession, e.LastUsed = fromMicros(created), time.Duration(maxSession)*time.Second, orNever(used)
	return e, json.Unmarshal([]byte(tags), &e.Tags)
}

// orNever reads a time of which 0 says that there is none.
func orNever(n int64) time.Time {
	if n == 0 {
		return time.Time{}
	}
	return fromMicros(n)
}

func orEmpty(tags map[string]string) map[string]string {
	if tags == nil {
		return map[string]string{}
	}
	return tags
}

// querier is a pool or a transaction.
type querier interface {
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

func (db *DB) entity(ctx context.Context, q querier, r iam.Ref) (iam.Entity, error) {
	e, err := scanEntity(q.QueryRowContext(ctx, "SELECT "+entityColumns+" FROM iam_entities e WHERE account = ? AND kind = ? AND fold = ? AND name = ?",
		r.Account, r.Kind, strings.ToLower(r.Name), r.Name))
	if errors.Is(err, sql.ErrNoRows) {
		err = iam.NotFound(string(r.Kind), r.Name)
	}
	return e, err
}

// count returns the number that a query counts.
func count(ctx context.Context, q querier, query string, args ...any) (n int, err error) {
	err = q.QueryRowContext(ctx, query, args...).Scan(&n)
	return n, err
}

// underLimit fails with LimitExceeded when a query counts limit or more.
func underLimit(ctx context.Context, q querier, quota string, limit int, query string, args ...any) error {
	n, err := count(ctx, q, query, args...)
	if err == nil && n >= limit {
		err = fault.New(iam.LimitExceeded, "Cannot exceed quota for %s: %d", quota, limit)
	}
	return err
}

// CreateEntity implements iam.Store.
func (db *DB) CreateEntity(ctx context.Context, e iam.Entity, limit int) error {
	quota := map[iam.EntityKind]string{iam.Role: "RolesPerAccount", iam.User: "UsersPerAccount", iam.Group: "GroupsPerAccount", iam.InstanceProfile: "InstanceProfilesPerAccount"}[e.Kind]
	return db.update(ctx, func(tx *sql.Tx) error {
		if err := underLimit(ctx, tx, quota, limit, "SELECT COUNT(*) FROM iam_entities WHERE account = ? AND kind = ?", e.Account, e.Kind); err != nil {
			return err
		}
		boundary, err := db.boundary(ctx, tx, e.Boundary)
		if err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, `INSERT INTO iam_entities (id, account, kind, name, fold, path, tags, created_at, trust, description, max_session, boundary)
			VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
			e.ID, e.Account, e.Kind, e.Name, strings.ToLower(e.Name), e.Path, marshal(orEmpty(e.Tags)), micros(e.CreatedAt), e.Trust, e.Description, int64(e.MaxSession/time.Second), boundary)
		if isUnique(err) {
			return fault.New(iam.EntityAlreadyExists, "%s %s already exists.", map[iam.EntityKind]string{iam.Role: "Role with name", iam.User: "User with name", iam.Group: "Group with name",
				iam.InstanceProfile: "Instance Profile"}[e.Kind], e.Name)
		}
		return err
	})
}

// Entity implements iam.Store.
func (db *DB) Entity(ctx context.Context, r iam.Ref) (iam.Entity, error) {
	return db.entity(ctx, db.read, r)
}

// Entities implements iam.Store.
func (db *DB) Entities(ctx context.Context, account string, k iam.EntityKind, pathPrefix string, p iam.Page) ([]iam.Entity, string, error) {
	return listed(ctx, db.read, p, scanEntity, func(e iam.Entity) string { return strings.ToLower(e.Name) },
		"SELECT "+entityColumns+" FROM iam_entities e WHERE account = ? AND kind = ? AND substr(path, 1, length(?)) = ? AND fold > ? ORDER BY fold LIMIT ?",
		account, k, pathPrefix, pathPrefix)
}

// listed reads one page of a list. The query's last two arguments, which it adds, are the key after which the page starts and the number of rows to read.
func listed[T any](ctx context.Context, q querier, p iam.Page, scan func(scanner) (T, error), key func(T) string, query string, args ...any) (items []T, next string, err error) {
	after, err := base64.RawURLEncoding.DecodeString(p.Marker)
	if err != nil {
		return nil, "", fault.New(iam.ValidationError, "Invalid Marker.")
	}
	rows, err := q.QueryContext(ctx, query, append(args, string(after), p.Limit+1)...)
	if err != nil {
		return nil, "", err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		if len(items) == p.Limit {
			return items, base64.RawURLEncoding.EncodeToString([]byte(key(items[len(items)-1]))), nil
		}
		item, err := scan(rows)
		if err != nil {
			return nil, "", err
		}
		items = append(items, item)
	}
	return items, "", rows.Err()
}

// ChangeEntity implements iam.Store.
func (db *DB) ChangeEntity(ctx context.Context, r iam.Ref, change func(*iam.Entity) error) (e iam.Entity, err error) {
	err = db.update(ctx, func(tx *sql.Tx) error {
		if e, err = db.entity(ctx, tx, r); err != nil {
			return err
		}
		if err := change(&e); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, "UPDATE iam_entities SET tags = ?, trust = ?, description = ?, max_session = ? WHERE id = ?",
			marshal(orEmpty(e.Tags)), e.Trust, e.Description, int64(e.MaxSession/time.Second), e.ID)
		return err
	})
	return e, err
}

// DeleteEntity implements iam.Store.
func (db *DB) DeleteEntity(ctx context.Context, r iam.Ref) error {
	return db.update(ctx, func(tx *sql.Tx) error {
		e, err := db.entity(ctx, tx, r)
		if err != nil {
			return err
		}
		held := "must remove users from group first"
		if e.Kind == iam.Role || e.Kind == iam.InstanceProfile {
			held = "must remove roles from instance profile first"
		}
		for _, in := range []struct{ query, rule string }{
			{"SELECT COUNT(*) FROM iam_attachments WHERE entity = ?", "must detach all policies first"},
			{"SELECT COUNT(*) FROM iam_inline_policies WHERE entity = ?", "must delete policies first"},
			{"SELECT COUNT(*) FROM access_keys WHERE entity = ?", "must delete access keys first"},
			{"SELECT COUNT(*) FROM iam_members WHERE ?1 IN (holder, member)", held},
		} {
			if n, err := count(ctx, tx, in.query, e.ID); err != nil || n > 0 {
				return errors.Join(err, conflict(n, "Cannot delete entity, %s.", in.rule))
			}
		}
		_, err = tx.ExecContext(ctx, "DELETE FROM iam_entities WHERE id = ?", e.ID)
		return err
	})
}

// conflict is the fault of something in use n times; nil when it is not.
func conflict(n int, format string, args ...any) error {
	if n == 0 {
		return nil
	}
	return fault.New(iam.DeleteConflict, format, args...)
}

// PutInline implements iam.Store.
func (db *DB) PutInline(ctx context.Context, r iam.Ref, name, document string, limit int) error {
	return db.update(ctx, func(tx *sql.Tx) error {
		e, err := db.entity(ctx, tx, r)
		if err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, "INSERT INTO iam_inline_policies (entity, name, document) VALUES (?, ?, ?) ON CONFLICT (entity, name) DO UPDATE SET document = excluded.document",
			e.ID, name, document)
		if err != nil {
			return err
		}
		all, err := texts(ctx, tx, "SELECT document FROM iam_inline_policies WHERE entity = ?", e.ID)
		size := 0
		for _, d := range all {
			size += iam.Characters(d)
		}
		if err == nil && size > limit {
			err = fault.New(iam.LimitExceeded, "Maximum policy size of %d bytes exceeded for %s %s", limit, r.Kind, r.Name)
		}
		return err
	})
}

// texts reads the rows of a query that has one column of text.
func texts(ctx context.Context, q querier, query string, args ...any) (out []string, err error) {
	rows, err := q.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		s, err := scanText(rows)
		if err != nil {
			return nil, err
		}
		out = append(out, s)
	}
	return out, rows.Err()
}

func scanText(row scanner) (s string, err error) { return s, row.Scan(&s) }

func noInline(k iam.EntityKind, name string) error {
	return fault.New(iam.NoSuchEntity, "The %s policy with name %s cannot be found.", k, name)
}

// Inline implements iam.Store.
func (db *DB) Inline(ctx context.Context, r iam.Ref, name string) (document string, err error) {
	e, err := db.entity(ctx, db.read, r)
	if err != nil {
		return "", err
	}
	err = db.read.QueryRowContext(ctx, "SELECT document FROM iam_inline_policies WHERE entity = ? AND name = ?", e.ID, name).Scan(&document)
	if errors.Is(err, sql.ErrNoRows) {
		err = noInline(r.Kind, name)
	}
	return document, err
}

// Inlines implements iam.Store.
func (db *DB) Inlines(ctx context.Context, r iam.Ref, p iam.Page) ([]string, string, error) {
	e, err := db.entity(ctx, db.read, r)
	if err != nil {
		return nil, "", err
	}
	return listed(ctx, db.read, p, scanText, func(s string) string { return s },
		"SELECT name FROM iam_inline_policies WHERE entity = ? AND name > ? ORDER BY name LIMIT ?", e.ID)
}

// DeleteInline implements iam.Store.
func (db *DB) DeleteInline(ctx context.Context, r iam.Ref, name string) error {
	return db.update(ctx, func(tx *sql.Tx) error {
		e, err := db.entity(ctx, tx, r)
		if err != nil {
			return err
		}
		return affects(noInline(r.Kind, name), func() (sql.Result, error) {
			return tx.ExecContext(ctx, "DELETE FROM iam_inline_policies WHERE entity = ? AND name = ?", e.ID, name)
		})
	})
}

// affects runs a statement and returns none when it changed no row.
func affects(none error, run func() (sql.Result, error)) error {
	r, err := run()
	if err != nil {
		return err
	}
	n, err := r.RowsAffected()
	if err == nil && n == 0 {
		return none
	}
	return err
}

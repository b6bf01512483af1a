package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"time"

	"github.com/sunaba-dev/sunaba/internal/fault"
	"github.com/sunaba-dev/sunaba/internal/registry"
)

var _ registry.Store = (*DB)(nil)

const repositoryColumns = "id, account, region, name, created_at, mutability, exclusions, scan, encryption, tags, policy, lifecycle"

func scanRepository(row scanner) (r registry.Repository, key int64, err error) {
	var created int64
	var exclusions, encryption, tags string
	if err = row.Scan(&key, &r.Account, &r.Region, &r.Name, &created, &r.Mutability, &exclusions, &r.ScanOnPush, &encryption, &tags, &r.Policy, &r.Lifecycle); err != nil {
		return r, 0, err
	}
	r.CreatedAt = fromMicros(created)
	return r, key, errors.Join(json.Unmarshal([]byte(exclusions), &r.Exclusions), json.Unmarshal([]byte(encryption), &r.Encryption), json.Unmarshal([]byte(tags), &r.Tags))
}

// repository returns a repository and the key that other tables know it by.
func (db *DB) repository(ctx context.Context, q querier, id registry.ID) (registry.Repository, int64, error) {
	r, key, err := scanRepository(q.QueryRowContext(ctx, "SELECT "+repositoryColumns+" FROM ecr_repositories WHERE account = ? AND region = ? AND name = ?", id.Account, id.Region, id.Name))
	if errors.Is(err, sql.ErrNoRows) {
		err = registry.NotFound(id)
	}
	return r, key, err
}

// inRepository runs f in a write transaction on a repository.
func (db *DB) inRepository(ctx context.Context, id registry.ID, f func(tx *sql.Tx, r registry.Repository, key int64) error) error {
	return db.update(ctx, func(tx *sql.Tx) error {
		r, key, err := db.repository(ctx, tx, id)
		if err != nil {
			return err
		}
		return f(tx, r, key)
	})
}

// CreateRepository implements registry.Store.
func (db *DB) CreateRepository(ctx context.Context, r registry.Repository, limit int) error {
	return db.update(ctx, func(tx *sql.Tx) error {
		n, err := count(ctx, tx, "SELECT COUNT(*) FROM ecr_repositories WHERE account = ? AND region = ?", r.Account, r.Region)
		if err != nil {
			return err
		}
		if n >= limit {
			return fault.New(registry.LimitExceeded, "The registry with id '%s' already has the maximum allowed number of repositories which is '%d'", r.Account, limit)
		}
		_, err = tx.ExecContext(ctx, `INSERT INTO ecr_repositories (account, region, name, created_at, mutability, exclusions, scan, encryption, tags, policy, lifecycle)
			VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
			r.Account, r.Region, r.Name, micros(r.CreatedAt), r.Mutability, marshal(r.Exclusions), r.ScanOnPush, marshal(r.Encryption), marshal(orEmpty(r.Tags)), r.Policy, r.Lifecycle)
		if isUnique(err) {
			return fault.New(registry.RepositoryAlreadyExists, "The repository with name '%s' already exists in the registry with id '%s'", r.Name, r.Account)
		}
		return err
	})
}

// Repository implements registry.Store.
func (db *DB) Repository(ctx context.Context, id registry.ID) (registry.Repository, error) {
	r, _, err := db.repository(ctx, db.read, id)
	return r, err
}

// Repositories implements registry.Store.
func (db *DB) Repositories(ctx context.Context, s registry.Scope, p registry.Page) ([]registry.Repository, string, error) {
	scan := func(row scanner) (registry.Repository, error) {
		r, _, err := scanRepository(row)
		return r, err
	}
	return ecrListed(ctx, db.read, p, scan, func(r registry.Repository) []string { return []string{r.Name} }, 1,
		"SELECT "+repositoryColumns+" FROM ecr_repositories WHERE account = ? AND region = ? AND name > ? ORDER BY name LIMIT ?", s.Account, s.Region)
}

// ChangeRepository implements registry.Store.
func (db *DB) ChangeRepository(ctx context.Context, id registry.ID, change func(*registry.Repository) error) (r registry.Repository, err error) {
	err = db.inRepository(ctx, id, func(tx *sql.Tx, was registry.Repository, key int64) error {
		r = was
		if err := change(&r); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, "UPDATE ecr_repositories SET mutability = ?, exclusions = ?, scan = ?, encryption = ?, tags = ?, policy = ?, lifecycle = ? WHERE id = ?",
			r.Mutability, marshal(r.Exclusions), r.ScanOnPush, marshal(r.Encryption), marshal(orEmpty(r.Tags)), r.Policy, r.Lifecycle, key)
		return err
	})
	return r, err
}

// DeleteRepository implements registry.Store.
func (db *DB) DeleteRepository(ctx context.Context, id registry.ID, force bool, at time.Time) (r registry.Repository, err error) {
	err = db.inRepository(ctx, id, func(tx *sql.Tx, was registry.Repository, key int64) error {
		r = was
		n, err := count(ctx, tx, "SELECT COUNT(*) FROM ecr_images WHERE repository = ?", key)
		if err != nil {
			return err
		}
		if n > 0 && !force {
			return fault.New(registry.RepositoryNotEmpty, "The repository with name '%s' in registry with id '%s' cannot be deleted because it still contains images", id.Name, id.Account)
		}
		if _, err := tx.ExecContext(ctx, "UPDATE ecr_blobs SET touched_at = ? WHERE digest IN (SELECT digest FROM ecr_links WHERE repository = ?)", micros(at), key); err != nil {
			return err
		}
		for _, statement := range []string{"DELETE FROM ecr_images WHERE repository = ?", "DELETE FROM ecr_repositories WHERE id = ?"} { // the images first: they hold the links
			if _, err := tx.ExecContext(ctx, statement, key); err != nil {
				return err
			}
		}
		return nil
	})
	return r, err
}

// CreateUpload implements registry.Store.
func (db *DB) CreateUpload(ctx context.Context, id registry.ID, u registry.Upload, limit int) error {
	return db.inRepository(ctx, id, func(tx *sql.Tx, _ registry.Repository, key int64) error {
		n, err := count(ctx, tx, "SELECT COUNT(*) FROM ecr_uploads WHERE repository = ?", key)
		if err != nil {
			return err
		}
		if n >= limit {
			return fault.New(registry.LimitExceeded, "The repository with name '%s' has %d uploads under way, which is the limit.", id.Name, n)
		}
		_, err = tx.ExecContext(ctx, "INSERT INTO ecr_uploads (id, repository, owner, created_at) VALUES (?, ?, ?, ?)", u.ID, key, u.Owner, micros(u.CreatedAt))
		return err
	})
}

// Upload implements registry.Store.
func (db *DB) Upload(ctx context.Context, id registry.ID, uploadID string) (registry.Upload, error) {
	_, key, err := db.repository(ctx, db.read, id)
	if err != nil {
		return registry.Upload{}, err
	}
	u := registry.Upload{ID: uploadID}
	var created int64
	err = db.read.QueryRowContext(ctx, "SELECT owner, created_at FROM ecr_uploads WHERE id = ? AND repository = ?", uploadID, key).Scan(&u.Owner, &created)
	if errors.Is(err, sql.ErrNoRows) {
		err = registry.NoUpload(id, uploadID)
	}
	u.CreatedAt = fromMicros(created)
	return u, err
}

// DeleteUpload implements registry.Store.
func (db *DB) DeleteUpload(ctx context.Context, uploadID string) error {
	return db.update(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, "DELETE FROM ecr_uploads WHERE id = ?", uploadID)
		return err
	})
}

// Uploads implements registry.Store.
func (db *DB) Uploads(ctx context.Context, before time.Time) ([]string, error) {
	return ecrTexts(ctx, db.read, "SELECT id FROM ecr_uploads WHERE created_at < ?", micros(before))
}

// ecrTexts returns the one text column of a query.
func ecrTexts(ctx context.Context, q querier, query string, args ...any) (texts []string, err error) {
	rows, err := q.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var text string
		if err := rows.Scan(&text); err != nil {
			return nil, err
		}
		texts = append(texts, text)
	}
	return texts, rows.Err()
}

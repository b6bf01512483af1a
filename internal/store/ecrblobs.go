package store

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/sunaba-dev/sunaba/internal/registry"
)

// Link implements registry.Store.
func (db *DB) Link(ctx context.Context, id registry.ID, b registry.Blob, uploadID string, at time.Time) error {
	return db.inRepository(ctx, id, func(tx *sql.Tx, _ registry.Repository, key int64) error {
		if _, err := tx.ExecContext(ctx, "INSERT INTO ecr_blobs (digest, size, touched_at) VALUES (?, ?, ?) ON CONFLICT (digest) DO UPDATE SET touched_at = excluded.touched_at",
			b.Digest, b.Size, micros(at)); err != nil {
			return err
		}
		if err := link(ctx, tx, key, b.Digest, at); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, "DELETE FROM ecr_uploads WHERE id = ?", uploadID)
		return err
	})
}

func link(ctx context.Context, tx *sql.Tx, repository int64, digest string, at time.Time) error {
	_, err := tx.ExecContext(ctx, "INSERT INTO ecr_links (repository, digest, touched_at) VALUES (?, ?, ?) ON CONFLICT (repository, digest) DO UPDATE SET touched_at = excluded.touched_at",
		repository, digest, micros(at))
	return err
}

// Mount implements registry.Store.
func (db *DB) Mount(ctx context.Context, from, to registry.ID, digest string, at time.Time) (b registry.Blob, err error) {
	err = db.inRepository(ctx, to, func(tx *sql.Tx, _ registry.Repository, key int64) error {
		_, source, err := db.repository(ctx, tx, from)
		if err != nil {
			return err
		}
		if b, err = db.blob(ctx, tx, source, from, digest); err != nil {
			return err
		}
		return link(ctx, tx, key, digest, at)
	})
	return b, err
}

func (db *DB) blob(ctx context.Context, q querier, repository int64, id registry.ID, digest string) (registry.Blob, error) {
	b := registry.Blob{Digest: digest}
	err := q.QueryRowContext(ctx, "SELECT b.size FROM ecr_links l JOIN ecr_blobs b ON b.digest = l.digest WHERE l.repository = ? AND l.digest = ?", repository, digest).Scan(&b.Size)
	if errors.Is(err, sql.ErrNoRows) {
		err = registry.NoLayer(id, digest)
	}
	return b, err
}

// Blob implements registry.Store.
func (db *DB) Blob(ctx context.Context, id registry.ID, digest string) (registry.Blob, error) {
	_, key, err := db.repository(ctx, db.read, id)
	if err != nil {
		return registry.Blob{}, err
	}
	return db.blob(ctx, db.read, key, id, digest)
}

// touchStep is how exactly the time of a link is kept: most questions of a push write nothing.
const touchStep = 10 * time.Minute

// Touch implements registry.Store.
func (db *DB) Touch(ctx context.Context, id registry.ID, digest string, at time.Time) (b registry.Blob, err error) {
	_, key, err := db.repository(ctx, db.read, id)
	if err != nil {
		return b, err
	}
	var touched int64
	err = db.read.QueryRowContext(ctx, "SELECT touched_at FROM ecr_links WHERE repository = ? AND digest = ?", key, digest).Scan(&touched)
	if errors.Is(err, sql.ErrNoRows) {
		return b, registry.NoLayer(id, digest)
	}
	if err != nil {
		return b, err
	}
	if at.Sub(fromMicros(touched)) <= touchStep {
		return db.blob(ctx, db.read, key, id, digest)
	}
	err = db.inRepository(ctx, id, func(tx *sql.Tx, _ registry.Repository, key int64) error {
		if b, err = db.blob(ctx, tx, key, id, digest); err != nil {
			return err
		}
		return link(ctx, tx, key, digest, at)
	})
	return b, err
}

// Unlink implements registry.Store.
func (db *DB) Unlink(ctx context.Context, before, at time.Time) error {
	return db.update(ctx, func(tx *sql.Tx) error {
		const unneeded = ` touched_at < ?1 AND NOT EXISTS (SELECT 1 FROM ecr_image_blobs i WHERE i.repository = ecr_links.repository AND i.blob = ecr_links.digest)`
		if _, err := tx.ExecContext(ctx, "UPDATE ecr_blobs SET touched_at = ?2 WHERE digest IN (SELECT digest FROM ecr_links WHERE"+unneeded+")", micros(before), micros(at)); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, "DELETE FROM ecr_links WHERE"+unneeded, micros(before))
		return err
	})
}

const orphaned = " touched_at < ? AND NOT EXISTS (SELECT 1 FROM ecr_links l WHERE l.digest = ecr_blobs.digest)"

// Orphans implements registry.Store.
func (db *DB) Orphans(ctx context.Context, before time.Time, limit int) ([]string, error) {
	return ecrTexts(ctx, db.read, "SELECT digest FROM ecr_blobs WHERE"+orphaned+" LIMIT ?", micros(before), limit)
}

// DeleteOrphan implements registry.Store.
func (db *DB) DeleteOrphan(ctx context.Context, digest string, before time.Time) (gone bool, err error) {
	err = db.update(ctx, func(tx *sql.Tx) error {
		r, err := tx.ExecContext(ctx, "DELETE FROM ecr_blobs WHERE digest = ? AND"+orphaned, digest, micros(before))
		if err != nil {
			return err
		}
		n, err := r.RowsAffected()
		gone = n > 0
		return err
	})
	return gone, err
}

// HasBlob implements registry.Store.
func (db *DB) HasBlob(ctx context.Context, digest string) (bool, error) {
	n, err := count(ctx, db.read, "SELECT COUNT(*) FROM ecr_blobs WHERE digest = ?", digest)
	return n > 0, err
}

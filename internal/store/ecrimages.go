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
	"github.com/sunaba-dev/sunaba/internal/registry"
)

// imageColumns are those of ecr_images i, with the manifest or, in lists, NULL for it.
func imageColumns(manifest string) string {
	return "i.digest, i.media_type, i.artifact_type, " + manifest + `, length(i.manifest), i.size, i.subject, i.annotations, i.pushed_at, i.pulled_at,
		(SELECT json_group_array(tag) FROM (SELECT tag FROM ecr_tags t WHERE t.repository = i.repository AND t.digest = i.digest ORDER BY tag))`
}

func scanECRImage(row scanner) (i registry.Image, err error) {
	var annotations, tags string
	var pushed, pulled int64
	if err = row.Scan(&i.Digest, &i.MediaType, &i.ArtifactType, &i.Manifest, &i.ManifestSize, &i.Size, &i.Subject, &annotations, &pushed, &pulled, &tags); err != nil {
		return i, err
	}
	i.PushedAt, i.PulledAt = fromMicros(pushed), orNever(pulled)
	return i, errors.Join(json.Unmarshal([]byte(annotations), &i.Annotations), json.Unmarshal([]byte(tags), &i.Tags))
}

// PutImage implements registry.Store.
func (db *DB) PutImage(ctx context.Context, id registry.ID, i registry.Image, tag string, check func(r registry.Repository, current string, known bool) error) error {
	return db.inRepository(ctx, id, func(tx *sql.Tx, r registry.Repository, key int64) error {
		known, err := count(ctx, tx, "SELECT COUNT(*) FROM ecr_images WHERE repository = ? AND digest = ?", key, i.Digest)
		if err != nil {
			return err
		}
		current := ""
		err = tx.QueryRowContext(ctx, "SELECT digest FROM ecr_tags WHERE repository = ? AND tag = ?", key, tag).Scan(&current)
		if err != nil && !errors.Is(err, sql.ErrNoRows) {
			return err
		}
		if err := check(r, current, known > 0); err != nil {
			return err
		}
		if known == 0 {
			if err := db.insertImage(ctx, tx, key, id, i); err != nil {
				return err
			}
		}
		if tag == "" || current == i.Digest {
			return nil
		}
		_, err = tx.ExecContext(ctx, "INSERT INTO ecr_tags (repository, tag, digest) VALUES (?, ?, ?) ON CONFLICT (repository, tag) DO UPDATE SET digest = excluded.digest", key, tag, i.Digest)
		return err
	})
}

func (db *DB) insertImage(ctx context.Context, tx *sql.Tx, key int64, id registry.ID, i registry.Image) error {
	_, err := tx.ExecContext(ctx, `INSERT INTO ecr_images (repository, digest, media_type, artifact_type, manifest, size, subject, annotations, pushed_at, pulled_at)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, 0)`,
		key, i.Digest, i.MediaType, i.ArtifactType, i.Manifest, i.Size, i.Subject, marshal(orEmpty(i.Annotations)), micros(i.PushedAt))
	if err != nil {
		return err
	}
	for _, b := range i.Needs {
		have, err := db.blob(ctx, tx, key, id, b.Digest)
		if err == nil && have.Size != b.Size {
			return fault.New(registry.InvalidParameter, "Invalid parameter at 'ImageManifest' failed to satisfy constraint: 'the size of %s is %d and not %d'", b.Digest, have.Size, b.Size)
		}
		if err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, "INSERT INTO ecr_image_blobs (repository, image, blob) VALUES (?, ?, ?)", key, i.Digest, b.Digest); err != nil {
			return err
		}
	}
	for _, c := range i.Children {
		n, err := count(ctx, tx, "SELECT COUNT(*) FROM ecr_images WHERE repository = ? AND digest = ?", key, c)
		if err == nil && n == 0 {
			return registry.NoChild(id, c)
		}
		if err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, "INSERT INTO ecr_image_children (repository, image, child) VALUES (?, ?, ?)", key, i.Digest, c); err != nil {
			return err
		}
	}
	return nil
}

// Image implements registry.Store.
func (db *DB) Image(ctx context.Context, id registry.ID, ref registry.Ref) (registry.Image, error) {
	_, key, err := db.repository(ctx, db.read, id)
	if err != nil {
		return registry.Image{}, err
	}
	where, args := " WHERE i.repository = ? AND i.digest = ?", []any{key, ref.Digest}
	if ref.Tag != "" {
		where = " WHERE i.repository = ? AND i.digest = (SELECT digest FROM ecr_tags WHERE repository = i.repository AND tag = ?)"
		args = []any{key, ref.Tag}
	}
	i, err := scanECRImage(db.read.QueryRowContext(ctx, "SELECT "+imageColumns("i.manifest")+" FROM ecr_images i"+where, args...))
	if errors.Is(err, sql.ErrNoRows) || (err == nil && ref.Digest != "" && i.Digest != ref.Digest) {
		err = registry.NoImage(id, ref)
	}
	return i, err
}

// hasTags is the condition of a tag status.
var hasTags = map[registry.TagStatus]string{
	registry.Tagged:   " AND EXISTS (SELECT 1 FROM ecr_tags t WHERE t.repository = i.repository AND t.digest = i.digest)",
	registry.Untagged: " AND NOT EXISTS (SELECT 1 FROM ecr_tags t WHERE t.repository = i.repository AND t.digest = i.digest)",
}

// Images implements registry.Store.
func (db *DB) Images(ctx context.Context, id registry.ID, f registry.TagStatus, p registry.Page) ([]registry.Image, string, error) {
	_, key, err := db.repository(ctx, db.read, id)
	if err != nil {
		return nil, "", err
	}
	return ecrListed(ctx, db.read, p, scanECRImage, func(i registry.Image) []string { return []string{i.Digest} }, 1,
		"SELECT "+imageColumns("NULL")+" FROM ecr_images i WHERE i.repository = ?"+hasTags[f]+" AND i.digest > ? ORDER BY i.digest LIMIT ?", key)
}

// Refs implements registry.Store.
func (db *DB) Refs(ctx context.Context, id registry.ID, f registry.TagStatus, p registry.Page) ([]registry.Ref, string, error) {
	_, key, err := db.repository(ctx, db.read, id)
	if err != nil {
		return nil, "", err
	}
	scan := func(row scanner) (r registry.Ref, err error) { return r, row.Scan(&r.Digest, &r.Tag) }
	return ecrListed(ctx, db.read, p, scan, func(r registry.Ref) []string { return []string{r.Digest, r.Tag} }, 2,
		`SELECT i.digest, COALESCE(n.tag, '') AS name FROM ecr_images i LEFT JOIN ecr_tags n ON n.repository = i.repository AND n.digest = i.digest
		WHERE i.repository = ?`+hasTags[f]+` AND (i.digest, COALESCE(n.tag, '')) > (?, ?) ORDER BY i.digest, name LIMIT ?`, key)
}

// ecrListed reads one page of a list. The query's last arguments, which it adds, are the parts of the key after which the page starts and the number of rows to read.
func ecrListed[T any](ctx context.Context, q querier, p registry.Page, scan func(scanner) (T, error), key func(T) []string, parts int, query string, args ...any) (items []T, next string, err error) {
	after := make([]string, parts)
	if p.Token != "" {
		text, err := base64.RawURLEncoding.DecodeString(p.Token)
		if after = strings.Split(string(text), "\x00"); err != nil || len(after) != parts {
			return nil, "", fault.New(registry.InvalidParameter, "Invalid parameter at 'nextToken' failed to satisfy constraint: 'Invalid token'")
		}
	}
	for _, a := range after {
		args = append(args, a)
	}
	rows, err := q.QueryContext(ctx, query, append(args, p.Limit+1)...)
	if err != nil {
		return nil, "", err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		if len(items) == p.Limit {
			return items, base64.RawURLEncoding.EncodeToString([]byte(strings.Join(key(items[len(items)-1]), "\x00"))), nil
		}
		item, err := scan(rows)
		if err != nil {
			return nil, "", err
		}
		items = append(items, item)
	}
	return items, "", rows.Err()
}

// Tags implements registry.Store.
func (db *DB) Tags(ctx context.Context, id registry.ID, after string, limit int) ([]string, error) {
	_, key, err := db.repository(ctx, db.read, id)
	if err != nil {
		return nil, err
	}
	return ecrTexts(ctx, db.read, "SELECT tag FROM ecr_tags WHERE repository = ? AND tag > ? ORDER BY tag LIMIT ?", key, after, limit)
}

// Referrers implements registry.Store.
func (db *DB) Referrers(ctx context.Context, id registry.ID, subject string) (items []registry.Image, err error) {
	_, key, err := db.repository(ctx, db.read, id)
	if err != nil || subject == "" {
		return nil, err
	}
	rows, err := db.read.QueryContext(ctx, "SELECT "+imageColumns("NULL")+" FROM ecr_images i WHERE i.repository = ? AND i.subject = ? ORDER BY i.digest LIMIT 1000", key, subject)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		i, err := scanECRImage(rows)
		if err != nil {
			return nil, err
		}
		items = append(items, i)
	}
	return items, rows.Err()
}

// DeleteImage implements registry.Store.
func (db *DB) DeleteImage(ctx context.Context, id registry.ID, ref registry.Ref, lastTag bool) (gone []registry.Ref, err error) {
	err = db.inRepository(ctx, id, func(tx *sql.Tx, _ registry.Repository, key int64) error {
		digest := ref.Digest
		if ref.Tag != "" {
			err := tx.QueryRowContext(ctx, "SELECT digest FROM ecr_tags WHERE repository = ? AND tag = ?", key, ref.Tag).Scan(&digest)
			if errors.Is(err, sql.ErrNoRows) || (err == nil && ref.Digest != "" && digest != ref.Digest) {
				return registry.NoImage(id, ref)
			}
			if err != nil {
				return err
			}
		}
		tags, err := ecrTexts(ctx, tx, "SELECT tag FROM ecr_tags WHERE repository = ? AND digest = ? ORDER BY tag", key, digest)
		if err != nil {
			return err
		}
		if ref.Digest == "" && (!lastTag || len(tags) > 1) {
			gone = []registry.Ref{{Digest: digest, Tag: ref.Tag}}
			_, err := tx.ExecContext(ctx, "DELETE FROM ecr_tags WHERE repository = ? AND tag = ?", key, ref.Tag)
			return err
		}
		for _, t := range tags {
			gone = append(gone, registry.Ref{Digest: digest, Tag: t})
		}
		if len(tags) == 0 {
			gone = []registry.Ref{{Digest: digest}}
		}
		return dropImage(ctx, tx, key, id, ref, digest)
	})
	if err != nil {
		gone = nil
	}
	return gone, err
}

func dropImage(ctx context.Context, tx *sql.Tx, key int64, id registry.ID, ref registry.Ref, digest string) error {
	parents, err := ecrTexts(ctx, tx, "SELECT image FROM ecr_image_children WHERE repository = ? AND child = ? ORDER BY image LIMIT 5", key, digest)
	if err != nil {
		return err
	}
	if len(parents) > 0 {
		return fault.New(registry.ImageReferenced, "Requested image referenced by manifest list: [%s]", strings.Join(parents, ", "))
	}
	return affects(registry.NoImage(id, ref), func() (sql.Result, error) {
		return tx.ExecContext(ctx, "DELETE FROM ecr_images WHERE repository = ? AND digest = ?", key, digest)
	})
}

// RecordPull implements registry.Store.
func (db *DB) RecordPull(ctx context.Context, id registry.ID, digest string, at time.Time) error {
	return db.inRepository(ctx, id, func(tx *sql.Tx, _ registry.Repository, key int64) error {
		_, err := tx.ExecContext(ctx, "UPDATE ecr_images SET pulled_at = ? WHERE repository = ? AND digest = ?", micros(at), key, digest)
		return err
	})
}

package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"time"

	"github.com/sunaba-dev/sunaba/internal/fault"
	"github.com/sunaba-dev/sunaba/internal/iam"
)

const keyColumns = "k.id, k.secret, k.active, k.created_at, k.last_used_at, k.last_used_service, k.last_used_region"

// CreateAccessKey implements iam.Store.
func (db *DB) CreateAccessKey(ctx context.Context, r iam.Ref, k iam.AccessKey, limit int) error {
	return db.update(ctx, func(tx *sql.Tx) error {
		e, err := db.entity(ctx, tx, r)
		if err != nil {
			return err
		}
		if err := underLimit(ctx, tx, "AccessKeysPerUser", limit, "SELECT COUNT(*) FROM access_keys WHERE entity = ?", e.ID); err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, "INSERT INTO access_keys (id, secret, account, principal, created_at, entity) VALUES (?, ?, ?, ?, ?, ?)",
			k.ID, k.Secret, r.Account, e.ARN(), micros(k.CreatedAt), e.ID)
		return err
	})
}

// AccessKeys implements iam.Store.
func (db *DB) AccessKeys(ctx context.Context, r iam.Ref, p iam.Page) ([]iam.AccessKey, string, error) {
	e, err := db.entity(ctx, db.read, r)
	if err != nil {
		return nil, "", err
	}
	scan := func(row scanner) (k iam.AccessKey, err error) {
		var created, used int64
		err = row.Scan(&k.ID, &k.Secret, &k.Active, &created, &used, &k.LastUsed.Service, &k.LastUsed.Region)
		k.Secret, k.UserName, k.CreatedAt, k.LastUsed.At = "", e.Name, fromMicros(created), orNever(used)
		return k, err
	}
	return listed(ctx, db.read, p, scan, func(k iam.AccessKey) string { return k.ID },
		"SELECT "+keyColumns+" FROM access_keys k WHERE entity = ? AND id > ? ORDER BY id LIMIT ?", e.ID)
}

func noKey(id string) error {
	return fault.New(iam.NoSuchEntity, "The Access Key with id %s cannot be found.", id)
}

// changeKey runs a statement on a key of an entity; its last two arguments are the key's id and the entity's.
func (db *DB) changeKey(ctx context.Context, r iam.Ref, id, statement string, args ...any) error {
	return db.update(ctx, func(tx *sql.Tx) error {
		e, err := db.entity(ctx, tx, r)
		if err != nil {
			return err
		}
		return affects(noKey(id), func() (sql.Result, error) { return tx.ExecContext(ctx, statement, append(args, id, e.ID)...) })
	})
}

// SetAccessKey implements iam.Store.
func (db *DB) SetAccessKey(ctx context.Context, r iam.Ref, id string, active bool) error {
	return db.changeKey(ctx, r, id, "UPDATE access_keys SET active = ? WHERE id = ? AND entity = ?", active)
}

// DeleteAccessKey implements iam.Store.
func (db *DB) DeleteAccessKey(ctx context.Context, r iam.Ref, id string) error {
	return db.changeKey(ctx, r, id, "DELETE FROM access_keys WHERE id = ? AND entity = ?")
}

// AccessKeyUse implements iam.Store.
func (db *DB) AccessKeyUse(ctx context.Context, account, id string) (userName string, u iam.Use, err error) {
	var at int64
	err = db.read.QueryRowContext(ctx, `SELECT e.name, k.last_used_at, k.last_used_service, k.last_used_region
		FROM access_keys k JOIN iam_entities e ON e.id = k.entity WHERE k.id = ? AND k.account = ?`, id, account).Scan(&userName, &at, &u.Service, &u.Region)
	if errors.Is(err, sql.ErrNoRows) {
		err = noKey(id)
	}
	u.At = orNever(at)
	return userName, u, err
}

// Credential implements iam.Store.
func (db *DB) Credential(ctx context.Context, accessKeyID string) (c iam.Credential, found bool, err error) {
	c.AccessKeyID = accessKeyID
	var owner sql.NullString
	err = db.read.QueryRowContext(ctx, "SELECT secret, active, account, entity FROM access_keys WHERE id = ?", accessKeyID).Scan(&c.Secret, &c.Active, &c.Account, &owner)
	if errors.Is(err, sql.ErrNoRows) {
		s, err := scanIAMSession(db.read.QueryRowContext(ctx, "SELECT "+iamSessionColumns+" FROM iam_sessions WHERE id = ?", accessKeyID))
		if errors.Is(err, sql.ErrNoRows) {
			return c, false, nil
		}
		if err != nil {
			return c, false, err
		}
		c.Secret, c.Active, c.Account, c.Session = s.Secret, true, s.Account, &s
		owner = sql.NullString{String: s.OwnerID, Valid: s.OwnerID != ""}
	} else if err != nil {
		return c, false, err
	}
	if !owner.Valid {
		return c, true, nil
	}
	e, err := scanEntity(db.read.QueryRowContext(ctx, "SELECT "+entityColumns+" FROM iam_entities e WHERE id = ?", owner.String))
	if errors.Is(err, sql.ErrNoRows) { // deleted between the two queries, and the key with it
		return c, false, nil
	}
	c.Owner = &e
	return c, err == nil, err
}

const iamSessionColumns = "id, secret, token_hash, account, COALESCE(entity, ''), name, policies, tags, transitive, source_identity, service, source_arn, created_at, expires_at"

func scanIAMSession(row scanner) (s iam.Session, err error) {
	var policies, tags, transitive string
	var created, expires int64
	if err = row.Scan(&s.AccessKeyID, &s.Secret, &s.TokenHash, &s.Account, &s.OwnerID, &s.Name, &policies, &tags, &transitive, &s.SourceIdentity,
		&s.Service, &s.SourceARN, &created, &expires); err != nil {
		return s, err
	}
	s.CreatedAt, s.ExpiresAt = fromMicros(created), fromMicros(expires)
	return s, errors.Join(json.Unmarshal([]byte(policies), &s.Policies), json.Unmarshal([]byte(tags), &s.Tags), json.Unmarshal([]byte(transitive), &s.Transitive))
}

// CreateTemporary implements iam.Store.
func (db *DB) CreateTemporary(ctx context.Context, s iam.Session, forget time.Time) error {
	return db.update(ctx, func(tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, "DELETE FROM iam_sessions WHERE expires_at < ?", micros(forget)); err != nil {
			return err
		}
		owner := sql.NullString{String: s.OwnerID, Valid: s.OwnerID != ""}
		if owner.Valid {
			if n, err := count(ctx, tx, "SELECT COUNT(*) FROM iam_entities WHERE id = ?", s.OwnerID); err != nil || n == 0 {
				return errors.Join(err, iam.NotFound("entity", s.OwnerID))
			}
		}
		_, err := tx.ExecContext(ctx, `INSERT INTO iam_sessions (id, secret, token_hash, account, entity, name, policies, tags, transitive, source_identity, service, source_arn, created_at, expires_at)
			VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
			s.AccessKeyID, s.Secret, s.TokenHash, s.Account, owner, s.Name, marshal(s.Policies), marshal(orEmpty(s.Tags)), marshal(s.Transitive), s.SourceIdentity,
			s.Service, s.SourceARN, micros(s.CreatedAt), micros(s.ExpiresAt))
		return err
	})
}

// EndTemporary implements iam.Store.
func (db *DB) EndTemporary(ctx context.Context, which iam.Sessions) (int, error) {
	r, err := db.write.ExecContext(ctx, `DELETE FROM iam_sessions WHERE (?1 = '' OR id = ?1) AND (?2 = '' OR service = ?2) AND (?3 = '' OR source_arn = ?3) AND (?4 = '' OR name = ?4)`,
		which.AccessKeyID, which.Service, which.SourceARN, which.Name)
	if err != nil {
		return 0, err
	}
	n, err := r.RowsAffected()
	return int(n), err
}

// Used implements iam.Store.
func (db *DB) Used(ctx context.Context, uses []iam.KeyUse) error {
	return db.update(ctx, func(tx *sql.Tx) error {
		for _, u := range uses {
			// An older use than the one on record must not take its place: batches can pass each other.
			_, err := tx.ExecContext(ctx, "UPDATE access_keys SET last_used_at = ?1, last_used_service = ?2, last_used_region = ?3 WHERE id = ?4 AND last_used_at <= ?1",
				micros(u.At), u.Service, u.Region, u.AccessKeyID)
			if err != nil {
				return err
			}
			if u.RoleID == "" {
				continue
			}
			if _, err := tx.ExecContext(ctx, "UPDATE iam_entities SET last_used_at = ?1, last_used_region = ?2 WHERE id = ?3 AND kind = ?4 AND last_used_at <= ?1",
				micros(u.At), u.Region, u.RoleID, iam.Role); err != nil {
				return err
			}
		}
		return nil
	})
}

package store

import (
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/base64"
	"errors"
	"time"
)

// AccessKey is a long-lived access key and whom it stands for.
type AccessKey struct {
	ID        string
	Secret    string
	Account   string
	Principal string // ARN
	CreatedAt time.Time
}

// AccessKey returns the root user's key with an id; found is false when there is none. Keys of users and temporary ones are IAM's: see Credential.
func (db *DB) AccessKey(ctx context.Context, id string) (k AccessKey, found bool, err error) {
	return scanKey(db.read.QueryRowContext(ctx, selectKey+" WHERE id = ? AND entity IS NULL AND active", id))
}

const selectKey = "SELECT id, secret, account, principal, created_at FROM access_keys"

func scanKey(row *sql.Row) (k AccessKey, found bool, err error) {
	var at int64
	err = row.Scan(&k.ID, &k.Secret, &k.Account, &k.Principal, &at)
	if errors.Is(err, sql.ErrNoRows) {
		return AccessKey{}, false, nil
	}
	k.CreatedAt = fromMicros(at)
	return k, err == nil, err
}

// EnsureRootKey returns the principal's oldest key, and makes a random one if it has none.
func (db *DB) EnsureRootKey(ctx context.Context, account, principal string) (k AccessKey, err error) {
	err = db.update(ctx, func(tx *sql.Tx) error {
		var found bool
		if k, found, err = scanKey(tx.QueryRowContext(ctx, selectKey+" WHERE principal = ? AND entity IS NULL ORDER BY created_at LIMIT 1", principal)); err != nil || found {
			return err
		}
		k = AccessKey{ID: "AKIA" + rand.Text()[:16], Secret: secret(), Account: account, Principal: principal, CreatedAt: time.Now().UTC()}
		_, err := tx.ExecContext(ctx, "INSERT INTO access_keys (id, secret, account, principal, created_at) VALUES (?, ?, ?, ?, ?)",
			k.ID, k.Secret, k.Account, k.Principal, micros(k.CreatedAt))
		return err
	})
	return k, err
}

// secret returns 40 characters of base64, as AWS's secrets have: 240 random bits.
func secret() string {
	var b [30]byte
	_, _ = rand.Read(b[:]) // never fails
	return base64.StdEncoding.EncodeToString(b[:])
}

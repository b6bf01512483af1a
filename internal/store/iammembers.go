package store

import (
	"context"
	"database/sql"
	"strings"

	"github.com/sunaba-dev/sunaba/internal/fault"
	"github.com/sunaba-dev/sunaba/internal/iam"
)

// memberKind is what a holder holds.
func memberKind(holder iam.EntityKind) iam.EntityKind {
	if holder == iam.InstanceProfile {
		return iam.Role
	}
	return iam.User
}

// membership reads a holder and a member of the same account.
func (db *DB) membership(ctx context.Context, tx *sql.Tx, holder iam.Ref, member string) (h, m iam.Entity, err error) {
	if h, err = db.entity(ctx, tx, holder); err != nil {
		return h, m, err
	}
	m, err = db.entity(ctx, tx, iam.Ref{Account: holder.Account, Kind: memberKind(holder.Kind), Name: member})
	return h, m, err
}

// AddMember implements iam.Store.
func (db *DB) AddMember(ctx context.Context, holder iam.Ref, member string, limit int) error {
	return db.update(ctx, func(tx *sql.Tx) error {
		h, m, err := db.membership(ctx, tx, holder, member)
		if err != nil {
			return err
		}
		if h.Kind == iam.InstanceProfile {
			err = underLimit(ctx, tx, "InstanceSessionsPerInstanceProfile", limit, "SELECT COUNT(*) FROM iam_members WHERE holder = ?", h.ID)
		} else {
			err = underLimit(ctx, tx, "GroupsPerUser", limit, "SELECT COUNT(*) FROM iam_members WHERE member = ? AND holder <> ?", m.ID, h.ID)
		}
		if err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, "INSERT INTO iam_members (holder, member) VALUES (?, ?) ON CONFLICT DO NOTHING", h.ID, m.ID)
		return err
	})
}

// RemoveMember implements iam.Store.
func (db *DB) RemoveMember(ctx context.Context, holder iam.Ref, member string) error {
	return db.update(ctx, func(tx *sql.Tx) error {
		h, m, err := db.membership(ctx, tx, holder, member)
		if err != nil {
			return err
		}
		var absent error
		if h.Kind == iam.InstanceProfile {
			absent = fault.New(iam.NoSuchEntity, "Cannot find the role with name %s in Instance Profile %s.", member, holder.Name)
		}
		return affects(absent, func() (sql.Result, error) {
			return tx.ExecContext(ctx, "DELETE FROM iam_members WHERE holder = ? AND member = ?", h.ID, m.ID)
		})
	})
}

func entityKey(e iam.Entity) string { return strings.ToLower(e.Name) }

// Members implements iam.Store.
func (db *DB) Members(ctx context.Context, holder iam.Ref, p iam.Page) ([]iam.Entity, string, error) {
	h, err := db.entity(ctx, db.read, holder)
	if err != nil {
		return nil, "", err
	}
	return listed(ctx, db.read, p, scanEntity, entityKey,
		"SELECT "+entityColumns+" FROM iam_entities e JOIN iam_members m ON m.member = e.id WHERE m.holder = ? AND e.fold > ? ORDER BY e.fold LIMIT ?", h.ID)
}

// Holders implements iam.Store.
func (db *DB) Holders(ctx context.Context, member iam.Ref, p iam.Page) ([]iam.Entity, string, error) {
	m, err := db.entity(ctx, db.read, member)
	if err != nil {
		return nil, "", err
	}
	return listed(ctx, db.read, p, scanEntity, entityKey,
		"SELECT "+entityColumns+" FROM iam_entities e JOIN iam_members m ON m.holder = e.id WHERE m.member = ? AND e.fold > ? ORDER BY e.fold LIMIT ?", m.ID)
}

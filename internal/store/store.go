// Package store keeps what must survive a restart in one SQLite file: access keys, interpreters, session records, the answers to client tokens.
//
// Every write is one transaction that is on disk when the call returns (WAL with synchronous=FULL). The schema grows by numbered migrations, which are never edited once released.
package store

import (
	"context"
	"database/sql"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"time"

	sqlite "modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

//go:embed migrations/*.sql
var migrations embed.FS

// DB is the store.
type DB struct {
	write *sql.DB // one connection: writers queue in Go instead of failing with SQLITE_BUSY
	read  *sql.DB
}

// Open opens or creates the store at a path (file mode 0600) and brings its schema up to date. A store from a newer version of the program is refused.
func Open(ctx context.Context, path string) (*DB, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open the store: %w", err)
	}
	if err := f.Close(); err != nil {
		return nil, fmt.Errorf("open the store: %w", err)
	}
	db := &DB{}
	if db.write, err = openPool(path, 1, "immediate"); err != nil {
		return nil, err
	}
	if db.read, err = openPool(path, 4, "deferred"); err != nil {
		return nil, errors.Join(err, db.write.Close())
	}
	if err := db.migrate(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("the store %s: %w", path, err), db.Close())
	}
	return db, nil
}

func openPool(path string, connections int, lock string) (*sql.DB, error) {
	q := url.Values{"_txlock": {lock}, "_pragma": {"journal_mode(wal)", "synchronous(full)", "busy_timeout(10000)", "foreign_keys(1)"}}
	p, err := sql.Open("sqlite", "file:"+(&url.URL{Path: path}).EscapedPath()+"?"+q.Encode())
	if err != nil {
		return nil, fmt.Errorf("open the store: %w", err)
	}
	p.SetMaxOpenConns(connections)
	p.SetMaxIdleConns(connections)
	return p, nil
}

// Close closes the store.
func (db *DB) Close() error { return errors.Join(db.read.Close(), db.write.Close()) }

func (db *DB) migrate(ctx context.Context) error {
	files, err := fs.ReadDir(migrations, "migrations")
	if err != nil {
		return err
	}
	// One transaction, so that two processes that open a new store at once do not both migrate it.
	return db.update(ctx, func(tx *sql.Tx) error {
		var have int
		if err := tx.QueryRowContext(ctx, "PRAGMA user_version").Scan(&have); err != nil {
			return err
		}
		if have > len(files) {
			return fmt.Errorf("it has schema %d, and this program knows %d: it was written by a newer version; use that one", have, len(files))
		}
		for _, f := range files[have:] {
			text, err := migrations.ReadFile("migrations/" + f.Name())
			if err != nil {
				return err
			}
			if _, err := tx.ExecContext(ctx, string(text)); err != nil {
				return fmt.Errorf("migration %s: %w", f.Name(), err)
			}
		}
		_, err := tx.ExecContext(ctx, fmt.Sprintf("PRAGMA user_version = %d", len(files)))
		return err
	})
}

// update runs f in one write transaction.
func (db *DB) update(ctx context.Context, f func(tx *sql.Tx) error) error {
	tx, err := db.write.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	if err := f(tx); err != nil {
		return errors.Join(err, ignoreDone(tx.Rollback()))
	}
	return tx.Commit()
}

func ignoreDone(err error) error {
	if errors.Is(err, sql.ErrTxDone) {
		return nil
	}
	return err
}

// isUnique reports whether an insert met a row with the same key.
func isUnique(err error) bool {
	e, ok := errors.AsType[*sqlite.Error](err)
	return ok && (e.Code() == sqlite3.SQLITE_CONSTRAINT_UNIQUE || e.Code() == sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY)
}

func micros(t time.Time) int64 { return t.UnixMicro() }

func fromMicros(n int64) time.Time { return time.UnixMicro(n).UTC() }

// marshal encodes what a text column holds. The types that are stored cannot fail to encode.
func marshal(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		panic(fmt.Sprintf("store: encode %T: %v", v, err))
	}
	return string(b)
}

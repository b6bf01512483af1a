-- Secrets of Secrets Manager. Times are microseconds since 1970, UTC; 0 is never.
CREATE TABLE secrets (
	id          INTEGER PRIMARY KEY AUTOINCREMENT,
	account     TEXT NOT NULL,
	region      TEXT NOT NULL,
	name        TEXT NOT NULL,
	suffix      TEXT NOT NULL, -- of the ARN
	description TEXT NOT NULL,
	kms_key     TEXT NOT NULL,
	type        TEXT NOT NULL,
	tags        TEXT NOT NULL, -- JSON object
	policy      TEXT NOT NULL,
	created_at  INTEGER NOT NULL,
	changed_at  INTEGER NOT NULL,
	accessed_at INTEGER NOT NULL,
	deleted_at  INTEGER NOT NULL,
	purge_at    INTEGER NOT NULL,
	UNIQUE (account, region, name)
) STRICT;
CREATE INDEX secrets_by_end ON secrets (purge_at) WHERE purge_at > 0;

CREATE TABLE secret_versions (
	seq         INTEGER PRIMARY KEY AUTOINCREMENT, -- their order
	secret      INTEGER NOT NULL REFERENCES secrets (id) ON DELETE CASCADE,
	id          TEXT NOT NULL,
	stages      TEXT NOT NULL, -- JSON list
	box         BLOB NOT NULL, -- the sealed value
	created_at  INTEGER NOT NULL,
	accessed_at INTEGER NOT NULL,
	UNIQUE (secret, id)
) STRICT;

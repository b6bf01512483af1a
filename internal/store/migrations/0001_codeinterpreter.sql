CREATE TABLE access_keys (
	id         TEXT PRIMARY KEY,
	secret     TEXT NOT NULL,
	account    TEXT NOT NULL,
	principal  TEXT NOT NULL, -- ARN
	created_at INTEGER NOT NULL
) STRICT;

-- Times are microseconds since 1970, UTC.
CREATE TABLE interpreters (
	seq            INTEGER PRIMARY KEY AUTOINCREMENT, -- the order of lists, and their page tokens
	account        TEXT NOT NULL,
	region         TEXT NOT NULL,
	id             TEXT NOT NULL,
	name           TEXT NOT NULL,
	description    TEXT NOT NULL,
	execution_role TEXT NOT NULL,
	network        TEXT NOT NULL, -- JSON
	status         TEXT NOT NULL,
	tags           TEXT NOT NULL, -- JSON object
	created_at     INTEGER NOT NULL,
	updated_at     INTEGER NOT NULL,
	UNIQUE (account, region, id),
	UNIQUE (account, region, name)
) STRICT;

CREATE TABLE sessions (
	seq         INTEGER PRIMARY KEY AUTOINCREMENT,
	account     TEXT NOT NULL,
	region      TEXT NOT NULL,
	id          TEXT NOT NULL UNIQUE,
	interpreter TEXT NOT NULL,
	name        TEXT NOT NULL,
	timeout     INTEGER NOT NULL, -- seconds
	status      TEXT NOT NULL,
	reason      TEXT NOT NULL,
	created_at  INTEGER NOT NULL,
	updated_at  INTEGER NOT NULL
) STRICT;
CREATE INDEX sessions_by_interpreter ON sessions (account, region, interpreter, seq);
CREATE INDEX sessions_by_status ON sessions (status, account, region);

CREATE TABLE client_tokens (
	account    TEXT NOT NULL,
	region     TEXT NOT NULL,
	operation  TEXT NOT NULL,
	token      TEXT NOT NULL,
	parameters TEXT NOT NULL, -- hash of what the token was given with
	answer     TEXT NOT NULL, -- JSON
	created_at INTEGER NOT NULL,
	PRIMARY KEY (account, region, operation, token)
) STRICT;

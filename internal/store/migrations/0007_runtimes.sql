-- Agent runtimes. What is the same for all versions of one; times are microseconds since 1970, UTC.
CREATE TABLE runtimes (
	seq        INTEGER PRIMARY KEY AUTOINCREMENT, -- the order of lists, and their page tokens
	account    TEXT NOT NULL,
	region     TEXT NOT NULL,
	id         TEXT NOT NULL,
	name       TEXT NOT NULL,
	version    INTEGER NOT NULL, -- the newest
	tags       TEXT NOT NULL, -- JSON object
	created_at INTEGER NOT NULL,
	UNIQUE (account, region, id),
	UNIQUE (account, region, name)
) STRICT;

CREATE TABLE runtime_versions (
	runtime       INTEGER NOT NULL REFERENCES runtimes (seq) ON DELETE CASCADE,
	version       INTEGER NOT NULL,
	configuration TEXT NOT NULL, -- JSON; never changes
	artifact      TEXT NOT NULL, -- JSON; '' until it is there
	status        TEXT NOT NULL,
	reason        TEXT NOT NULL, -- why it failed
	updated_at    INTEGER NOT NULL,
	PRIMARY KEY (runtime, version)
) STRICT;
CREATE INDEX runtime_versions_by_status ON runtime_versions (status);

CREATE TABLE runtime_endpoints (
	seq         INTEGER PRIMARY KEY AUTOINCREMENT,
	runtime     INTEGER NOT NULL REFERENCES runtimes (seq) ON DELETE CASCADE,
	id          TEXT NOT NULL,
	name        TEXT NOT NULL,
	description TEXT NOT NULL,
	live        INTEGER NOT NULL, -- version; 0 before the first one
	target      INTEGER NOT NULL,
	status      TEXT NOT NULL,
	reason      TEXT NOT NULL,
	tags        TEXT NOT NULL, -- JSON object
	created_at  INTEGER NOT NULL,
	updated_at  INTEGER NOT NULL,
	UNIQUE (runtime, name)
) STRICT;

CREATE TABLE workload_identities (
	seq         INTEGER PRIMARY KEY AUTOINCREMENT,
	account     TEXT NOT NULL,
	region      TEXT NOT NULL,
	name        TEXT NOT NULL,
	return_urls TEXT NOT NULL, -- JSON list
	tags        TEXT NOT NULL, -- JSON object
	created_at  INTEGER NOT NULL,
	updated_at  INTEGER NOT NULL,
	UNIQUE (account, region, name)
) STRICT;

-- Users and roles. Times are microseconds since 1970, UTC; 0 is never.
CREATE TABLE iam_entities (
	id               TEXT PRIMARY KEY, -- AIDA..., AROA...: never used again
	account          TEXT NOT NULL,
	kind             TEXT NOT NULL,
	name             TEXT NOT NULL,
	fold             TEXT NOT NULL, -- the name in lower case: names that differ in case only are one
	path             TEXT NOT NULL,
	tags             TEXT NOT NULL, -- JSON object
	created_at       INTEGER NOT NULL,
	trust            TEXT NOT NULL,
	description      TEXT NOT NULL,
	max_session      INTEGER NOT NULL, -- seconds
	last_used_at     INTEGER NOT NULL DEFAULT 0,
	last_used_region TEXT NOT NULL DEFAULT '',
	UNIQUE (account, kind, fold)
) STRICT;

CREATE TABLE iam_inline_policies (
	entity   TEXT NOT NULL REFERENCES iam_entities (id),
	name     TEXT NOT NULL,
	document TEXT NOT NULL,
	PRIMARY KEY (entity, name)
) STRICT;

CREATE TABLE iam_policies (
	id              TEXT PRIMARY KEY, -- ANPA...
	arn             TEXT NOT NULL UNIQUE,
	account         TEXT NOT NULL,
	name            TEXT NOT NULL,
	fold            TEXT NOT NULL,
	path            TEXT NOT NULL,
	description     TEXT NOT NULL,
	default_version INTEGER NOT NULL,
	last_version    INTEGER NOT NULL, -- numbers are not used again
	tags            TEXT NOT NULL, -- JSON object
	created_at      INTEGER NOT NULL,
	updated_at      INTEGER NOT NULL,
	UNIQUE (account, fold)
) STRICT;

CREATE TABLE iam_policy_versions (
	policy     TEXT NOT NULL REFERENCES iam_policies (id) ON DELETE CASCADE,
	number     INTEGER NOT NULL,
	document   TEXT NOT NULL,
	created_at INTEGER NOT NULL,
	PRIMARY KEY (policy, number)
) STRICT;

CREATE TABLE iam_attachments (
	entity TEXT NOT NULL REFERENCES iam_entities (id),
	policy TEXT NOT NULL REFERENCES iam_policies (id),
	PRIMARY KEY (entity, policy)
) STRICT;
CREATE INDEX iam_attachments_by_policy ON iam_attachments (policy);

-- Keys without an entity are the root user's.
ALTER TABLE access_keys ADD COLUMN entity TEXT REFERENCES iam_entities (id);
ALTER TABLE access_keys ADD COLUMN active INTEGER NOT NULL DEFAULT 1;
ALTER TABLE access_keys ADD COLUMN last_used_at INTEGER NOT NULL DEFAULT 0;
ALTER TABLE access_keys ADD COLUMN last_used_service TEXT NOT NULL DEFAULT '';
ALTER TABLE access_keys ADD COLUMN last_used_region TEXT NOT NULL DEFAULT '';
CREATE INDEX access_keys_by_entity ON access_keys (entity);

-- Temporary credentials. They end with their user or role.
CREATE TABLE iam_sessions (
	id              TEXT PRIMARY KEY, -- ASIA...
	secret          TEXT NOT NULL,
	token_hash      BLOB NOT NULL, -- SHA-256
	account         TEXT NOT NULL,
	entity          TEXT REFERENCES iam_entities (id) ON DELETE CASCADE,
	name            TEXT NOT NULL,
	policies        TEXT NOT NULL, -- JSON list of documents
	tags            TEXT NOT NULL, -- JSON object
	transitive      TEXT NOT NULL, -- JSON list of tag keys
	source_identity TEXT NOT NULL,
	service         TEXT NOT NULL,
	source_arn      TEXT NOT NULL,
	created_at      INTEGER NOT NULL,
	expires_at      INTEGER NOT NULL
) STRICT;
CREATE INDEX iam_sessions_by_entity ON iam_sessions (entity);
CREATE INDEX iam_sessions_by_end ON iam_sessions (expires_at);
CREATE INDEX iam_sessions_by_source ON iam_sessions (service, source_arn) WHERE service <> '';

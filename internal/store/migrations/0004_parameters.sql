-- Parameters of the SSM Parameter Store. Times are microseconds since 1970, UTC.
CREATE TABLE parameters (
	id      INTEGER PRIMARY KEY AUTOINCREMENT,
	account TEXT NOT NULL,
	region  TEXT NOT NULL,
	name    TEXT NOT NULL,
	tags    TEXT NOT NULL, -- JSON object
	UNIQUE (account, region, name)
) STRICT;

CREATE TABLE parameter_versions (
	parameter       INTEGER NOT NULL REFERENCES parameters (id) ON DELETE CASCADE,
	number          INTEGER NOT NULL,
	type            TEXT NOT NULL,
	value           BLOB NOT NULL, -- sealed if the type is SecureString
	data_type       TEXT NOT NULL,
	tier            TEXT NOT NULL,
	key_id          TEXT NOT NULL,
	description     TEXT NOT NULL,
	allowed_pattern TEXT NOT NULL,
	labels          TEXT NOT NULL, -- JSON list
	modified_at     INTEGER NOT NULL,
	modified_by     TEXT NOT NULL, -- ARN
	PRIMARY KEY (parameter, number)
) STRICT;

-- Repositories of container images. Blobs lie in the registry's folder; what a repository has of them is in ecr_links.
CREATE TABLE ecr_repositories (
	id         INTEGER PRIMARY KEY AUTOINCREMENT,
	account    TEXT NOT NULL,
	region     TEXT NOT NULL,
	name       TEXT NOT NULL,
	created_at INTEGER NOT NULL,
	mutability TEXT NOT NULL,
	exclusions TEXT NOT NULL, -- JSON list of patterns
	scan       INTEGER NOT NULL,
	encryption TEXT NOT NULL, -- JSON object
	tags       TEXT NOT NULL, -- JSON object
	policy     TEXT NOT NULL,
	lifecycle  TEXT NOT NULL,
	UNIQUE (account, region, name)
) STRICT;

CREATE TABLE ecr_blobs (
	digest     TEXT PRIMARY KEY,
	size       INTEGER NOT NULL,
	touched_at INTEGER NOT NULL -- when it came, or when its last link went
) STRICT;
CREATE INDEX ecr_blobs_by_touch ON ecr_blobs (touched_at);

CREATE TABLE ecr_links (
	repository INTEGER NOT NULL REFERENCES ecr_repositories (id) ON DELETE CASCADE,
	digest     TEXT NOT NULL REFERENCES ecr_blobs (digest),
	touched_at INTEGER NOT NULL, -- when a push last asked for it
	PRIMARY KEY (repository, digest)
) STRICT;
CREATE INDEX ecr_links_by_digest ON ecr_links (digest);
CREATE INDEX ecr_links_by_touch ON ecr_links (touched_at);

CREATE TABLE ecr_uploads (
	id         TEXT PRIMARY KEY,
	repository INTEGER NOT NULL REFERENCES ecr_repositories (id) ON DELETE CASCADE,
	owner      TEXT NOT NULL,
	created_at INTEGER NOT NULL
) STRICT;
CREATE INDEX ecr_uploads_by_repository ON ecr_uploads (repository);

CREATE TABLE ecr_images (
	repository    INTEGER NOT NULL REFERENCES ecr_repositories (id) ON DELETE CASCADE,
	digest        TEXT NOT NULL,
	media_type    TEXT NOT NULL,
	artifact_type TEXT NOT NULL,
	manifest      BLOB NOT NULL,
	size          INTEGER NOT NULL,
	subject       TEXT NOT NULL, -- digest, '' if it has none
	annotations   TEXT NOT NULL, -- JSON object
	pushed_at     INTEGER NOT NULL,
	pulled_at     INTEGER NOT NULL, -- 0 is never
	PRIMARY KEY (repository, digest)
) STRICT;
CREATE INDEX ecr_images_by_subject ON ecr_images (repository, subject) WHERE subject <> '';

CREATE TABLE ecr_image_blobs (
	repository INTEGER NOT NULL,
	image      TEXT NOT NULL,
	blob       TEXT NOT NULL,
	PRIMARY KEY (repository, image, blob),
	FOREIGN KEY (repository, image) REFERENCES ecr_images (repository, digest) ON DELETE CASCADE,
	FOREIGN KEY (repository, blob) REFERENCES ecr_links (repository, digest)
) STRICT, WITHOUT ROWID;
CREATE INDEX ecr_image_blobs_by_blob ON ecr_image_blobs (repository, blob);

CREATE TABLE ecr_image_children (
	repository INTEGER NOT NULL,
	image      TEXT NOT NULL, -- an index
	child      TEXT NOT NULL, -- digest of an image in it
	PRIMARY KEY (repository, image, child),
	FOREIGN KEY (repository, image) REFERENCES ecr_images (repository, digest) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;
CREATE INDEX ecr_image_children_by_child ON ecr_image_children (repository, child);

CREATE TABLE ecr_tags (
	repository INTEGER NOT NULL,
	tag        TEXT NOT NULL,
	digest     TEXT NOT NULL,
	PRIMARY KEY (repository, tag),
	FOREIGN KEY (repository, digest) REFERENCES ecr_images (repository, digest) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;
CREATE INDEX ecr_tags_by_image ON ecr_tags (repository, digest);

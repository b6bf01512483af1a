-- Which user is in which group, and which role in which instance profile. None of them can be deleted while it stands here.
CREATE TABLE iam_members (
	holder TEXT NOT NULL REFERENCES iam_entities (id), -- AGPA..., AIPA...
	member TEXT NOT NULL REFERENCES iam_entities (id), -- AIDA..., AROA...
	PRIMARY KEY (holder, member)
) STRICT;
CREATE INDEX iam_members_by_member ON iam_members (member);

-- The managed policy that bounds what a user or a role can be allowed. It cannot be deleted while it does.
ALTER TABLE iam_entities ADD COLUMN boundary TEXT REFERENCES iam_policies (id);
CREATE INDEX iam_entities_by_boundary ON iam_entities (boundary) WHERE boundary IS NOT NULL;

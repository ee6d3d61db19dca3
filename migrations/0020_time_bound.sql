-- Why access was given, what took the place of what, and orders in which a cluster's grants are listed.

-- In its maker's words: one line.
ALTER TABLE grants ADD COLUMN reason TEXT;
UPDATE grants SET reason = (SELECT f.reason FROM federated_grants f WHERE f.id = grants.federated_id)
    WHERE federated_id IS NOT NULL;
-- What a link gives is given for this; visitors do not read it.
ALTER TABLE share_links ADD COLUMN reason TEXT;

-- The grant whose place this one took when it was changed. `ended` of that one is 'replaced'.
ALTER TABLE grants ADD COLUMN replaces TEXT;
CREATE UNIQUE INDEX grants_replacing ON grants (replaces) WHERE replaces IS NOT NULL;

-- How much a role gives, the most first; and `expires_at`, or the end of time. A grant that the version before makes beside this one
-- stands at the end of both.
ALTER TABLE grants ADD COLUMN role_rank BIGINT NOT NULL DEFAULT 9;
UPDATE grants SET role_rank = CASE role
    WHEN 'cluster-admin' THEN 0 WHEN 'admin' THEN 1 WHEN 'edit' THEN 2 WHEN 'view' THEN 3 WHEN 'none' THEN 5 ELSE 4 END;
ALTER TABLE grants ADD COLUMN ends_at BIGINT NOT NULL DEFAULT 9223372036854775807;
UPDATE grants SET ends_at = expires_at WHERE expires_at IS NOT NULL;

-- A cluster's access page by name, by role and by end.
CREATE INDEX grants_by_name ON grants (cluster_id, grantee_sort, id) WHERE state <> 'removed';
CREATE INDEX grants_by_role ON grants (cluster_id, role_rank, id) WHERE state <> 'removed';
CREATE INDEX grants_by_end ON grants (cluster_id, ends_at, id) WHERE state <> 'removed';

-- Who could reach what, at any time: what grants and clusters were stays known after a cluster has moved or gone.

-- What the rows of the matrix are sorted by: the email of whoever it is (else name, else `sub`), or the group's name, in lower
-- case. A grant that the version before makes beside this one has none, and stands first.
ALTER TABLE grants ADD COLUMN grantee_sort TEXT NOT NULL DEFAULT '';
UPDATE grants SET grantee_sort = COALESCE(
    (SELECT COALESCE(i.email_key, i.name_key, i.sub) FROM identities i WHERE i.id = grants.identity_id),
    grantee_search
);
-- A column of the matrix on any day, and today: the latter is enough by itself, so that it is the one that is read.
CREATE INDEX grants_record ON grants (cluster_id, grantee_sort, grantee_key);
CREATE INDEX grants_matrix ON grants (cluster_id, grantee_sort, grantee_key, state, identity_id) WHERE state <> 'removed';
-- A row of it.
CREATE INDEX grants_of_grantee ON grants (grantee_key, cluster_id);

-- Grants of clusters that have gone, as they were when their cluster went. Never changed but for `grantee_sort`. No foreign keys:
-- they outlive what they tell of. `gone_at` is when the binding was off the cluster, or given up with it.
CREATE TABLE past_grants (
    id TEXT NOT NULL PRIMARY KEY,
    cluster_id TEXT NOT NULL,
    namespaces TEXT NOT NULL,
    role TEXT NOT NULL,
    grantee_key TEXT NOT NULL,
    identity_id TEXT,
    provider TEXT,
    grantee_name TEXT,
    grantee_sort TEXT NOT NULL,
    origin TEXT NOT NULL,
    expires_at BIGINT,
    created_at BIGINT NOT NULL,
    ended TEXT,
    ended_at BIGINT,
    gone_at BIGINT NOT NULL
);
CREATE INDEX past_grants_record ON past_grants (cluster_id, grantee_sort, grantee_key);
CREATE INDEX past_grants_of_grantee ON past_grants (grantee_key, cluster_id);

-- Under which name and in which workspace a cluster was when. While it lasts, `until` is the greatest number there is. No foreign
-- keys, as above.
CREATE TABLE cluster_stays (
    cluster_id TEXT NOT NULL,
    since BIGINT NOT NULL,
    until BIGINT NOT NULL,
    workspace_id TEXT NOT NULL,
    name TEXT NOT NULL,
    name_key TEXT NOT NULL,
    PRIMARY KEY (cluster_id, since)
);
CREATE INDEX cluster_stays_workspace ON cluster_stays (workspace_id, name_key, cluster_id);
CREATE INDEX cluster_stays_name ON cluster_stays (name_key, cluster_id);
CREATE INDEX clusters_by_name ON clusters (name_key, id);
-- Of what was before, only the last move is known, and no other name.
INSERT INTO cluster_stays (cluster_id, since, until, workspace_id, name, name_key)
    SELECT c.id, COALESCE(
        (SELECT MAX(e.at) FROM audit_events e WHERE e.cluster_id = c.id AND e.action = 'cluster.moved'),
        c.created_at
    ), 9223372036854775807, c.workspace_id, c.name, c.name_key FROM clusters c;

-- All that happened, by time.
CREATE INDEX audit_events_at ON audit_events (at, id);

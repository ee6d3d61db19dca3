-- Grants that reach further than one cluster, projects, and what these go by.

-- What a cluster's owners say of it: 'key=value' joined by ', '.
ALTER TABLE clusters ADD COLUMN labels TEXT NOT NULL DEFAULT '';

-- A namespace across a selection of a workspace's clusters. `placement` is 'all', 'listed' (project_clusters has which) or
-- 'labelled' (`selector` has the labels, as in clusters).
CREATE TABLE projects (
    id TEXT NOT NULL PRIMARY KEY,
    workspace_id TEXT NOT NULL REFERENCES workspaces (id) ON DELETE CASCADE,
    name TEXT NOT NULL,
    name_key TEXT NOT NULL,
    namespace TEXT NOT NULL,
    placement TEXT NOT NULL,
    selector TEXT NOT NULL,
    created_by TEXT NOT NULL REFERENCES identities (id),
    created_at BIGINT NOT NULL
);
CREATE UNIQUE INDEX projects_name ON projects (workspace_id, name_key);

CREATE TABLE project_clusters (
    project_id TEXT NOT NULL REFERENCES projects (id) ON DELETE CASCADE,
    cluster_id TEXT NOT NULL REFERENCES clusters (id) ON DELETE CASCADE,
    PRIMARY KEY (project_id, cluster_id)
);

-- `scope` is 'global', 'workspace:ID' or 'project:ID'; the grantee and the role are as in grants. No foreign key to workspace or
-- project: a row outlives them until its bindings are gone from every cluster.
CREATE TABLE federated_grants (
    id TEXT NOT NULL PRIMARY KEY,
    scope TEXT NOT NULL,
    role TEXT NOT NULL,
    grantee_key TEXT NOT NULL,
    to_group BOOLEAN NOT NULL,
    identity_id TEXT REFERENCES identities (id),
    provider TEXT,
    grantee_name TEXT,
    expires_at BIGINT,
    reason TEXT,
    created_by TEXT NOT NULL REFERENCES identities (id),
    created_at BIGINT NOT NULL,
    ended TEXT,
    ended_at BIGINT
);
CREATE UNIQUE INDEX federated_grants_once ON federated_grants (scope, grantee_key, role) WHERE ended IS NULL;
CREATE INDEX federated_grants_page ON federated_grants (scope, id) WHERE ended IS NULL;
CREATE INDEX federated_grants_grantee ON federated_grants (grantee_key) WHERE ended IS NULL;
CREATE INDEX federated_grants_expiring ON federated_grants (expires_at) WHERE ended IS NULL AND expires_at IS NOT NULL;

-- The grants that federated ones are written out as, one for each cluster; `origin` says the same in words.
ALTER TABLE grants ADD COLUMN federated_id TEXT;
CREATE INDEX grants_federated ON grants (federated_id, cluster_id) WHERE federated_id IS NOT NULL;

-- One row, locked first by whatever changes which clusters a federated grant reaches, so that a cluster that joins and a grant that
-- is made at the same moment do not miss one another.
CREATE TABLE federation (
    id BIGINT NOT NULL PRIMARY KEY,
    changes BIGINT NOT NULL
);
INSERT INTO federation (id, changes) VALUES (1, 0);

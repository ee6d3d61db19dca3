-- Groups of our own: named sets of people and provider groups, of a workspace or (workspace_id NULL) of all.

-- `owners_only`: whether owners of the workspace alone change it and its members, or editors, too. Of one of all platform admins do.
CREATE TABLE own_groups (
    id TEXT NOT NULL PRIMARY KEY,
    workspace_id TEXT REFERENCES workspaces (id) ON DELETE CASCADE,
    name TEXT NOT NULL,
    name_key TEXT NOT NULL,
    owners_only BOOLEAN NOT NULL,
    created_by TEXT NOT NULL REFERENCES identities (id),
    created_at BIGINT NOT NULL
);
CREATE UNIQUE INDEX own_groups_name ON own_groups (COALESCE(workspace_id, ''), name_key);

-- As in `members`: 'person:ID', 'email:PROVIDER:LOWER-CASE' or 'group:PROVIDER:NAME'.
CREATE TABLE own_group_members (
    group_id TEXT NOT NULL REFERENCES own_groups (id) ON DELETE CASCADE,
    member_key TEXT NOT NULL,
    identity_id TEXT REFERENCES identities (id),
    provider TEXT,
    member_name TEXT,
    since BIGINT NOT NULL,
    added_by TEXT NOT NULL REFERENCES identities (id),
    PRIMARY KEY (group_id, member_key)
);
CREATE INDEX own_group_members_reaching ON own_group_members (member_key);

-- A federated grant may be to one of these; its name is kept beside it, also once the group has gone. Then it may reach one cluster
-- alone (`scope` 'cluster:ID'), and there the whole of it or (`namespaces`, as in grants) some namespaces.
ALTER TABLE federated_grants ADD COLUMN group_id TEXT;
ALTER TABLE federated_grants ADD COLUMN namespaces TEXT NOT NULL DEFAULT '';
DROP INDEX federated_grants_once;
CREATE UNIQUE INDEX federated_grants_once ON federated_grants (scope, grantee_key, role, namespaces) WHERE ended IS NULL;
CREATE INDEX federated_grants_of_group ON federated_grants (group_id, id) WHERE group_id IS NOT NULL AND ended IS NULL;
CREATE INDEX federated_grants_to_groups ON federated_grants (scope, id) WHERE group_id IS NOT NULL AND ended IS NULL;

-- The group that a grant was written out for, one for each member: the access page shows the federated grant in their place.
ALTER TABLE grants ADD COLUMN group_id TEXT;
DROP INDEX grants_page;
CREATE INDEX grants_page ON grants (cluster_id, id) WHERE state <> 'removed' AND group_id IS NULL;
DROP INDEX grants_by_name;
CREATE INDEX grants_by_name ON grants (cluster_id, grantee_sort, id) WHERE state <> 'removed' AND group_id IS NULL;
DROP INDEX grants_by_role;
CREATE INDEX grants_by_role ON grants (cluster_id, role_rank, id) WHERE state <> 'removed' AND group_id IS NULL;

-- What happened to a group.
ALTER TABLE audit_events ADD COLUMN group_id TEXT;
CREATE INDEX audit_events_group ON audit_events (group_id, id) WHERE group_id IS NOT NULL;

-- Workspaces whole: who made one, whether it is on its way out, and members that are people, emails of people who have not signed
-- in yet, or groups of a provider.
--
-- `removing`: NULL, 'purge' or 'leave', as a cluster's. A workspace goes once its last cluster has gone.
-- `created_by` is NULL for what the version before makes beside this one.
ALTER TABLE workspaces ADD COLUMN created_by TEXT REFERENCES identities (id);
ALTER TABLE workspaces ADD COLUMN removing TEXT;
UPDATE workspaces SET created_by = (
    SELECT MIN(m.identity_id) FROM workspace_members m WHERE m.workspace_id = workspaces.id AND m.role = 'owner'
);

-- `member_key` is a grant's `grantee_key`: 'person:ID', 'email:PROVIDER:LOWER-CASE' or 'group:PROVIDER:NAME'. A person's row has
-- `identity_id`; the others have `provider` and `member_name`. An email's row gives nothing by itself.
--
-- workspace_members stays beside it for the version before, and goes in a later one.
CREATE TABLE members (
    workspace_id TEXT NOT NULL REFERENCES workspaces (id) ON DELETE CASCADE,
    member_key TEXT NOT NULL,
    identity_id TEXT REFERENCES identities (id),
    provider TEXT,
    member_name TEXT,
    role TEXT NOT NULL,
    since BIGINT NOT NULL,
    added_by TEXT NOT NULL REFERENCES identities (id),
    PRIMARY KEY (workspace_id, member_key)
);
-- What somebody is a member of.
CREATE INDEX members_reaching ON members (member_key, workspace_id);
CREATE INDEX members_identity ON members (identity_id) WHERE identity_id IS NOT NULL;
INSERT INTO members (workspace_id, member_key, identity_id, role, since, added_by)
    SELECT m.workspace_id, 'person:' || m.identity_id, m.identity_id, m.role, w.created_at, m.identity_id
    FROM workspace_members m JOIN workspaces w ON w.id = m.workspace_id;

-- A workspace's activity: its own events and those of its clusters.
CREATE INDEX audit_events_workspace ON audit_events (workspace_id, id);

-- Share links that carry a membership in place of access to a cluster. Token and audience are kept as in share_links.
CREATE TABLE invitations (
    id TEXT NOT NULL PRIMARY KEY,
    token_hash BYTEA NOT NULL,
    sealed_token BYTEA NOT NULL,
    workspace_id TEXT NOT NULL REFERENCES workspaces (id) ON DELETE CASCADE,
    role TEXT NOT NULL,
    audience TEXT NOT NULL,
    audience_provider TEXT,
    created_by TEXT NOT NULL REFERENCES identities (id),
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    max_uses BIGINT,
    revoked_at BIGINT,
    uses BIGINT NOT NULL
);
CREATE UNIQUE INDEX invitations_token ON invitations (token_hash);
CREATE INDEX invitations_workspace ON invitations (workspace_id, id);

-- Whoever accepted one does not do so again: not after they were removed either.
CREATE TABLE invitation_acceptances (
    invitation_id TEXT NOT NULL REFERENCES invitations (id) ON DELETE CASCADE,
    identity_id TEXT NOT NULL REFERENCES identities (id),
    accepted_at BIGINT NOT NULL,
    PRIMARY KEY (invitation_id, identity_id)
);

-- Files that say who has access. What one has made bears its identity as maker; a grant on a cluster has the origin 'file:ID'.
CREATE TABLE files (
    id TEXT NOT NULL PRIMARY KEY,
    name TEXT NOT NULL,
    identity_id TEXT NOT NULL REFERENCES identities (id),
    created_at BIGINT NOT NULL
);
CREATE UNIQUE INDEX files_name ON files (name);
-- What a file has given everywhere, in workspaces and in projects.
CREATE INDEX federated_grants_maker ON federated_grants (created_by) WHERE ended IS NULL;

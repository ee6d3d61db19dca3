-- Providers of a workspace's own. Which workspace stands in the id, too: whatever names the provider says where its people count.

-- `prefix` stands before the names of its people on clusters; it is never given to another one, of any workspace: API servers may go on trusting
-- the issuer of one that is gone, or whose cluster has moved. `sealed_secret` is NULL for
-- a public client. `off_since`: nobody signs in with it, and clusters do not trust it, until it is switched on again. A row whose
-- `removed_at` is set is kept for its id and its prefix alone, beyond its workspace's end.
CREATE TABLE own_providers (
    id TEXT NOT NULL PRIMARY KEY,
    workspace_id TEXT NOT NULL,
    name TEXT NOT NULL,
    issuer TEXT NOT NULL,
    client_id TEXT NOT NULL,
    direct_client_id TEXT,
    sealed_secret BYTEA,
    ca_pem TEXT,
    scopes TEXT NOT NULL,
    username_claim TEXT NOT NULL,
    groups_claim TEXT NOT NULL,
    prefix TEXT NOT NULL,
    revision BIGINT NOT NULL,
    created_by TEXT NOT NULL REFERENCES identities (id),
    created_at BIGINT NOT NULL,
    off_since BIGINT,
    removed_at BIGINT
);
CREATE UNIQUE INDEX own_providers_prefix ON own_providers (prefix);
CREATE UNIQUE INDEX own_providers_issuer ON own_providers (workspace_id, issuer) WHERE removed_at IS NULL;

-- Whose people, groups and devices go with a provider.
CREATE INDEX cluster_trusts_provider ON cluster_trusts (provider, cluster_id);
CREATE INDEX devices_provider ON devices (provider) WHERE revoked_at IS NULL;

-- Devices, and the provider's tokens that the relay keeps for people.

-- The sign-in of a person at a provider that devices live on: one for each person and provider, sealed. `issued_at`
-- and `expires_at` are the ID token's; the newer one wins. `refused_at` is when the provider last refused to refresh it. While `leased_until` is to
-- come somebody is asking the provider; `version` grows with each change, so that only one of two that read the same asks.
CREATE TABLE upstream_sessions (
    identity_id TEXT NOT NULL REFERENCES identities (id),
    provider TEXT NOT NULL,
    sealed BYTEA NOT NULL,
    issued_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    version BIGINT NOT NULL,
    leased_until BIGINT,
    refused_at BIGINT,
    PRIMARY KEY (identity_id, provider)
);

CREATE INDEX upstream_sessions_newest ON upstream_sessions (provider, issued_at);

-- One for each kubeconfig that was handed out. `token_hash` is NULL for formats that do not ask Kubelend afterwards.
CREATE TABLE devices (
    id TEXT NOT NULL PRIMARY KEY,
    identity_id TEXT NOT NULL REFERENCES identities (id),
    cluster_id TEXT NOT NULL REFERENCES clusters (id) ON DELETE CASCADE,
    provider TEXT NOT NULL,
    format TEXT NOT NULL,
    name TEXT NOT NULL,
    token_hash BYTEA,
    made_at BIGINT NOT NULL,
    made_from TEXT NOT NULL,
    expires_at BIGINT NOT NULL,
    used_at BIGINT,
    used_from TEXT,
    apart_at BIGINT,
    apart_from TEXT,
    revoked_at BIGINT
);
CREATE INDEX devices_identity ON devices (identity_id, id);
CREATE INDEX devices_cluster ON devices (cluster_id, id);
CREATE INDEX devices_of ON devices (cluster_id, identity_id) WHERE revoked_at IS NULL;

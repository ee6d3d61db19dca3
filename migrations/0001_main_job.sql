-- The tables of the main job: people, clusters, grants, share links, sessions, and the trail of what was done.
--
-- One text for SQLite and PostgreSQL, so portable types alone: TEXT, BIGINT, BOOLEAN, BYTEA (SQLite keeps blobs as they are
-- under that name). Ids are UUIDs of version 7 as hyphenated lower-case text, times are milliseconds since the epoch.
-- A column *_key holds what is compared, in ASCII lower case; the column beside it holds what is shown.

CREATE TABLE settings (
    name TEXT NOT NULL PRIMARY KEY,
    value TEXT NOT NULL
);

-- People. Their email may go (NULL) when the provider gives it to somebody else.
CREATE TABLE identities (
    id TEXT NOT NULL PRIMARY KEY,
    provider TEXT NOT NULL,
    issuer TEXT NOT NULL,
    sub TEXT NOT NULL,
    email TEXT,
    email_key TEXT,
    email_verified BOOLEAN NOT NULL,
    name TEXT,
    name_key TEXT,
    group_list TEXT NOT NULL,
    last_sign_in BIGINT NOT NULL
);
CREATE UNIQUE INDEX identities_subject ON identities (issuer, sub);
-- At one provider an email is one person's at a time.
CREATE UNIQUE INDEX identities_email ON identities (provider, email_key);

-- The emails seen at each provider. A sign-in takes its email's row first, so that sign-ins with one email come one by one.
CREATE TABLE emails (
    provider TEXT NOT NULL,
    email_key TEXT NOT NULL,
    PRIMARY KEY (provider, email_key)
);

-- Who ever held an email at a provider. Never deleted: a grant to an email is not given to its second holder.
CREATE TABLE email_holders (
    provider TEXT NOT NULL,
    email_key TEXT NOT NULL,
    identity_id TEXT NOT NULL REFERENCES identities (id),
    first_held_at BIGINT NOT NULL,
    PRIMARY KEY (provider, email_key, identity_id)
);

CREATE TABLE workspaces (
    id TEXT NOT NULL PRIMARY KEY,
    name TEXT NOT NULL,
    created_at BIGINT NOT NULL
);

CREATE TABLE workspace_members (
    workspace_id TEXT NOT NULL REFERENCES workspaces (id),
    identity_id TEXT NOT NULL REFERENCES identities (id),
    role TEXT NOT NULL,
    PRIMARY KEY (workspace_id, identity_id)
);
CREATE INDEX workspace_members_identity ON workspace_members (identity_id);

-- `removing`: NULL, 'purge' or 'leave'. A cluster on its way out keeps its name until it is gone.
CREATE TABLE clusters (
    id TEXT NOT NULL PRIMARY KEY,
    workspace_id TEXT NOT NULL REFERENCES workspaces (id),
    name TEXT NOT NULL,
    name_key TEXT NOT NULL,
    server TEXT NOT NULL,
    ca_pem TEXT,
    tls_server_name TEXT,
    created_by TEXT NOT NULL REFERENCES identities (id),
    created_at BIGINT NOT NULL,
    removing TEXT
);
CREATE UNIQUE INDEX clusters_name ON clusters (workspace_id, name_key);

CREATE TABLE cluster_credentials (
    cluster_id TEXT NOT NULL PRIMARY KEY REFERENCES clusters (id) ON DELETE CASCADE,
    sealed BYTEA NOT NULL
);

CREATE TABLE cluster_trusts (
    cluster_id TEXT NOT NULL REFERENCES clusters (id) ON DELETE CASCADE,
    provider TEXT NOT NULL,
    username_claim TEXT NOT NULL,
    username_prefix TEXT NOT NULL,
    groups_claim TEXT NOT NULL,
    groups_prefix TEXT NOT NULL,
    PRIMARY KEY (cluster_id, provider)
);

-- The last connection check of each cluster; `steps` is JSON.
CREATE TABLE cluster_checks (
    cluster_id TEXT NOT NULL PRIMARY KEY REFERENCES clusters (id) ON DELETE CASCADE,
    id TEXT NOT NULL,
    started_at BIGINT NOT NULL,
    finished_at BIGINT,
    steps TEXT NOT NULL,
    version TEXT
);

-- `grantee_key` is 'person:ID', 'email:PROVIDER:LOWER-CASE' or 'group:PROVIDER:NAME'. A person's row has `identity_id`; the
-- others have `provider` and `grantee_name`. `role` is 'none' for access without rights. `namespaces` is sorted, each once,
-- joined by commas, and empty for the whole cluster. `origin` is 'manual', 'owner' or 'link:ID'.
--
-- `next_attempt` is set while the grant wants work; `leased_until` while somebody is at it; `revision` grows whenever what is
-- wanted changes under a grant that goes on, so that the end of an attempt at the old wish is told from one at the new.
CREATE TABLE grants (
    id TEXT NOT NULL PRIMARY KEY,
    cluster_id TEXT NOT NULL REFERENCES clusters (id) ON DELETE CASCADE,
    namespaces TEXT NOT NULL,
    role TEXT NOT NULL,
    grantee_key TEXT NOT NULL,
    to_group BOOLEAN NOT NULL,
    identity_id TEXT REFERENCES identities (id),
    provider TEXT,
    grantee_name TEXT,
    grantee_search TEXT NOT NULL,
    origin TEXT NOT NULL,
    expires_at BIGINT,
    created_by TEXT NOT NULL REFERENCES identities (id),
    created_at BIGINT NOT NULL,
    state TEXT NOT NULL,
    state_detail TEXT,
    state_since BIGINT NOT NULL,
    ended TEXT,
    ended_at BIGINT,
    attempts BIGINT NOT NULL,
    next_attempt BIGINT,
    leased_until BIGINT,
    revision BIGINT NOT NULL
);
-- The same access is given once by hand and once by each link, also when two people give it at the same moment.
CREATE UNIQUE INDEX grants_once ON grants (cluster_id, grantee_key, role, namespaces, origin) WHERE ended IS NULL;
-- A cluster's access page, newest first.
CREATE INDEX grants_page ON grants (cluster_id, id) WHERE state <> 'removed';
-- How many people and groups hold access to a cluster.
CREATE INDEX grants_grantees ON grants (cluster_id, to_group, grantee_key, expires_at) WHERE ended IS NULL;
-- What reaches a person.
CREATE INDEX grants_reaching ON grants (grantee_key, id) WHERE ended IS NULL;
-- The loop: what is due, what runs out, what is not settled.
CREATE INDEX grants_due ON grants (next_attempt) WHERE next_attempt IS NOT NULL;
CREATE INDEX grants_expiring ON grants (expires_at) WHERE ended IS NULL AND expires_at IS NOT NULL;
CREATE INDEX grants_unsettled ON grants (cluster_id, state) WHERE state <> 'applied' AND state <> 'removed';

CREATE TABLE share_links (
    id TEXT NOT NULL PRIMARY KEY,
    token_hash BYTEA NOT NULL,
    sealed_token BYTEA NOT NULL,
    cluster_id TEXT NOT NULL REFERENCES clusters (id) ON DELETE CASCADE,
    namespaces TEXT NOT NULL,
    role TEXT NOT NULL,
    access_lasts BIGINT,
    created_by TEXT NOT NULL REFERENCES identities (id),
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    revoked_at BIGINT,
    uses BIGINT NOT NULL
);
CREATE UNIQUE INDEX share_links_token ON share_links (token_hash);
CREATE INDEX share_links_cluster ON share_links (cluster_id, id);
CREATE INDEX share_links_open ON share_links (cluster_id, expires_at) WHERE revoked_at IS NULL;

-- `number` counts a link's acceptances from 1, so that the latest ones are found without looking at the others.
CREATE TABLE link_acceptances (
    link_id TEXT NOT NULL REFERENCES share_links (id) ON DELETE CASCADE,
    identity_id TEXT NOT NULL REFERENCES identities (id),
    grant_id TEXT NOT NULL REFERENCES grants (id) ON DELETE CASCADE,
    number BIGINT NOT NULL,
    accepted_at BIGINT NOT NULL,
    PRIMARY KEY (link_id, identity_id)
);
CREATE UNIQUE INDEX link_acceptances_number ON link_acceptances (link_id, number);
CREATE INDEX link_acceptances_grant ON link_acceptances (grant_id);

-- Append-only. No foreign keys: an event outlives what it tells of. `actor_id` is NULL where Kubelend acted by itself.
CREATE TABLE audit_events (
    id TEXT NOT NULL PRIMARY KEY,
    at BIGINT NOT NULL,
    actor_id TEXT,
    actor_name TEXT NOT NULL,
    action TEXT NOT NULL,
    cluster_id TEXT,
    workspace_id TEXT,
    target TEXT NOT NULL,
    request_id TEXT
);
CREATE INDEX audit_events_cluster ON audit_events (cluster_id, id);

-- Browser sessions: found by a hash of their id, sealed for that id, so a copy of this table signs nobody in.
CREATE TABLE sessions (
    id_hash BYTEA NOT NULL PRIMARY KEY,
    identity_id TEXT,
    sealed BYTEA NOT NULL,
    expires_at BIGINT NOT NULL
);
CREATE INDEX sessions_identity ON sessions (identity_id);
CREATE INDEX sessions_expiry ON sessions (expires_at);

-- Provider tokens of a session: found by a hash of a key that only the sealed session holds.
CREATE TABLE token_sets (
    key_hash BYTEA NOT NULL PRIMARY KEY,
    identity_id TEXT NOT NULL,
    sealed BYTEA NOT NULL,
    handed_out_at BIGINT,
    expires_at BIGINT NOT NULL
);
CREATE INDEX token_sets_identity ON token_sets (identity_id);
CREATE INDEX token_sets_expiry ON token_sets (expires_at);

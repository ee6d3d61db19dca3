-- ServiceAccounts that Kubelend makes on clusters, and the leases of their tokens.

-- As a grant: the row is what is wanted (`ended_at` or not), `state` how far the cluster has followed; the columns from `attempts`
-- on are those of grants. `uid` is that of the object which Kubelend made. Work on it is work on its leases, too.
CREATE TABLE service_accounts (
    id TEXT NOT NULL PRIMARY KEY,
    cluster_id TEXT NOT NULL REFERENCES clusters (id) ON DELETE CASCADE,
    namespace TEXT NOT NULL,
    name TEXT NOT NULL,
    uid TEXT,
    created_by TEXT NOT NULL REFERENCES identities (id),
    created_at BIGINT NOT NULL,
    ended_at BIGINT,
    state TEXT NOT NULL,
    state_detail TEXT,
    state_since BIGINT NOT NULL,
    attempts BIGINT NOT NULL,
    next_attempt BIGINT,
    leased_until BIGINT,
    revision BIGINT NOT NULL
);
-- The next one of a name is made once the last one is off the cluster.
CREATE UNIQUE INDEX service_accounts_once ON service_accounts (cluster_id, namespace, name) WHERE state <> 'removed';
CREATE INDEX service_accounts_due ON service_accounts (next_attempt) WHERE next_attempt IS NOT NULL;
CREATE INDEX service_accounts_cluster ON service_accounts (cluster_id, state);

-- A token of one: never the token itself. `secret_uid` is that of the Secret which the token is bound to, and dies with. Until
-- `issued_at` the token is being made, and `expires_at` says until when that is waited for; afterwards it is the token's own end.
-- `gone_at` is when the Secret of an ended one was off the cluster.
CREATE TABLE leases (
    id TEXT NOT NULL PRIMARY KEY,
    account_id TEXT NOT NULL REFERENCES service_accounts (id) ON DELETE CASCADE,
    lasts BIGINT NOT NULL,
    secret_uid TEXT,
    created_by TEXT NOT NULL REFERENCES identities (id),
    created_at BIGINT NOT NULL,
    issued_at BIGINT,
    expires_at BIGINT NOT NULL,
    ended TEXT,
    ended_at BIGINT,
    gone_at BIGINT
);
CREATE INDEX leases_account ON leases (account_id, id);
CREATE INDEX leases_expiring ON leases (expires_at) WHERE ended IS NULL;
CREATE INDEX leases_gone ON leases (gone_at) WHERE gone_at IS NOT NULL;

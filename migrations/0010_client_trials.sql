-- What a cluster last made of somebody's token of a provider's client: accepted (`refused` is NULL), or refused for a reason that
-- lies in its trust and not in the person, as JSON.
CREATE TABLE client_trials (
    cluster_id TEXT NOT NULL REFERENCES clusters (id) ON DELETE CASCADE,
    provider TEXT NOT NULL,
    client TEXT NOT NULL,
    identity_id TEXT NOT NULL,
    tested_at BIGINT NOT NULL,
    refused TEXT,
    PRIMARY KEY (cluster_id, provider, client)
);

-- For each cluster and provider the last test with the own token of somebody who looks after the cluster: who they were to the API
-- server and what was found, as JSON.
CREATE TABLE cluster_trials (
    cluster_id TEXT NOT NULL REFERENCES clusters (id) ON DELETE CASCADE,
    provider TEXT NOT NULL,
    trial TEXT NOT NULL,
    PRIMARY KEY (cluster_id, provider)
);

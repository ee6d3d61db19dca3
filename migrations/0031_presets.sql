-- Presets: how new clusters with certain labels name a provider's people.

-- Of a workspace, or (`workspace_id` NULL) of all. `selector` has the labels as in clusters; the mapping is as in cluster_trusts.
CREATE TABLE presets (
    id TEXT NOT NULL PRIMARY KEY,
    workspace_id TEXT REFERENCES workspaces (id) ON DELETE CASCADE,
    name TEXT NOT NULL,
    name_key TEXT NOT NULL,
    selector TEXT NOT NULL,
    weight BIGINT NOT NULL,
    provider TEXT NOT NULL,
    username_claim TEXT NOT NULL,
    username_prefix TEXT NOT NULL,
    groups_claim TEXT NOT NULL,
    groups_prefix TEXT NOT NULL,
    created_by TEXT NOT NULL REFERENCES identities (id),
    created_at BIGINT NOT NULL
);
CREATE UNIQUE INDEX presets_name ON presets (COALESCE(workspace_id, ''), name_key);

-- Which preset a cluster's mapping was taken over from, and what it was then: another one that stands in cluster_trusts was set by hand
-- since. The preset's name is kept beside its id, also once it has gone.
CREATE TABLE preset_takeovers (
    cluster_id TEXT NOT NULL REFERENCES clusters (id) ON DELETE CASCADE,
    provider TEXT NOT NULL,
    preset_id TEXT NOT NULL,
    preset_name TEXT NOT NULL,
    username_claim TEXT NOT NULL,
    username_prefix TEXT NOT NULL,
    groups_claim TEXT NOT NULL,
    groups_prefix TEXT NOT NULL,
    taken_at BIGINT NOT NULL,
    PRIMARY KEY (cluster_id, provider)
);

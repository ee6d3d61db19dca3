-- Which bindings on clusters are ours: those whose UIDs are here, and no others, whatever their labels say.

-- `namespace` is '' for a ClusterRoleBinding; `looks` is a digest of what it gave when it was last seen to stand. Rows stay after a
-- binding has been removed, so that one that comes back (a cluster restored from a backup) is known again.
CREATE TABLE bindings (
    grant_id TEXT NOT NULL REFERENCES grants (id) ON DELETE CASCADE,
    namespace TEXT NOT NULL,
    uid TEXT NOT NULL,
    looks TEXT NOT NULL,
    PRIMARY KEY (grant_id, namespace)
);

-- What a binding is marked with when it is made, drawn beforehand, and drawn anew whenever UIDs are kept: so one that was made by an
-- attempt that died before it kept the UID is known by it. NULL for grants that the version before made: its bindings are known by
-- their labels, once.
ALTER TABLE grants ADD COLUMN mark TEXT;

-- Which replica watches which cluster. A replica says that it lives by one row, however many clusters it watches.
CREATE TABLE watchers (
    holder TEXT NOT NULL PRIMARY KEY,
    until BIGINT NOT NULL
);
CREATE TABLE cluster_watches (
    cluster_id TEXT NOT NULL PRIMARY KEY REFERENCES clusters (id) ON DELETE CASCADE,
    holder TEXT NOT NULL REFERENCES watchers (holder) ON DELETE CASCADE
);
CREATE INDEX cluster_watches_holder ON cluster_watches (holder);

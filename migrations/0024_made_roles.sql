-- ClusterRoles and Roles that Kubelend makes on clusters, because a grant there needs them. Which are ours is told as for bindings: by
-- the UID, or, where none is kept yet, by the mark that an attempt which died has left.

-- `namespace` is '' for a ClusterRole. `looks` is a digest of what it allowed and of our labels when it was last seen to stand. `leaving`:
-- until when somebody is at deleting it, since nothing needs it any more; meanwhile nobody makes it.
CREATE TABLE made_roles (
    cluster_id TEXT NOT NULL REFERENCES clusters (id) ON DELETE CASCADE,
    namespace TEXT NOT NULL,
    name TEXT NOT NULL,
    mark TEXT NOT NULL,
    uid TEXT,
    looks TEXT,
    leaving BIGINT,
    PRIMARY KEY (cluster_id, namespace, name)
);

-- Custom roles: rules that are written once, of a workspace or (workspace_id NULL) of all. `role` is the role as grants have it, 'role:' and
-- the name of its ClusterRole; `rules` is JSON.
CREATE TABLE custom_roles (
    id TEXT NOT NULL PRIMARY KEY,
    workspace_id TEXT REFERENCES workspaces (id) ON DELETE CASCADE,
    name TEXT NOT NULL,
    role TEXT NOT NULL,
    rules TEXT NOT NULL,
    revision BIGINT NOT NULL,
    created_by TEXT NOT NULL REFERENCES identities (id),
    created_at BIGINT NOT NULL,
    changed_at BIGINT NOT NULL
);
CREATE UNIQUE INDEX custom_roles_name ON custom_roles (COALESCE(workspace_id, ''), name);
CREATE UNIQUE INDEX custom_roles_role ON custom_roles (role);

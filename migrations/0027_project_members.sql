-- Who is what in a project, and whom of its workspace's members it takes over.

-- Rows as in `members`.
CREATE TABLE project_members (
    project_id TEXT NOT NULL REFERENCES projects (id) ON DELETE CASCADE,
    member_key TEXT NOT NULL,
    identity_id TEXT REFERENCES identities (id),
    provider TEXT,
    member_name TEXT,
    role TEXT NOT NULL,
    since BIGINT NOT NULL,
    added_by TEXT NOT NULL REFERENCES identities (id),
    PRIMARY KEY (project_id, member_key)
);
-- What somebody is a member of.
CREATE INDEX project_members_reaching ON project_members (member_key, project_id);

-- Whether editors of the workspace are editors of the project, and its viewers viewers. Its owners always own it.
ALTER TABLE projects ADD COLUMN takes_editors BOOLEAN NOT NULL DEFAULT TRUE;
ALTER TABLE projects ADD COLUMN takes_viewers BOOLEAN NOT NULL DEFAULT TRUE;

-- Whether Kubelend makes the project's namespace where it is missing on one of its clusters.
ALTER TABLE projects ADD COLUMN makes_namespace BOOLEAN NOT NULL DEFAULT FALSE;

-- The namespaces that Kubelend has made. `uid` is NULL while one is being made; `mark` is on it then, and on nothing else.
CREATE TABLE project_namespaces (
    project_id TEXT NOT NULL REFERENCES projects (id) ON DELETE CASCADE,
    cluster_id TEXT NOT NULL REFERENCES clusters (id) ON DELETE CASCADE,
    mark TEXT NOT NULL,
    uid TEXT,
    made_at BIGINT,
    PRIMARY KEY (project_id, cluster_id)
);

-- Groups of our own as members of workspaces and of projects.
CREATE TABLE workspace_groups (
    workspace_id TEXT NOT NULL REFERENCES workspaces (id) ON DELETE CASCADE,
    group_id TEXT NOT NULL REFERENCES own_groups (id) ON DELETE CASCADE,
    role TEXT NOT NULL,
    since BIGINT NOT NULL,
    added_by TEXT NOT NULL REFERENCES identities (id),
    PRIMARY KEY (workspace_id, group_id)
);
CREATE INDEX workspace_groups_group ON workspace_groups (group_id);
CREATE TABLE project_groups (
    project_id TEXT NOT NULL REFERENCES projects (id) ON DELETE CASCADE,
    group_id TEXT NOT NULL REFERENCES own_groups (id) ON DELETE CASCADE,
    role TEXT NOT NULL,
    since BIGINT NOT NULL,
    added_by TEXT NOT NULL REFERENCES identities (id),
    PRIMARY KEY (project_id, group_id)
);
CREATE INDEX project_groups_group ON project_groups (group_id);

-- Whom each membership reaches, by the keys that they are found by: those of their own, and those of the Groups that they are in.
CREATE VIEW members_reached AS
    SELECT workspace_id, member_key, role FROM members
    UNION ALL
    SELECT g.workspace_id, m.member_key, g.role FROM workspace_groups g JOIN own_group_members m ON m.group_id = g.group_id;
CREATE VIEW project_members_reached AS
    SELECT project_id, member_key, role FROM project_members
    UNION ALL
    SELECT g.project_id, m.member_key, g.role FROM project_groups g JOIN own_group_members m ON m.group_id = g.group_id;

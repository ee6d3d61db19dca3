-- What a role that others define on a cluster let do when it was given, and on whose word: so that what has grown since is noticed.

-- `role_rules` is JSON: the rules as they stood, by the namespace of a Role, a ClusterRole's under the empty one; NULL for roles that
-- every cluster has, and for what was given before this was kept. `vouched_by` is the owner who gave what reached further than admin,
-- NULL where it did not.
ALTER TABLE grants ADD COLUMN role_rules TEXT;
ALTER TABLE grants ADD COLUMN vouched_by TEXT;
ALTER TABLE share_links ADD COLUMN role_rules TEXT;
ALTER TABLE share_links ADD COLUMN vouched_by TEXT;

-- What a share link's owner decides about it beyond 0001: for whom it is, how often it can be accepted, a note to the visitor, and
-- whether it rests for a while. A link from before is for anyone, any number of times, without a note, and not at rest.
--
-- `audience` holds a rule on each line (an email, '@' and a domain, 'group:' and a group) and is empty where anyone may;
-- `audience_provider` is whose people the rules mean. A role that is none of Kubernetes' three is 'role:' and the ClusterRole's
-- name, in share_links and in grants.

ALTER TABLE share_links ADD COLUMN max_uses BIGINT;
ALTER TABLE share_links ADD COLUMN audience TEXT NOT NULL DEFAULT '';
ALTER TABLE share_links ADD COLUMN audience_provider TEXT;
ALTER TABLE share_links ADD COLUMN note TEXT;
ALTER TABLE share_links ADD COLUMN paused_at BIGINT;

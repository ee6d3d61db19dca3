-- People who ask for access. A request waits until somebody answers it, whoever asked takes it back, or its time is up.

-- `role` and `namespaces` are as in grants; `lasts` is milliseconds from the answer on. `state` is 'pending', 'approved' (`grant_id` is
-- what was given), 'declined' (`word` is what was said), 'withdrawn' or 'lapsed'.
CREATE TABLE access_requests (
    id TEXT NOT NULL PRIMARY KEY,
    cluster_id TEXT NOT NULL REFERENCES clusters (id) ON DELETE CASCADE,
    identity_id TEXT NOT NULL REFERENCES identities (id),
    role TEXT NOT NULL,
    namespaces TEXT NOT NULL,
    lasts BIGINT,
    reason TEXT NOT NULL,
    asked_at BIGINT NOT NULL,
    until BIGINT NOT NULL,
    state TEXT NOT NULL,
    word TEXT,
    grant_id TEXT,
    closed_at BIGINT,
    closed_by TEXT REFERENCES identities (id)
);
-- The same is asked for once at a time, also when a form is sent twice at the same moment.
CREATE UNIQUE INDEX access_requests_once ON access_requests (cluster_id, identity_id, role, namespaces) WHERE state = 'pending';
-- What waits on a cluster, the longest first.
CREATE INDEX access_requests_waiting ON access_requests (cluster_id, id) WHERE state = 'pending';
-- What runs out.
CREATE INDEX access_requests_until ON access_requests (until) WHERE state = 'pending';
-- What somebody asked for, the latest first.
CREATE INDEX access_requests_of ON access_requests (identity_id, id);

-- What a cluster's credential is, and since when Kubelend has it, so that its page need not open it.
--
-- `kind` is 'token' or 'client_certificate'; NULL for one that was stored before this. The version before writes neither.
ALTER TABLE cluster_credentials ADD COLUMN kind TEXT;
ALTER TABLE cluster_credentials ADD COLUMN held_since BIGINT;
UPDATE cluster_credentials SET held_since = COALESCE(
    (SELECT MAX(e.at) FROM audit_events e
     WHERE e.cluster_id = cluster_credentials.cluster_id AND e.action = 'cluster.credentials_replaced'),
    (SELECT c.created_at FROM clusters c WHERE c.id = cluster_credentials.cluster_id)
);

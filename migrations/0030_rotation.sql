-- When the credential of a cluster ends, and the tokens that Kubelend gets for itself.

-- What is known of the credential that is held since `described_since`; the version before replaces one and knows nothing of this.
-- `ends_at` is NULL where there is no end, or none that it tells. `renew_at` is when a token that Kubelend got for itself makes way for the
-- next one; `renewal_trouble` is why the last attempt at that failed.
ALTER TABLE cluster_credentials ADD COLUMN described_since BIGINT;
ALTER TABLE cluster_credentials ADD COLUMN ends_at BIGINT;
ALTER TABLE cluster_credentials ADD COLUMN renew_at BIGINT;
ALTER TABLE cluster_credentials ADD COLUMN renewal_trouble TEXT;

-- The Secrets that tokens of Kubelend's own are bound to; never a token. `state` is 'making' (until `next_attempt` at most), 'held', or
-- 'ending' since `ended_at`: then the Secret has to go, and the row goes with it. `uid` is NULL until it is known.
CREATE TABLE own_tokens (
    id TEXT NOT NULL PRIMARY KEY,
    cluster_id TEXT NOT NULL REFERENCES clusters (id) ON DELETE CASCADE,
    namespace TEXT NOT NULL,
    account TEXT NOT NULL,
    secret TEXT NOT NULL,
    uid TEXT,
    state TEXT NOT NULL,
    attempts BIGINT NOT NULL,
    next_attempt BIGINT,
    trouble TEXT,
    ended_at BIGINT
);
CREATE INDEX own_tokens_cluster ON own_tokens (cluster_id, state);
CREATE INDEX own_tokens_due ON own_tokens (next_attempt) WHERE next_attempt IS NOT NULL;

-- What a person sees of their sessions, in plain words, and the token set that goes with each.
ALTER TABLE sessions ADD COLUMN made_at BIGINT;
ALTER TABLE sessions ADD COLUMN seen_at BIGINT;
ALTER TABLE sessions ADD COLUMN browser TEXT;
ALTER TABLE sessions ADD COLUMN seen_from TEXT;
ALTER TABLE sessions ADD COLUMN tokens_hash BYTEA;

-- Values that belong to this installation, such as the key of API-key checksums. Written once, on first start.
CREATE TABLE installation (
    name  TEXT COLLATE "C" PRIMARY KEY NOT NULL,
    value BYTEA NOT NULL
);

-- API keys. The secret itself is never stored: `hash` is an Argon2id string.
-- Text that is compared or sorted has the collation "C", so that every database puts rows in the order of SQLite.
CREATE TABLE api_keys (
    id           TEXT COLLATE "C" PRIMARY KEY NOT NULL,
    tenant       TEXT COLLATE "C" NOT NULL,
    name         TEXT NOT NULL,
    scopes       JSONB NOT NULL,
    hash         TEXT NOT NULL,
    created_at   TIMESTAMPTZ NOT NULL CHECK (isfinite(created_at)),
    last_used_at TIMESTAMPTZ CHECK (isfinite(last_used_at)),
    revoked_at   TIMESTAMPTZ CHECK (isfinite(revoked_at))
);

CREATE INDEX api_keys_by_tenant ON api_keys (tenant, created_at, id);

-- The second wall: a statement sees the rows of the tenant that its transaction has named, also when its WHERE is
-- forgotten. Forced, because the owner of the tables may be the one who works on them.
ALTER TABLE api_keys ENABLE ROW LEVEL SECURITY;
ALTER TABLE api_keys FORCE ROW LEVEL SECURITY;

CREATE POLICY of_the_tenant ON api_keys
    USING (tenant = NULLIF(current_setting('antiphon.tenant', true), ''));

-- Whoever comes with a key has no tenant yet: the key says whose it is. The transaction names the one id it was given
-- and may read that one row.
CREATE POLICY of_the_key ON api_keys FOR SELECT
    USING (id = NULLIF(current_setting('antiphon.key', true), ''));

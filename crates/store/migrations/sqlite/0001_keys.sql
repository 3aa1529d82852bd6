-- Values that belong to this installation, such as the key of API-key checksums. Written once, on first start.
CREATE TABLE installation (
    name  TEXT PRIMARY KEY NOT NULL,
    value BLOB NOT NULL
);

-- API keys. The secret itself is never stored: `hash` is an Argon2id string.
CREATE TABLE api_keys (
    id           TEXT PRIMARY KEY NOT NULL,
    tenant       TEXT NOT NULL,
    name         TEXT NOT NULL,
    scopes       TEXT NOT NULL,
    hash         TEXT NOT NULL,
    created_at   TEXT NOT NULL,
    last_used_at TEXT,
    revoked_at   TEXT
);

CREATE INDEX api_keys_by_tenant ON api_keys (tenant, created_at, id);

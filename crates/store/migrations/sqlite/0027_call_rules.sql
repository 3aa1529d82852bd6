-- Whom a tenant must not call, and who has agreed to what. People are found by a keyed print of their number; the number
-- lies in `content`, sealed when there are keys for it.
CREATE TABLE do_not_call (
    tenant     TEXT NOT NULL,
    callee     TEXT NOT NULL,
    source     TEXT NOT NULL,
    content    BLOB NOT NULL,
    created_at TEXT NOT NULL,
    PRIMARY KEY (tenant, callee)
);

CREATE TABLE consents (
    tenant     TEXT NOT NULL,
    callee     TEXT NOT NULL,
    kind       TEXT NOT NULL,
    source     TEXT NOT NULL,
    content    BLOB NOT NULL,
    granted_at TEXT NOT NULL,
    expires_at TEXT,
    revoked_at TEXT,
    PRIMARY KEY (tenant, callee, kind)
);

-- Numbers of ours: whose a call to one is, and who answers it. A number belongs to one tenant.
CREATE TABLE phone_numbers (
    number     TEXT NOT NULL PRIMARY KEY,
    tenant     TEXT NOT NULL,
    project    TEXT NOT NULL,
    agent      TEXT NOT NULL,
    provider   TEXT NOT NULL,
    account    TEXT NOT NULL,
    created_at TEXT NOT NULL,
    updated_at TEXT NOT NULL
);

CREATE INDEX phone_numbers_by_tenant ON phone_numbers (tenant, number);

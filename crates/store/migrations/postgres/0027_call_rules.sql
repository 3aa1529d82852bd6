-- Whom a tenant must not call, and who has agreed to what. People are found by a keyed print of their number; the number
-- lies in `content`, sealed when there are keys for it.
CREATE TABLE do_not_call (
    tenant     TEXT COLLATE "C" NOT NULL,
    callee     TEXT COLLATE "C" NOT NULL,
    source     TEXT COLLATE "C" NOT NULL,
    content    BYTEA NOT NULL,
    created_at TIMESTAMPTZ NOT NULL CHECK (isfinite(created_at)),
    PRIMARY KEY (tenant, callee)
);

CREATE TABLE consents (
    tenant     TEXT COLLATE "C" NOT NULL,
    callee     TEXT COLLATE "C" NOT NULL,
    kind       TEXT COLLATE "C" NOT NULL,
    source     TEXT COLLATE "C" NOT NULL,
    content    BYTEA NOT NULL,
    granted_at TIMESTAMPTZ NOT NULL CHECK (isfinite(granted_at)),
    expires_at TIMESTAMPTZ CHECK (isfinite(expires_at)),
    revoked_at TIMESTAMPTZ CHECK (isfinite(revoked_at)),
    PRIMARY KEY (tenant, callee, kind)
);

-- Numbers of ours: whose a call to one is, and who answers it. A number belongs to one tenant.
CREATE TABLE phone_numbers (
    number     TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    tenant     TEXT COLLATE "C" NOT NULL,
    project    TEXT COLLATE "C" NOT NULL,
    agent      TEXT COLLATE "C" NOT NULL,
    provider   TEXT COLLATE "C" NOT NULL,
    account    TEXT COLLATE "C" NOT NULL,
    created_at TIMESTAMPTZ NOT NULL CHECK (isfinite(created_at)),
    updated_at TIMESTAMPTZ NOT NULL CHECK (isfinite(updated_at))
);

CREATE INDEX phone_numbers_by_tenant ON phone_numbers (tenant, number);

ALTER TABLE do_not_call ENABLE ROW LEVEL SECURITY;
ALTER TABLE do_not_call FORCE ROW LEVEL SECURITY;

CREATE POLICY of_the_tenant ON do_not_call
    USING (tenant = NULLIF(current_setting('antiphon.tenant', true), ''));

ALTER TABLE consents ENABLE ROW LEVEL SECURITY;
ALTER TABLE consents FORCE ROW LEVEL SECURITY;

CREATE POLICY of_the_tenant ON consents
    USING (tenant = NULLIF(current_setting('antiphon.tenant', true), ''));

ALTER TABLE phone_numbers ENABLE ROW LEVEL SECURITY;
ALTER TABLE phone_numbers FORCE ROW LEVEL SECURITY;

CREATE POLICY of_the_tenant ON phone_numbers
    USING (tenant = NULLIF(current_setting('antiphon.tenant', true), ''));

-- A call comes in to a number before anybody knows whose it is: work that names the number sees its row, and changes
-- nothing.
CREATE POLICY of_the_line ON phone_numbers FOR SELECT
    USING (number = NULLIF(current_setting('antiphon.line', true), ''));

-- What the text survey knows for minutes, on installations without Redis. Codes are kept as prints, under a print of the
-- mailbox they were sent to.
CREATE TABLE survey_codes (
    tenant     TEXT COLLATE "C" NOT NULL,
    mailbox    TEXT COLLATE "C" NOT NULL,
    code       TEXT COLLATE "C" NOT NULL,
    tries      BIGINT NOT NULL,
    created_at TIMESTAMPTZ NOT NULL CHECK (isfinite(created_at)),
    expires_at TIMESTAMPTZ NOT NULL CHECK (isfinite(expires_at)),
    PRIMARY KEY (tenant, mailbox, code)
);

CREATE INDEX survey_codes_by_age ON survey_codes (tenant, expires_at);

-- Dialogues whose clients may come back, under a print of the secret that they come back with.
CREATE TABLE survey_dialogues (
    tenant     TEXT COLLATE "C" NOT NULL,
    id         TEXT COLLATE "C" NOT NULL,
    version    BIGINT NOT NULL,
    content    BYTEA NOT NULL,
    expires_at TIMESTAMPTZ NOT NULL CHECK (isfinite(expires_at)),
    PRIMARY KEY (tenant, id)
);

CREATE INDEX survey_dialogues_by_age ON survey_dialogues (tenant, expires_at);

ALTER TABLE survey_codes ENABLE ROW LEVEL SECURITY;
ALTER TABLE survey_codes FORCE ROW LEVEL SECURITY;

CREATE POLICY of_the_tenant ON survey_codes
    USING (tenant = NULLIF(current_setting('antiphon.tenant', true), ''));

ALTER TABLE survey_dialogues ENABLE ROW LEVEL SECURITY;
ALTER TABLE survey_dialogues FORCE ROW LEVEL SECURITY;

CREATE POLICY of_the_tenant ON survey_dialogues
    USING (tenant = NULLIF(current_setting('antiphon.tenant', true), ''));

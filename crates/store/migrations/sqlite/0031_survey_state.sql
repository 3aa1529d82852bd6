-- What the text survey knows for minutes, on installations without Redis. Codes are kept as prints, under a print of the
-- mailbox they were sent to.
CREATE TABLE survey_codes (
    tenant     TEXT NOT NULL,
    mailbox    TEXT NOT NULL,
    code       TEXT NOT NULL,
    tries      INTEGER NOT NULL,
    created_at TEXT NOT NULL,
    expires_at TEXT NOT NULL,
    PRIMARY KEY (tenant, mailbox, code)
);

CREATE INDEX survey_codes_by_age ON survey_codes (tenant, expires_at);

-- Dialogues whose clients may come back, under a print of the secret that they come back with.
CREATE TABLE survey_dialogues (
    tenant     TEXT NOT NULL,
    id         TEXT NOT NULL,
    version    INTEGER NOT NULL,
    content    BLOB NOT NULL,
    expires_at TEXT NOT NULL,
    PRIMARY KEY (tenant, id)
);

CREATE INDEX survey_dialogues_by_age ON survey_dialogues (tenant, expires_at);

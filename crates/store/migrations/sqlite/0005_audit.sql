-- What administrators did. Each entry has the hash of the one before it, so that a change shows (`antiphon audit verify`).
-- `before_state` and `after_state` are JSON kept as text: the hash is over these very characters.
CREATE TABLE audit_log (
    tenant       TEXT NOT NULL,
    seq          INTEGER NOT NULL,
    at           TEXT NOT NULL,
    actor        TEXT NOT NULL,
    action       TEXT NOT NULL,
    resource     TEXT NOT NULL,
    before_state TEXT,
    after_state  TEXT,
    ip           TEXT,
    request_id   TEXT,
    previous     TEXT NOT NULL,
    hash         TEXT NOT NULL,
    PRIMARY KEY (tenant, seq)
);

-- The last entry of every tenant: the next one continues there, and entries cut off at the end are missed.
CREATE TABLE audit_heads (
    tenant TEXT PRIMARY KEY NOT NULL,
    seq    INTEGER NOT NULL,
    hash   TEXT NOT NULL
);

CREATE TRIGGER audit_log_is_never_changed BEFORE UPDATE ON audit_log
BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END;

CREATE TRIGGER audit_log_is_never_deleted BEFORE DELETE ON audit_log
BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END;

-- What administrators did. Each entry has the hash of the one before it, so that a change shows (`antiphon audit verify`).
-- `before_state` and `after_state` are JSON kept as text: the hash is over these very characters.
CREATE TABLE audit_log (
    tenant       TEXT COLLATE "C" NOT NULL,
    seq          BIGINT NOT NULL,
    at           TIMESTAMPTZ NOT NULL CHECK (isfinite(at)),
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
    tenant TEXT COLLATE "C" PRIMARY KEY NOT NULL,
    seq    BIGINT NOT NULL,
    hash   TEXT NOT NULL
);

CREATE FUNCTION audit_log_is_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the audit log is append-only';
END
$$;

CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_log
    FOR EACH STATEMENT EXECUTE FUNCTION audit_log_is_append_only();

ALTER TABLE audit_log ENABLE ROW LEVEL SECURITY;
ALTER TABLE audit_log FORCE ROW LEVEL SECURITY;
ALTER TABLE audit_heads ENABLE ROW LEVEL SECURITY;
ALTER TABLE audit_heads FORCE ROW LEVEL SECURITY;

CREATE POLICY of_the_tenant ON audit_log
    USING (tenant = NULLIF(current_setting('antiphon.tenant', true), ''));
CREATE POLICY of_the_tenant ON audit_heads
    USING (tenant = NULLIF(current_setting('antiphon.tenant', true), ''));
CREATE POLICY of_the_operator ON audit_heads FOR SELECT
    USING (current_setting('antiphon.operator', true) = 'on');

-- Where a tenant wants to be told what happened. `events` is a JSON list of kinds, empty for all; `secrets` signs what is
-- sent and is sealed when there are keys for it.
CREATE TABLE webhook_endpoints (
    tenant      TEXT COLLATE "C" NOT NULL,
    id          TEXT COLLATE "C" NOT NULL,
    url         TEXT NOT NULL,
    description TEXT NOT NULL,
    events      TEXT NOT NULL,
    enabled     BOOLEAN NOT NULL,
    problem     TEXT,
    secrets     BYTEA NOT NULL,
    created_at  TIMESTAMPTZ NOT NULL CHECK (isfinite(created_at)),
    updated_at  TIMESTAMPTZ NOT NULL CHECK (isfinite(updated_at)),
    version     BIGINT NOT NULL,
    PRIMARY KEY (tenant, id)
);

ALTER TABLE webhook_endpoints ENABLE ROW LEVEL SECURITY;
ALTER TABLE webhook_endpoints FORCE ROW LEVEL SECURITY;

CREATE POLICY of_the_tenant ON webhook_endpoints
    USING (tenant = NULLIF(current_setting('antiphon.tenant', true), ''));

-- The outbox is claimed: whoever works it off reads and changes rows of all tenants, and removes those that are over; it makes none.
DROP POLICY of_the_outbox ON outbox;
CREATE POLICY of_the_outbox ON outbox FOR SELECT
    USING (current_setting('antiphon.outbox', true) = 'on');
CREATE POLICY of_the_outbox_sweep ON outbox FOR DELETE
    USING (current_setting('antiphon.outbox', true) = 'on');
CREATE POLICY of_the_outbox_claim ON outbox FOR UPDATE
    USING (current_setting('antiphon.outbox', true) = 'on');

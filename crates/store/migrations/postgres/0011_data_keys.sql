-- Keys that seal what was said, a row of them for each tenant; the last one seals, all of them open. Wrapped by the keys
-- of the configuration or by Vault: what is here opens nothing.
CREATE TABLE data_keys (
    tenant  TEXT COLLATE "C" NOT NULL,
    number  BIGINT NOT NULL,
    wrapped TEXT NOT NULL,
    PRIMARY KEY (tenant, number)
);

ALTER TABLE data_keys ENABLE ROW LEVEL SECURITY;
ALTER TABLE data_keys FORCE ROW LEVEL SECURITY;

CREATE POLICY of_the_tenant ON data_keys
    USING (tenant = NULLIF(current_setting('antiphon.tenant', true), ''));

-- A new wrapping key wraps the keys of all tenants anew: they are found by work that says so, and changed one by one.
CREATE POLICY of_maintenance ON data_keys FOR SELECT
    USING (current_setting('antiphon.maintenance', true) = 'on');

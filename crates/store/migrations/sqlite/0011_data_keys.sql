-- Keys that seal what was said, a row of them for each tenant; the last one seals, all of them open. Wrapped by the keys
-- of the configuration or by Vault: what is here opens nothing.
CREATE TABLE data_keys (
    tenant  TEXT NOT NULL,
    number  INTEGER NOT NULL,
    wrapped TEXT NOT NULL,
    PRIMARY KEY (tenant, number)
);

-- Where a tenant wants to be told what happened. `events` is a JSON list of kinds, empty for all; `secrets` signs what is
-- sent and is sealed when there are keys for it.
CREATE TABLE webhook_endpoints (
    tenant      TEXT NOT NULL,
    id          TEXT NOT NULL,
    url         TEXT NOT NULL,
    description TEXT NOT NULL,
    events      TEXT NOT NULL,
    enabled     BOOLEAN NOT NULL,
    problem     TEXT,
    secrets     BLOB NOT NULL,
    created_at  TEXT NOT NULL,
    updated_at  TEXT NOT NULL,
    version     INTEGER NOT NULL,
    PRIMARY KEY (tenant, id)
);

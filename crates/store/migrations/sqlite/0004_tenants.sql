-- Tenants: who is a customer of this installation. `limits` is JSON: what differs from the limits of the plan.
CREATE TABLE tenants (
    id         TEXT PRIMARY KEY NOT NULL,
    name       TEXT NOT NULL,
    plan       TEXT NOT NULL,
    status     TEXT NOT NULL CHECK (status IN ('active', 'suspended', 'deleted')),
    reason     TEXT,
    limits     TEXT NOT NULL,
    created_at TEXT NOT NULL,
    updated_at TEXT NOT NULL
);

CREATE INDEX tenants_by_change ON tenants (updated_at);

-- Projects: a tenant's keys and agents in groups.
CREATE TABLE projects (
    tenant      TEXT NOT NULL,
    id          TEXT NOT NULL,
    name        TEXT NOT NULL,
    environment TEXT NOT NULL,
    created_at  TEXT NOT NULL,
    updated_at  TEXT NOT NULL,
    PRIMARY KEY (tenant, id)
);

-- Whose keys and agents there have been until now.
INSERT INTO tenants VALUES ('default', 'Default', 'enterprise', 'active', NULL, '{}',
    strftime('%Y-%m-%dT%H:%M:%S+00:00', 'now'), strftime('%Y-%m-%dT%H:%M:%S+00:00', 'now'));
INSERT INTO projects VALUES ('default', 'default', 'Default', 'production',
    strftime('%Y-%m-%dT%H:%M:%S+00:00', 'now'), strftime('%Y-%m-%dT%H:%M:%S+00:00', 'now'));

ALTER TABLE api_keys ADD COLUMN project TEXT NOT NULL DEFAULT 'default';

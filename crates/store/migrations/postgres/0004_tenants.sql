-- Tenants: who is a customer of this installation. `limits` is JSON: what differs from the limits of the plan.
CREATE TABLE tenants (
    id         TEXT COLLATE "C" PRIMARY KEY NOT NULL,
    name       TEXT NOT NULL,
    plan       TEXT NOT NULL,
    status     TEXT COLLATE "C" NOT NULL CHECK (status IN ('active', 'suspended', 'deleted')),
    reason     TEXT,
    limits     JSONB NOT NULL,
    created_at TIMESTAMPTZ NOT NULL CHECK (isfinite(created_at)),
    updated_at TIMESTAMPTZ NOT NULL CHECK (isfinite(updated_at))
);

CREATE INDEX tenants_by_change ON tenants (updated_at);

-- Projects: a tenant's keys and agents in groups.
CREATE TABLE projects (
    tenant      TEXT COLLATE "C" NOT NULL,
    id          TEXT COLLATE "C" NOT NULL,
    name        TEXT NOT NULL,
    environment TEXT COLLATE "C" NOT NULL,
    created_at  TIMESTAMPTZ NOT NULL CHECK (isfinite(created_at)),
    updated_at  TIMESTAMPTZ NOT NULL CHECK (isfinite(updated_at)),
    PRIMARY KEY (tenant, id)
);

-- Whose keys and agents there have been until now.
INSERT INTO tenants VALUES ('default', 'Default', 'enterprise', 'active', NULL, '{}', now(), now());
INSERT INTO projects VALUES ('default', 'default', 'Default', 'production', now(), now());

ALTER TABLE api_keys ADD COLUMN project TEXT COLLATE "C" NOT NULL DEFAULT 'default';

ALTER TABLE tenants ENABLE ROW LEVEL SECURITY;
ALTER TABLE tenants FORCE ROW LEVEL SECURITY;
ALTER TABLE projects ENABLE ROW LEVEL SECURITY;
ALTER TABLE projects FORCE ROW LEVEL SECURITY;

CREATE POLICY of_the_tenant ON tenants
    USING (id = NULLIF(current_setting('antiphon.tenant', true), ''));
-- Whoever comes with a key is told whether its tenant may come in.
CREATE POLICY of_the_key ON tenants FOR SELECT
    USING (id IN (SELECT tenant FROM api_keys
                  WHERE api_keys.id = NULLIF(current_setting('antiphon.key', true), '')));
-- Whoever runs the installation sees every tenant's record, and of no other table more than one tenant's rows.
CREATE POLICY of_the_operator ON tenants
    USING (current_setting('antiphon.operator', true) = 'on');

CREATE POLICY of_the_tenant ON projects
    USING (tenant = NULLIF(current_setting('antiphon.tenant', true), ''));

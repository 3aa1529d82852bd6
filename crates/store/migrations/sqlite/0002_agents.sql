-- Agents: who answers, under a name. `spec` is JSON as the REST interface takes it.
CREATE TABLE agents (
    tenant     TEXT NOT NULL,
    project    TEXT NOT NULL,
    name       TEXT NOT NULL,
    spec       TEXT NOT NULL,
    created_at TEXT NOT NULL,
    updated_at TEXT NOT NULL,
    PRIMARY KEY (tenant, project, name)
);

-- Chat rooms that we keep ourselves, where no application does. What is plain is what work has to be found by; what was said,
-- and the names and addresses of those who said it, lie in `content`, sealed when there are keys for it.
CREATE TABLE chat_rooms (
    tenant      TEXT COLLATE "C" NOT NULL,
    id          TEXT COLLATE "C" NOT NULL,
    status      TEXT COLLATE "C" NOT NULL CHECK (status IN ('active', 'archived', 'deleted')),
    answered_by TEXT COLLATE "C" NOT NULL CHECK (answered_by IN ('agent', 'human')),
    assigned_to TEXT COLLATE "C",
    assigned_at TIMESTAMPTZ CHECK (isfinite(assigned_at)),
    created_at  TIMESTAMPTZ NOT NULL CHECK (isfinite(created_at)),
    updated_at  TIMESTAMPTZ NOT NULL CHECK (isfinite(updated_at)),
    PRIMARY KEY (tenant, id)
);

CREATE INDEX chat_rooms_by_time ON chat_rooms (tenant, updated_at, id);

ALTER TABLE chat_rooms ENABLE ROW LEVEL SECURITY;
ALTER TABLE chat_rooms FORCE ROW LEVEL SECURITY;

CREATE POLICY of_the_tenant ON chat_rooms
    USING (tenant = NULLIF(current_setting('antiphon.tenant', true), ''));

CREATE TABLE chat_messages (
    tenant     TEXT COLLATE "C" NOT NULL,
    chat       TEXT COLLATE "C" NOT NULL,
    id         TEXT COLLATE "C" NOT NULL,
    role       TEXT COLLATE "C" NOT NULL CHECK (role IN ('USER', 'ASSISTANT', 'AGENT', 'SYSTEM')),
    sender     TEXT COLLATE "C" NOT NULL,
    content    BYTEA NOT NULL,
    created_at TIMESTAMPTZ NOT NULL CHECK (isfinite(created_at)),
    updated_at TIMESTAMPTZ CHECK (isfinite(updated_at)),
    PRIMARY KEY (tenant, chat, id),
    FOREIGN KEY (tenant, chat) REFERENCES chat_rooms (tenant, id) ON DELETE CASCADE
);

CREATE INDEX chat_messages_by_time ON chat_messages (tenant, chat, created_at, id);

ALTER TABLE chat_messages ENABLE ROW LEVEL SECURITY;
ALTER TABLE chat_messages FORCE ROW LEVEL SECURITY;

CREATE POLICY of_the_tenant ON chat_messages
    USING (tenant = NULLIF(current_setting('antiphon.tenant', true), ''));

-- How far somebody has read.
CREATE TABLE chat_reads (
    tenant  TEXT COLLATE "C" NOT NULL,
    chat    TEXT COLLATE "C" NOT NULL,
    reader  TEXT COLLATE "C" NOT NULL,
    message TEXT COLLATE "C" NOT NULL,
    said_at TIMESTAMPTZ NOT NULL CHECK (isfinite(said_at)),
    read_at TIMESTAMPTZ NOT NULL CHECK (isfinite(read_at)),
    PRIMARY KEY (tenant, chat, reader),
    FOREIGN KEY (tenant, chat) REFERENCES chat_rooms (tenant, id) ON DELETE CASCADE
);

ALTER TABLE chat_reads ENABLE ROW LEVEL SECURITY;
ALTER TABLE chat_reads FORCE ROW LEVEL SECURITY;

CREATE POLICY of_the_tenant ON chat_reads
    USING (tenant = NULLIF(current_setting('antiphon.tenant', true), ''));

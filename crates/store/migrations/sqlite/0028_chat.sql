-- Chat rooms that we keep ourselves, where no application does. What is plain is what work has to be found by; what was said,
-- and the names and addresses of those who said it, lie in `content`, sealed when there are keys for it.
CREATE TABLE chat_rooms (
    tenant      TEXT NOT NULL,
    id          TEXT NOT NULL,
    status      TEXT NOT NULL CHECK (status IN ('active', 'archived', 'deleted')),
    answered_by TEXT NOT NULL CHECK (answered_by IN ('agent', 'human')),
    assigned_to TEXT,
    assigned_at TEXT,
    created_at  TEXT NOT NULL,
    updated_at  TEXT NOT NULL,
    PRIMARY KEY (tenant, id)
);

CREATE INDEX chat_rooms_by_time ON chat_rooms (tenant, updated_at, id);

CREATE TABLE chat_messages (
    tenant     TEXT NOT NULL,
    chat       TEXT NOT NULL,
    id         TEXT NOT NULL,
    role       TEXT NOT NULL CHECK (role IN ('USER', 'ASSISTANT', 'AGENT', 'SYSTEM')),
    sender     TEXT NOT NULL,
    content    BLOB NOT NULL,
    created_at TEXT NOT NULL,
    updated_at TEXT,
    PRIMARY KEY (tenant, chat, id),
    FOREIGN KEY (tenant, chat) REFERENCES chat_rooms (tenant, id) ON DELETE CASCADE
);

CREATE INDEX chat_messages_by_time ON chat_messages (tenant, chat, created_at, id);

-- How far somebody has read.
CREATE TABLE chat_reads (
    tenant  TEXT NOT NULL,
    chat    TEXT NOT NULL,
    reader  TEXT NOT NULL,
    message TEXT NOT NULL,
    said_at TEXT NOT NULL,
    read_at TEXT NOT NULL,
    PRIMARY KEY (tenant, chat, reader),
    FOREIGN KEY (tenant, chat) REFERENCES chat_rooms (tenant, id) ON DELETE CASCADE
);

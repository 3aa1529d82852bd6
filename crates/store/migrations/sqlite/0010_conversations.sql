-- Conversations: one row a session, one row an item. `settings` and `content` are sealed when there are keys for it.
CREATE TABLE sessions (
    tenant     TEXT NOT NULL,
    id         TEXT NOT NULL,
    started_at TEXT NOT NULL,
    project    TEXT NOT NULL,
    model      TEXT NOT NULL,
    settings   BLOB NOT NULL,
    revision   INTEGER NOT NULL,
    ended_at   TEXT,
    outcome    TEXT,
    PRIMARY KEY (tenant, id),
    UNIQUE (tenant, id, started_at)
);

CREATE INDEX sessions_by_start ON sessions (started_at, tenant, id);

-- An item lies where its session began: one conversation is in one place, and goes as a whole.
CREATE TABLE conversation_items (
    tenant     TEXT NOT NULL,
    session_at TEXT NOT NULL,
    session    TEXT NOT NULL,
    id         TEXT NOT NULL,
    position   INTEGER NOT NULL,
    revision   INTEGER NOT NULL,
    created_at TEXT NOT NULL,
    content    BLOB NOT NULL,
    PRIMARY KEY (tenant, session_at, session, id),
    FOREIGN KEY (tenant, session, session_at) REFERENCES sessions (tenant, id, started_at) ON DELETE CASCADE
);

CREATE INDEX conversation_items_in_order ON conversation_items (tenant, session, position, id, revision, created_at);

-- Sessions of the app voice socket, one row a session, written as they go on. Money is in micro-dollars; the columns in
-- dollars are made of it, so that nobody can write one without the other.
CREATE TABLE voice_sessions (
    tenant            TEXT NOT NULL,
    session_id        TEXT NOT NULL,
    id                TEXT NOT NULL,
    session           TEXT NOT NULL,
    project           TEXT NOT NULL,
    user_id           TEXT NOT NULL,
    conversation_id   TEXT,
    start_time        TEXT NOT NULL,
    end_time          TEXT,
    duration_ms       INTEGER NOT NULL,
    status            TEXT NOT NULL CHECK (status IN ('initializing', 'connected', 'listening', 'transcribing', 'thinking',
                      'speaking', 'ended', 'error')),
    stt_requests      INTEGER NOT NULL DEFAULT 0,
    stt_duration_ms   INTEGER NOT NULL DEFAULT 0,
    llm_tokens_input  INTEGER NOT NULL DEFAULT 0,
    llm_tokens_output INTEGER NOT NULL DEFAULT 0,
    llm_latency_ms    INTEGER NOT NULL DEFAULT 0,
    tts_characters    INTEGER NOT NULL DEFAULT 0,
    tts_latency_ms    INTEGER NOT NULL DEFAULT 0,
    total_latency_ms  INTEGER NOT NULL DEFAULT 0,
    stt_micros        INTEGER NOT NULL DEFAULT 0,
    llm_micros        INTEGER NOT NULL DEFAULT 0,
    tts_micros        INTEGER NOT NULL DEFAULT 0,
    total_micros      INTEGER NOT NULL DEFAULT 0,
    stt_cost          REAL GENERATED ALWAYS AS (stt_micros / 1000000.0) STORED,
    llm_cost          REAL GENERATED ALWAYS AS (llm_micros / 1000000.0) STORED,
    tts_cost          REAL GENERATED ALWAYS AS (tts_micros / 1000000.0) STORED,
    total_cost        REAL GENERATED ALWAYS AS (total_micros / 1000000.0) STORED,
    estimated_cost    REAL GENERATED ALWAYS AS (total_micros / 1000000.0) STORED,
    error_message     TEXT,
    error_count       INTEGER NOT NULL DEFAULT 0,
    client_info       TEXT NOT NULL,
    created_at        TEXT NOT NULL,
    updated_at        TEXT NOT NULL,
    PRIMARY KEY (tenant, session_id)
);

CREATE INDEX voice_sessions_by_user ON voice_sessions (tenant, user_id, updated_at);
CREATE INDEX voice_sessions_by_time ON voice_sessions (tenant, created_at);
CREATE INDEX voice_sessions_running ON voice_sessions (tenant, updated_at) WHERE end_time IS NULL;

-- What was said in them. `content` is sealed when there are keys for it.
CREATE TABLE messages (
    tenant          TEXT NOT NULL,
    id              TEXT NOT NULL,
    session_id      TEXT NOT NULL,
    conversation_id TEXT,
    user_id         TEXT NOT NULL,
    role            TEXT NOT NULL CHECK (role IN ('user', 'assistant')),
    type            TEXT NOT NULL DEFAULT 'text',
    content         BLOB NOT NULL,
    metadata        TEXT NOT NULL,
    created_at      TEXT NOT NULL,
    PRIMARY KEY (tenant, id),
    FOREIGN KEY (tenant, session_id) REFERENCES voice_sessions (tenant, session_id) ON DELETE CASCADE
);

CREATE INDEX messages_by_conversation ON messages (tenant, conversation_id, created_at);
CREATE INDEX messages_by_session ON messages (tenant, session_id, created_at);

-- What a session used, once for each.
CREATE TABLE usage_logs (
    tenant         TEXT NOT NULL,
    session_id     TEXT NOT NULL,
    user_id        TEXT NOT NULL,
    event          TEXT NOT NULL,
    feature        TEXT NOT NULL,
    tier           TEXT NOT NULL,
    tokens_used    INTEGER NOT NULL,
    cost_micros    INTEGER NOT NULL,
    estimated_cost REAL GENERATED ALWAYS AS (cost_micros / 1000000.0) STORED,
    metadata       TEXT NOT NULL,
    created_at     TEXT NOT NULL,
    PRIMARY KEY (tenant, session_id),
    FOREIGN KEY (tenant, session_id) REFERENCES voice_sessions (tenant, session_id) ON DELETE CASCADE
);

CREATE INDEX usage_logs_by_user ON usage_logs (tenant, user_id, created_at);

-- Sessions of the app voice socket, one row a session, written as they go on. Money is in micro-dollars; the columns in
-- dollars are made of it, so that nobody can write one without the other.
CREATE TABLE voice_sessions (
    tenant            TEXT COLLATE "C" NOT NULL,
    session_id        TEXT COLLATE "C" NOT NULL,
    id                TEXT COLLATE "C" NOT NULL,
    session           TEXT COLLATE "C" NOT NULL,
    project           TEXT COLLATE "C" NOT NULL,
    user_id           TEXT COLLATE "C" NOT NULL,
    conversation_id   TEXT COLLATE "C",
    start_time        TIMESTAMPTZ NOT NULL CHECK (isfinite(start_time)),
    end_time          TIMESTAMPTZ CHECK (isfinite(end_time)),
    duration_ms       BIGINT NOT NULL,
    status            TEXT NOT NULL CHECK (status IN ('initializing', 'connected', 'listening', 'transcribing', 'thinking',
                      'speaking', 'ended', 'error')),
    stt_requests      BIGINT NOT NULL DEFAULT 0,
    stt_duration_ms   BIGINT NOT NULL DEFAULT 0,
    llm_tokens_input  BIGINT NOT NULL DEFAULT 0,
    llm_tokens_output BIGINT NOT NULL DEFAULT 0,
    llm_latency_ms    BIGINT NOT NULL DEFAULT 0,
    tts_characters    BIGINT NOT NULL DEFAULT 0,
    tts_latency_ms    BIGINT NOT NULL DEFAULT 0,
    total_latency_ms  BIGINT NOT NULL DEFAULT 0,
    stt_micros        BIGINT NOT NULL DEFAULT 0,
    llm_micros        BIGINT NOT NULL DEFAULT 0,
    tts_micros        BIGINT NOT NULL DEFAULT 0,
    total_micros      BIGINT NOT NULL DEFAULT 0,
    stt_cost          NUMERIC(14, 6) GENERATED ALWAYS AS (stt_micros / 1000000.0) STORED,
    llm_cost          NUMERIC(14, 6) GENERATED ALWAYS AS (llm_micros / 1000000.0) STORED,
    tts_cost          NUMERIC(14, 6) GENERATED ALWAYS AS (tts_micros / 1000000.0) STORED,
    total_cost        NUMERIC(14, 6) GENERATED ALWAYS AS (total_micros / 1000000.0) STORED,
    estimated_cost    NUMERIC(14, 6) GENERATED ALWAYS AS (total_micros / 1000000.0) STORED,
    error_message     TEXT,
    error_count       BIGINT NOT NULL DEFAULT 0,
    client_info       TEXT NOT NULL,
    created_at        TIMESTAMPTZ NOT NULL CHECK (isfinite(created_at)),
    updated_at        TIMESTAMPTZ NOT NULL CHECK (isfinite(updated_at)),
    PRIMARY KEY (tenant, session_id)
);

CREATE INDEX voice_sessions_by_user ON voice_sessions (tenant, user_id, updated_at);
CREATE INDEX voice_sessions_by_time ON voice_sessions (tenant, created_at);
CREATE INDEX voice_sessions_running ON voice_sessions (tenant, updated_at) WHERE end_time IS NULL;

-- What was said in them. `content` is sealed when there are keys for it.
CREATE TABLE messages (
    tenant          TEXT COLLATE "C" NOT NULL,
    id              TEXT COLLATE "C" NOT NULL,
    session_id      TEXT COLLATE "C" NOT NULL,
    conversation_id TEXT COLLATE "C",
    user_id         TEXT COLLATE "C" NOT NULL,
    role            TEXT NOT NULL CHECK (role IN ('user', 'assistant')),
    type            TEXT NOT NULL DEFAULT 'text',
    content         BYTEA NOT NULL,
    metadata        TEXT NOT NULL,
    created_at      TIMESTAMPTZ NOT NULL CHECK (isfinite(created_at)),
    PRIMARY KEY (tenant, id),
    FOREIGN KEY (tenant, session_id) REFERENCES voice_sessions (tenant, session_id) ON DELETE CASCADE
);

CREATE INDEX messages_by_conversation ON messages (tenant, conversation_id, created_at);
CREATE INDEX messages_by_session ON messages (tenant, session_id, created_at);

-- What a session used, once for each.
CREATE TABLE usage_logs (
    tenant         TEXT COLLATE "C" NOT NULL,
    session_id     TEXT COLLATE "C" NOT NULL,
    user_id        TEXT COLLATE "C" NOT NULL,
    event          TEXT NOT NULL,
    feature        TEXT NOT NULL,
    tier           TEXT NOT NULL,
    tokens_used    BIGINT NOT NULL,
    cost_micros    BIGINT NOT NULL,
    estimated_cost NUMERIC(14, 6) GENERATED ALWAYS AS (cost_micros / 1000000.0) STORED,
    metadata       TEXT NOT NULL,
    created_at     TIMESTAMPTZ NOT NULL CHECK (isfinite(created_at)),
    PRIMARY KEY (tenant, session_id),
    FOREIGN KEY (tenant, session_id) REFERENCES voice_sessions (tenant, session_id) ON DELETE CASCADE
);

CREATE INDEX usage_logs_by_user ON usage_logs (tenant, user_id, created_at);

ALTER TABLE voice_sessions ENABLE ROW LEVEL SECURITY;
ALTER TABLE voice_sessions FORCE ROW LEVEL SECURITY;

CREATE POLICY of_the_tenant ON voice_sessions
    USING (tenant = NULLIF(current_setting('antiphon.tenant', true), ''));

ALTER TABLE messages ENABLE ROW LEVEL SECURITY;
ALTER TABLE messages FORCE ROW LEVEL SECURITY;

CREATE POLICY of_the_tenant ON messages
    USING (tenant = NULLIF(current_setting('antiphon.tenant', true), ''));

ALTER TABLE usage_logs ENABLE ROW LEVEL SECURITY;
ALTER TABLE usage_logs FORCE ROW LEVEL SECURITY;

CREATE POLICY of_the_tenant ON usage_logs
    USING (tenant = NULLIF(current_setting('antiphon.tenant', true), ''));

-- Telephone calls, one row a call. What is plain is what work has to be found by; numbers of telephones, what a call is
-- for and what came of it in words lie in `details`, sealed when there are keys for it.
CREATE TABLE calls (
    tenant             TEXT COLLATE "C" NOT NULL,
    id                 TEXT COLLATE "C" NOT NULL,
    project            TEXT COLLATE "C" NOT NULL,
    provider           TEXT COLLATE "C" NOT NULL,
    carrier_call_id    TEXT COLLATE "C",
    stream_id          TEXT,
    session            TEXT COLLATE "C",
    direction          TEXT COLLATE "C" NOT NULL CHECK (direction IN ('inbound', 'outbound')),
    state              TEXT COLLATE "C" NOT NULL,
    carrier_status     TEXT,
    outcome            TEXT,
    hangup_reason      TEXT,
    hangup_by          TEXT,
    answered_by        TEXT,
    attempt_number     BIGINT NOT NULL,
    error_message      TEXT,
    agent              TEXT,
    lead               TEXT,
    business           TEXT,
    consumer           TEXT,
    initiator          TEXT,
    prompt_version     TEXT,
    interest           TEXT,
    summary_status     TEXT,
    appointment_at     TIMESTAMPTZ CHECK (isfinite(appointment_at)),
    quote_micros       BIGINT,
    estimated_micros   BIGINT,
    actual_micros      BIGINT,
    cost_parts         TEXT,
    recording_url      TEXT,
    details            BYTEA NOT NULL,
    created_at         TIMESTAMPTZ NOT NULL CHECK (isfinite(created_at)),
    updated_at         TIMESTAMPTZ NOT NULL CHECK (isfinite(updated_at)),
    scheduled_at       TIMESTAMPTZ CHECK (isfinite(scheduled_at)),
    started_at         TIMESTAMPTZ CHECK (isfinite(started_at)),
    answered_at        TIMESTAMPTZ CHECK (isfinite(answered_at)),
    ended_at           TIMESTAMPTZ CHECK (isfinite(ended_at)),
    seen_at            TIMESTAMPTZ CHECK (isfinite(seen_at)),
    finalized_at       TIMESTAMPTZ CHECK (isfinite(finalized_at)),
    version            BIGINT NOT NULL,
    PRIMARY KEY (tenant, id),
    UNIQUE (tenant, provider, carrier_call_id)
);

CREATE INDEX calls_by_time ON calls (tenant, created_at, id);
CREATE INDEX calls_alive ON calls (seen_at) WHERE finalized_at IS NULL;

ALTER TABLE calls ENABLE ROW LEVEL SECURITY;
ALTER TABLE calls FORCE ROW LEVEL SECURITY;

CREATE POLICY of_the_tenant ON calls
    USING (tenant = NULLIF(current_setting('antiphon.tenant', true), ''));

-- Calls that nobody looks after any more are sought among all tenants, and ended tenant by tenant.
CREATE POLICY of_maintenance ON calls FOR SELECT
    USING (current_setting('antiphon.maintenance', true) = 'on');

-- What was said in a call, turn by turn, as it was said. Rows are added and never changed.
CREATE TABLE call_turns (
    tenant      TEXT COLLATE "C" NOT NULL,
    call        TEXT COLLATE "C" NOT NULL,
    seq         BIGINT NOT NULL,
    role        TEXT COLLATE "C" NOT NULL CHECK (role IN ('caller', 'agent')),
    item        TEXT COLLATE "C" NOT NULL,
    started_ms  BIGINT NOT NULL,
    ended_ms    BIGINT NOT NULL,
    interrupted BOOLEAN NOT NULL,
    source      TEXT NOT NULL,
    content     BYTEA NOT NULL,
    PRIMARY KEY (tenant, call, seq),
    FOREIGN KEY (tenant, call) REFERENCES calls (tenant, id) ON DELETE CASCADE
);

ALTER TABLE call_turns ENABLE ROW LEVEL SECURITY;
ALTER TABLE call_turns FORCE ROW LEVEL SECURITY;

CREATE POLICY of_the_tenant ON call_turns
    USING (tenant = NULLIF(current_setting('antiphon.tenant', true), ''));

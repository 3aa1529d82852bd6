-- Telephone calls, one row a call. What is plain is what work has to be found by; numbers of telephones, what a call is
-- for and what came of it in words lie in `details`, sealed when there are keys for it.
CREATE TABLE calls (
    tenant             TEXT NOT NULL,
    id                 TEXT NOT NULL,
    project            TEXT NOT NULL,
    provider           TEXT NOT NULL,
    carrier_call_id    TEXT,
    stream_id          TEXT,
    session            TEXT,
    direction          TEXT NOT NULL CHECK (direction IN ('inbound', 'outbound')),
    state              TEXT NOT NULL,
    carrier_status     TEXT,
    outcome            TEXT,
    hangup_reason      TEXT,
    hangup_by          TEXT,
    answered_by        TEXT,
    attempt_number     INTEGER NOT NULL,
    error_message      TEXT,
    agent              TEXT,
    lead               TEXT,
    business           TEXT,
    consumer           TEXT,
    initiator          TEXT,
    prompt_version     TEXT,
    interest           TEXT,
    summary_status     TEXT,
    appointment_at     TEXT,
    quote_micros       INTEGER,
    estimated_micros   INTEGER,
    actual_micros      INTEGER,
    cost_parts         TEXT,
    recording_url      TEXT,
    details            BLOB NOT NULL,
    created_at         TEXT NOT NULL,
    updated_at         TEXT NOT NULL,
    scheduled_at       TEXT,
    started_at         TEXT,
    answered_at        TEXT,
    ended_at           TEXT,
    seen_at            TEXT,
    finalized_at       TEXT,
    version            INTEGER NOT NULL,
    PRIMARY KEY (tenant, id),
    UNIQUE (tenant, provider, carrier_call_id)
);

CREATE INDEX calls_by_time ON calls (tenant, created_at, id);
CREATE INDEX calls_alive ON calls (seen_at) WHERE finalized_at IS NULL;

-- What was said in a call, turn by turn, as it was said. Rows are added and never changed.
CREATE TABLE call_turns (
    tenant      TEXT NOT NULL,
    call        TEXT NOT NULL,
    seq         INTEGER NOT NULL,
    role        TEXT NOT NULL CHECK (role IN ('caller', 'agent')),
    item        TEXT NOT NULL,
    started_ms  INTEGER NOT NULL,
    ended_ms    INTEGER NOT NULL,
    interrupted BOOLEAN NOT NULL,
    source      TEXT NOT NULL,
    content     BLOB NOT NULL,
    PRIMARY KEY (tenant, call, seq),
    FOREIGN KEY (tenant, call) REFERENCES calls (tenant, id) ON DELETE CASCADE
);


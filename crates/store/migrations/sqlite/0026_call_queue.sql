-- Calls as objects: when each is due, who has taken it, whom it calls. `callee` is a keyed print of the called number: the
-- number itself stays in `details`. `account` is the carrier account that places it.
ALTER TABLE calls ADD COLUMN request_key TEXT;
ALTER TABLE calls ADD COLUMN call_type TEXT;
ALTER TABLE calls ADD COLUMN account TEXT NOT NULL DEFAULT '';
ALTER TABLE calls ADD COLUMN callee TEXT;
ALTER TABLE calls ADD COLUMN priority INTEGER NOT NULL DEFAULT 3;
ALTER TABLE calls ADD COLUMN blocked_by TEXT;
ALTER TABLE calls ADD COLUMN disclosed_ms INTEGER;
ALTER TABLE calls ADD COLUMN due_at TEXT;
ALTER TABLE calls ADD COLUMN owner TEXT;
ALTER TABLE calls ADD COLUMN lease_until TEXT;
ALTER TABLE calls ADD COLUMN claimed_at TEXT;

CREATE UNIQUE INDEX calls_by_request ON calls (tenant, request_key) WHERE request_key IS NOT NULL;
CREATE INDEX calls_by_due ON calls (account, due_at) WHERE state IN ('queued', 'scheduled');
CREATE INDEX calls_by_claim ON calls (account, claimed_at) WHERE claimed_at IS NOT NULL;

-- Every time somebody was dialled for a call: its row is the lock that lets an attempt be dialled once.
CREATE TABLE call_attempts (
    tenant          TEXT NOT NULL,
    call            TEXT NOT NULL,
    attempt         INTEGER NOT NULL,
    account         TEXT NOT NULL,
    callee          TEXT,
    state           TEXT NOT NULL,
    outcome         TEXT,
    hangup_reason   TEXT,
    hangup_by       TEXT,
    carrier_call_id TEXT,
    dialed_at       TEXT NOT NULL,
    answered_at     TEXT,
    ended_at        TEXT,
    PRIMARY KEY (tenant, call, attempt),
    FOREIGN KEY (tenant, call) REFERENCES calls (tenant, id) ON DELETE CASCADE
);

CREATE INDEX call_attempts_by_callee ON call_attempts (tenant, callee, dialed_at);

-- What happened to a call, in the order in which we were told. Rows are added and never changed. What a carrier tells
-- twice has the same `source_key` and is added once.
CREATE TABLE call_events (
    tenant     TEXT NOT NULL,
    call       TEXT NOT NULL,
    seq        INTEGER NOT NULL,
    source     TEXT NOT NULL,
    source_key TEXT,
    kind       TEXT NOT NULL,
    at         TEXT NOT NULL,
    content    BLOB NOT NULL,
    PRIMARY KEY (tenant, call, seq),
    FOREIGN KEY (tenant, call) REFERENCES calls (tenant, id) ON DELETE CASCADE
);

CREATE UNIQUE INDEX call_events_once ON call_events (tenant, call, source, source_key) WHERE source_key IS NOT NULL;

-- Recordings of calls: where they are, not what is in them. `location` is sealed when there are keys for it.
CREATE TABLE recordings (
    tenant       TEXT NOT NULL,
    id           TEXT NOT NULL,
    call         TEXT NOT NULL,
    content_type TEXT NOT NULL,
    channels     INTEGER NOT NULL,
    duration_ms  INTEGER NOT NULL,
    bytes        INTEGER NOT NULL,
    location     BLOB NOT NULL,
    created_at   TEXT NOT NULL,
    expires_at   TEXT,
    PRIMARY KEY (tenant, id),
    FOREIGN KEY (tenant, call) REFERENCES calls (tenant, id) ON DELETE CASCADE
);

CREATE INDEX recordings_by_call ON recordings (tenant, call);

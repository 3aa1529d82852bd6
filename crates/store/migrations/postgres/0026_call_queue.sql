-- Calls as objects: when each is due, who has taken it, whom it calls. `callee` is a keyed print of the called number: the
-- number itself stays in `details`. `account` is the carrier account that places it.
ALTER TABLE calls ADD COLUMN request_key TEXT COLLATE "C";
ALTER TABLE calls ADD COLUMN call_type TEXT COLLATE "C";
ALTER TABLE calls ADD COLUMN account TEXT COLLATE "C" NOT NULL DEFAULT '';
ALTER TABLE calls ADD COLUMN callee TEXT COLLATE "C";
ALTER TABLE calls ADD COLUMN priority BIGINT NOT NULL DEFAULT 3;
ALTER TABLE calls ADD COLUMN blocked_by TEXT COLLATE "C";
ALTER TABLE calls ADD COLUMN disclosed_ms BIGINT;
ALTER TABLE calls ADD COLUMN due_at TIMESTAMPTZ CHECK (isfinite(due_at));
ALTER TABLE calls ADD COLUMN owner TEXT COLLATE "C";
ALTER TABLE calls ADD COLUMN lease_until TIMESTAMPTZ CHECK (isfinite(lease_until));
ALTER TABLE calls ADD COLUMN claimed_at TIMESTAMPTZ CHECK (isfinite(claimed_at));

CREATE UNIQUE INDEX calls_by_request ON calls (tenant, request_key) WHERE request_key IS NOT NULL;
CREATE INDEX calls_by_due ON calls (account, due_at) WHERE state IN ('queued', 'scheduled');
CREATE INDEX calls_by_claim ON calls (account, claimed_at) WHERE claimed_at IS NOT NULL;

-- Every time somebody was dialled for a call: its row is the lock that lets an attempt be dialled once.
CREATE TABLE call_attempts (
    tenant          TEXT COLLATE "C" NOT NULL,
    call            TEXT COLLATE "C" NOT NULL,
    attempt         BIGINT NOT NULL,
    account         TEXT COLLATE "C" NOT NULL,
    callee          TEXT COLLATE "C",
    state           TEXT COLLATE "C" NOT NULL,
    outcome         TEXT COLLATE "C",
    hangup_reason   TEXT COLLATE "C",
    hangup_by       TEXT COLLATE "C",
    carrier_call_id TEXT COLLATE "C",
    dialed_at       TIMESTAMPTZ NOT NULL CHECK (isfinite(dialed_at)),
    answered_at     TIMESTAMPTZ CHECK (isfinite(answered_at)),
    ended_at        TIMESTAMPTZ CHECK (isfinite(ended_at)),
    PRIMARY KEY (tenant, call, attempt),
    FOREIGN KEY (tenant, call) REFERENCES calls (tenant, id) ON DELETE CASCADE
);

CREATE INDEX call_attempts_by_callee ON call_attempts (tenant, callee, dialed_at);

-- What happened to a call, in the order in which we were told. Rows are added and never changed. What a carrier tells
-- twice has the same `source_key` and is added once.
CREATE TABLE call_events (
    tenant     TEXT COLLATE "C" NOT NULL,
    call       TEXT COLLATE "C" NOT NULL,
    seq        BIGINT NOT NULL,
    source     TEXT COLLATE "C" NOT NULL,
    source_key TEXT COLLATE "C",
    kind       TEXT COLLATE "C" NOT NULL,
    at         TIMESTAMPTZ NOT NULL CHECK (isfinite(at)),
    content    BYTEA NOT NULL,
    PRIMARY KEY (tenant, call, seq),
    FOREIGN KEY (tenant, call) REFERENCES calls (tenant, id) ON DELETE CASCADE
);

CREATE UNIQUE INDEX call_events_once ON call_events (tenant, call, source, source_key) WHERE source_key IS NOT NULL;

-- Recordings of calls: where they are, not what is in them. `location` is sealed when there are keys for it.
CREATE TABLE recordings (
    tenant       TEXT COLLATE "C" NOT NULL,
    id           TEXT COLLATE "C" NOT NULL,
    call         TEXT COLLATE "C" NOT NULL,
    content_type TEXT COLLATE "C" NOT NULL,
    channels     BIGINT NOT NULL,
    duration_ms  BIGINT NOT NULL,
    bytes        BIGINT NOT NULL,
    location     BYTEA NOT NULL,
    created_at   TIMESTAMPTZ NOT NULL CHECK (isfinite(created_at)),
    expires_at   TIMESTAMPTZ CHECK (isfinite(expires_at)),
    PRIMARY KEY (tenant, id),
    FOREIGN KEY (tenant, call) REFERENCES calls (tenant, id) ON DELETE CASCADE
);

CREATE INDEX recordings_by_call ON recordings (tenant, call);

ALTER TABLE call_attempts ENABLE ROW LEVEL SECURITY;
ALTER TABLE call_attempts FORCE ROW LEVEL SECURITY;

CREATE POLICY of_the_tenant ON call_attempts
    USING (tenant = NULLIF(current_setting('antiphon.tenant', true), ''));

ALTER TABLE call_events ENABLE ROW LEVEL SECURITY;
ALTER TABLE call_events FORCE ROW LEVEL SECURITY;

CREATE POLICY of_the_tenant ON call_events
    USING (tenant = NULLIF(current_setting('antiphon.tenant', true), ''));

ALTER TABLE recordings ENABLE ROW LEVEL SECURITY;
ALTER TABLE recordings FORCE ROW LEVEL SECURITY;

CREATE POLICY of_the_tenant ON recordings
    USING (tenant = NULLIF(current_setting('antiphon.tenant', true), ''));

-- One dialler takes what is due of all tenants: work that says so claims, and sees nothing else of theirs.
CREATE POLICY of_the_dialler ON calls
    USING (current_setting('antiphon.dialler', true) = 'on');

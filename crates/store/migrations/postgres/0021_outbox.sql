-- What has to be done outside because of a change here: put in the transaction of the change, done at least once.
CREATE TABLE outbox (
    tenant     TEXT COLLATE "C" NOT NULL,
    id         TEXT COLLATE "C" NOT NULL,
    topic      TEXT COLLATE "C" NOT NULL,
    payload    TEXT NOT NULL,
    state      TEXT COLLATE "C" NOT NULL CHECK (state IN ('waiting', 'done', 'dead')),
    tries      BIGINT NOT NULL,
    due_at     TIMESTAMPTZ NOT NULL CHECK (isfinite(due_at)),
    owner      TEXT COLLATE "C",
    problem    TEXT,
    created_at TIMESTAMPTZ NOT NULL CHECK (isfinite(created_at)),
    ended_at   TIMESTAMPTZ CHECK (isfinite(ended_at)),
    PRIMARY KEY (tenant, id)
);

CREATE INDEX outbox_by_due ON outbox (due_at, tenant, id) WHERE state = 'waiting';
CREATE INDEX outbox_by_end ON outbox (ended_at) WHERE state <> 'waiting';

ALTER TABLE outbox ENABLE ROW LEVEL SECURITY;
ALTER TABLE outbox FORCE ROW LEVEL SECURITY;

CREATE POLICY of_the_tenant ON outbox
    USING (tenant = NULLIF(current_setting('antiphon.tenant', true), ''));

-- One worker does what all tenants have put in: work that says so claims, and nothing else of theirs is shown to it.
CREATE POLICY of_the_outbox ON outbox
    USING (current_setting('antiphon.outbox', true) = 'on');

-- What has come from outside, and what it was answered: who sends the same again gets the same answer.
CREATE TABLE inbox (
    tenant     TEXT COLLATE "C" NOT NULL,
    source     TEXT COLLATE "C" NOT NULL,
    key        TEXT COLLATE "C" NOT NULL,
    print      TEXT COLLATE "C" NOT NULL,
    owner      TEXT COLLATE "C" NOT NULL,
    due_at     TIMESTAMPTZ NOT NULL CHECK (isfinite(due_at)),
    answer     TEXT,
    created_at TIMESTAMPTZ NOT NULL CHECK (isfinite(created_at)),
    PRIMARY KEY (tenant, source, key)
);

CREATE INDEX inbox_by_age ON inbox (tenant, created_at);

ALTER TABLE inbox ENABLE ROW LEVEL SECURITY;
ALTER TABLE inbox FORCE ROW LEVEL SECURITY;

CREATE POLICY of_the_tenant ON inbox
    USING (tenant = NULLIF(current_setting('antiphon.tenant', true), ''));

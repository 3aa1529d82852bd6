-- What has to be done outside because of a change here: put in the transaction of the change, done at least once.
CREATE TABLE outbox (
    tenant     TEXT NOT NULL,
    id         TEXT NOT NULL,
    topic      TEXT NOT NULL,
    payload    TEXT NOT NULL,
    state      TEXT NOT NULL CHECK (state IN ('waiting', 'done', 'dead')),
    tries      INTEGER NOT NULL,
    due_at     TEXT NOT NULL,
    owner      TEXT,
    problem    TEXT,
    created_at TEXT NOT NULL,
    ended_at   TEXT,
    PRIMARY KEY (tenant, id)
);

CREATE INDEX outbox_by_due ON outbox (due_at, tenant, id) WHERE state = 'waiting';
CREATE INDEX outbox_by_end ON outbox (ended_at) WHERE state <> 'waiting';

-- What has come from outside, and what it was answered: who sends the same again gets the same answer.
CREATE TABLE inbox (
    tenant     TEXT NOT NULL,
    source     TEXT NOT NULL,
    key        TEXT NOT NULL,
    print      TEXT NOT NULL,
    owner      TEXT NOT NULL,
    due_at     TEXT NOT NULL,
    answer     TEXT,
    created_at TEXT NOT NULL,
    PRIMARY KEY (tenant, source, key)
);

CREATE INDEX inbox_by_age ON inbox (tenant, created_at);


-- The text survey: what is asked, and what was answered. A set is not changed once it is made, so that an answer says
-- to what; one of a tenant's is asked at a time.
CREATE TABLE question_sets (
    tenant     TEXT NOT NULL,
    id         TEXT NOT NULL,
    name       TEXT NOT NULL,
    questions  TEXT NOT NULL,
    active     BOOLEAN NOT NULL,
    created_at TEXT NOT NULL,
    PRIMARY KEY (tenant, id)
);

CREATE UNIQUE INDEX question_sets_active ON question_sets (tenant) WHERE active;

-- Who has answered: one row a person and set. People are found by a keyed print of their address; the address and the
-- answers lie in `content`, sealed when there are keys for it.
CREATE TABLE survey_responses (
    tenant       TEXT NOT NULL,
    question_set TEXT NOT NULL,
    person       TEXT NOT NULL,
    id           TEXT NOT NULL,
    content      BLOB NOT NULL,
    completed_at TEXT NOT NULL,
    PRIMARY KEY (tenant, question_set, person)
);

CREATE UNIQUE INDEX survey_responses_in_time ON survey_responses (tenant, question_set, completed_at, id);

-- The same answers one by one and without the person, to be counted; of words only that there were some.
CREATE TABLE survey_answers (
    tenant       TEXT NOT NULL,
    question_set TEXT NOT NULL,
    question     INTEGER NOT NULL,
    response     TEXT NOT NULL,
    choice       TEXT,
    number       REAL,
    PRIMARY KEY (tenant, question_set, question, response)
);

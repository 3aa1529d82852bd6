-- The text survey: what is asked, and what was answered. A set is not changed once it is made, so that an answer says
-- to what; one of a tenant's is asked at a time.
CREATE TABLE question_sets (
    tenant     TEXT COLLATE "C" NOT NULL,
    id         TEXT COLLATE "C" NOT NULL,
    name       TEXT COLLATE "C" NOT NULL,
    questions  JSONB NOT NULL,
    active     BOOLEAN NOT NULL,
    created_at TIMESTAMPTZ NOT NULL CHECK (isfinite(created_at)),
    PRIMARY KEY (tenant, id)
);

CREATE UNIQUE INDEX question_sets_active ON question_sets (tenant) WHERE active;

-- Who has answered: one row a person and set. People are found by a keyed print of their address; the address and the
-- answers lie in `content`, sealed when there are keys for it.
CREATE TABLE survey_responses (
    tenant       TEXT COLLATE "C" NOT NULL,
    question_set TEXT COLLATE "C" NOT NULL,
    person       TEXT COLLATE "C" NOT NULL,
    id           TEXT COLLATE "C" NOT NULL,
    content      BYTEA NOT NULL,
    completed_at TIMESTAMPTZ NOT NULL CHECK (isfinite(completed_at)),
    PRIMARY KEY (tenant, question_set, person)
);

CREATE UNIQUE INDEX survey_responses_in_time ON survey_responses (tenant, question_set, completed_at, id);

-- The same answers one by one and without the person, to be counted; of words only that there were some.
CREATE TABLE survey_answers (
    tenant       TEXT COLLATE "C" NOT NULL,
    question_set TEXT COLLATE "C" NOT NULL,
    question     BIGINT NOT NULL,
    response     TEXT COLLATE "C" NOT NULL,
    choice       TEXT COLLATE "C",
    number       DOUBLE PRECISION,
    PRIMARY KEY (tenant, question_set, question, response)
);

ALTER TABLE question_sets ENABLE ROW LEVEL SECURITY;
ALTER TABLE question_sets FORCE ROW LEVEL SECURITY;

CREATE POLICY of_the_tenant ON question_sets
    USING (tenant = NULLIF(current_setting('antiphon.tenant', true), ''));

ALTER TABLE survey_responses ENABLE ROW LEVEL SECURITY;
ALTER TABLE survey_responses FORCE ROW LEVEL SECURITY;

CREATE POLICY of_the_tenant ON survey_responses
    USING (tenant = NULLIF(current_setting('antiphon.tenant', true), ''));

ALTER TABLE survey_answers ENABLE ROW LEVEL SECURITY;
ALTER TABLE survey_answers FORCE ROW LEVEL SECURITY;

CREATE POLICY of_the_tenant ON survey_answers
    USING (tenant = NULLIF(current_setting('antiphon.tenant', true), ''));

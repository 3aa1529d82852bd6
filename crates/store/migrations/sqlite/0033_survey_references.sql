-- Answers go with their set. A table of this database takes no new reference: both are made anew.
CREATE TABLE responses_anew (
    tenant       TEXT NOT NULL,
    question_set TEXT NOT NULL,
    person       TEXT NOT NULL,
    id           TEXT NOT NULL,
    content      BLOB NOT NULL,
    completed_at TEXT NOT NULL,
    PRIMARY KEY (tenant, question_set, person),
    UNIQUE (tenant, question_set, id),
    FOREIGN KEY (tenant, question_set) REFERENCES question_sets (tenant, id) ON DELETE CASCADE
);

INSERT INTO responses_anew SELECT tenant, question_set, person, id, content, completed_at FROM survey_responses r
WHERE EXISTS (SELECT 1 FROM question_sets s WHERE s.tenant = r.tenant AND s.id = r.question_set);

DROP TABLE survey_responses;
ALTER TABLE responses_anew RENAME TO survey_responses;

CREATE INDEX survey_responses_in_time ON survey_responses (tenant, question_set, completed_at, id);
CREATE INDEX survey_responses_by_age ON survey_responses (tenant, completed_at);

CREATE TABLE answers_anew (
    tenant       TEXT NOT NULL,
    question_set TEXT NOT NULL,
    question     INTEGER NOT NULL,
    response     TEXT NOT NULL,
    choice       TEXT,
    number       REAL,
    PRIMARY KEY (tenant, question_set, question, response),
    FOREIGN KEY (tenant, question_set, response)
        REFERENCES survey_responses (tenant, question_set, id) ON DELETE CASCADE
);

INSERT INTO answers_anew SELECT tenant, question_set, question, response, choice, number FROM survey_answers a
WHERE EXISTS (SELECT 1 FROM survey_responses r
              WHERE r.tenant = a.tenant AND r.question_set = a.question_set AND r.id = a.response);

DROP TABLE survey_answers;
ALTER TABLE answers_anew RENAME TO survey_answers;

CREATE INDEX survey_answers_by_response ON survey_answers (tenant, question_set, response);

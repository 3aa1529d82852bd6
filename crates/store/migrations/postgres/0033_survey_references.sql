-- Answers go with their set, also those that are stored while it is removed. Who owns the tables sees all of them for as
-- long as this takes.
ALTER TABLE question_sets NO FORCE ROW LEVEL SECURITY;
ALTER TABLE survey_responses NO FORCE ROW LEVEL SECURITY;
ALTER TABLE survey_answers NO FORCE ROW LEVEL SECURITY;

DELETE FROM survey_responses r WHERE NOT EXISTS
    (SELECT 1 FROM question_sets s WHERE s.tenant = r.tenant AND s.id = r.question_set);

-- By its id an answer finds its response, and goes with it.
DROP INDEX survey_responses_in_time;
ALTER TABLE survey_responses ADD CONSTRAINT survey_responses_by_id UNIQUE (tenant, question_set, id);
CREATE INDEX survey_responses_in_time ON survey_responses (tenant, question_set, completed_at, id);
CREATE INDEX survey_responses_by_age ON survey_responses (tenant, completed_at);

DELETE FROM survey_answers a WHERE NOT EXISTS
    (SELECT 1 FROM survey_responses r WHERE r.tenant = a.tenant AND r.question_set = a.question_set AND r.id = a.response);

ALTER TABLE survey_responses ADD CONSTRAINT survey_responses_to_a_set
    FOREIGN KEY (tenant, question_set) REFERENCES question_sets (tenant, id) ON DELETE CASCADE;
CREATE INDEX survey_answers_by_response ON survey_answers (tenant, question_set, response);
ALTER TABLE survey_answers ADD CONSTRAINT survey_answers_of_a_response
    FOREIGN KEY (tenant, question_set, response) REFERENCES survey_responses (tenant, question_set, id) ON DELETE CASCADE;

ALTER TABLE question_sets FORCE ROW LEVEL SECURITY;
ALTER TABLE survey_responses FORCE ROW LEVEL SECURITY;
ALTER TABLE survey_answers FORCE ROW LEVEL SECURITY;

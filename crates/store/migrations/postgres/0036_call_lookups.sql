-- Calls about one lead and calls to one number are listed often.
CREATE INDEX calls_by_lead ON calls (tenant, lead, created_at, id) WHERE lead IS NOT NULL;
CREATE INDEX calls_by_callee ON calls (tenant, callee, created_at, id) WHERE callee IS NOT NULL;

-- The dialler claims calls: it reads and changes rows of all tenants, and neither makes nor removes any.
DROP POLICY of_the_dialler ON calls;
CREATE POLICY of_the_dialler ON calls FOR SELECT
    USING (current_setting('antiphon.dialler', true) = 'on');
CREATE POLICY of_the_diallers_claim ON calls FOR UPDATE
    USING (current_setting('antiphon.dialler', true) = 'on');

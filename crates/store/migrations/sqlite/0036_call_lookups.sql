-- Calls about one lead and calls to one number are listed often.
CREATE INDEX calls_by_lead ON calls (tenant, lead, created_at, id) WHERE lead IS NOT NULL;
CREATE INDEX calls_by_callee ON calls (tenant, callee, created_at, id) WHERE callee IS NOT NULL;

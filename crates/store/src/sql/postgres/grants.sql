-- What the application role may do, and no more. Run by the owner after every migration, in a transaction that has set
-- `antiphon.role`. A new table needs a line here: the conformance suite works as that role and fails without it.
DO $$
DECLARE
    application text := current_setting('antiphon.role');
BEGIN
    EXECUTE format('GRANT SELECT, INSERT ON installation TO %I', application);
    EXECUTE format('GRANT SELECT, INSERT, UPDATE ON api_keys TO %I', application);
    EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON agents TO %I', application);
    EXECUTE format('GRANT SELECT, INSERT, UPDATE ON tenants TO %I', application);
    EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON projects TO %I', application);
    EXECUTE format('GRANT SELECT, INSERT ON audit_log TO %I', application);
    EXECUTE format('GRANT SELECT, INSERT, UPDATE ON audit_heads TO %I', application);
    EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON sessions, conversation_items TO %I', application);
    EXECUTE format('GRANT SELECT, INSERT, UPDATE ON data_keys TO %I', application);
    EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON usage, outbox, inbox, calls TO %I', application);
    EXECUTE format('GRANT SELECT, INSERT ON call_turns, call_events TO %I', application);
    EXECUTE format('GRANT SELECT, INSERT, UPDATE ON call_attempts TO %I', application);
    EXECUTE format('GRANT SELECT, INSERT, DELETE ON do_not_call, recordings TO %I', application);
    EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON phone_numbers, webhook_endpoints, consents TO %I', application);
    EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON question_sets, survey_codes, survey_dialogues TO %I', application);
    EXECUTE format('GRANT SELECT, INSERT, DELETE ON survey_responses, survey_answers TO %I', application);
    EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON chat_rooms, chat_messages, chat_reads TO %I', application);
    EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON voice_sessions TO %I', application);
    EXECUTE format('GRANT SELECT, INSERT ON messages TO %I', application);
    EXECUTE format('GRANT SELECT, INSERT, UPDATE ON usage_logs TO %I', application);
    EXECUTE format('GRANT EXECUTE ON FUNCTION antiphon_make_months, antiphon_drop_months TO %I', application);
    EXECUTE format('GRANT EXECUTE ON FUNCTION antiphon_make_usage_months, antiphon_drop_usage_months TO %I', application);
    -- to see at start that the tables are those it knows
    EXECUTE format('GRANT SELECT ON _sqlx_migrations TO %I', application);
END
$$;

-- What providers were made to do, a row for each piece of work. `run` and `number` name it: a piece that is written again
-- changes nothing. Money is in millionths of a micro-dollar, and null where nobody has told the price.
CREATE TABLE usage (
    tenant              TEXT COLLATE "C" NOT NULL,
    session             TEXT COLLATE "C" NOT NULL,
    run                 TEXT COLLATE "C" NOT NULL,
    number              BIGINT NOT NULL,
    project             TEXT COLLATE "C" NOT NULL,
    at                  TIMESTAMPTZ NOT NULL CHECK (isfinite(at)),
    turn                BIGINT NOT NULL,
    response            TEXT,
    stage               TEXT COLLATE "C" NOT NULL,
    provider            TEXT COLLATE "C" NOT NULL,
    model               TEXT COLLATE "C" NOT NULL,
    wanted              TEXT NOT NULL,
    pipeline            TEXT NOT NULL,
    prices              TEXT NOT NULL,
    audio_ms            BIGINT NOT NULL,
    characters          BIGINT NOT NULL,
    speech_ms           BIGINT NOT NULL,
    input_tokens        BIGINT NOT NULL,
    cached_tokens       BIGINT NOT NULL,
    output_tokens       BIGINT NOT NULL,
    audio_input_tokens  BIGINT NOT NULL,
    audio_cached_tokens BIGINT NOT NULL,
    audio_output_tokens BIGINT NOT NULL,
    tool_calls          BIGINT NOT NULL,
    tool_ms             BIGINT NOT NULL,
    estimated           BOOLEAN NOT NULL,
    cost_pico           BIGINT,
    PRIMARY KEY (tenant, session, run, number)
);

CREATE INDEX usage_by_time ON usage (tenant, at);

ALTER TABLE usage ENABLE ROW LEVEL SECURITY;
ALTER TABLE usage FORCE ROW LEVEL SECURITY;

CREATE POLICY of_the_tenant ON usage
    USING (tenant = NULLIF(current_setting('antiphon.tenant', true), ''));

-- The sums of all tenants, and rows that have outlived their time, are sought by work that says so. There are no words in
-- these rows.
CREATE POLICY of_maintenance ON usage FOR SELECT
    USING (current_setting('antiphon.maintenance', true) = 'on');

-- What providers were made to do, a row for each piece of work. `run` and `number` name it: a piece that is written again
-- changes nothing. Money is in millionths of a micro-dollar, and null where nobody has told the price.
CREATE TABLE usage (
    tenant              TEXT NOT NULL,
    session             TEXT NOT NULL,
    run                 TEXT NOT NULL,
    number              INTEGER NOT NULL,
    project             TEXT NOT NULL,
    at                  TEXT NOT NULL,
    turn                INTEGER NOT NULL,
    response            TEXT,
    stage               TEXT NOT NULL,
    provider            TEXT NOT NULL,
    model               TEXT NOT NULL,
    wanted              TEXT NOT NULL,
    pipeline            TEXT NOT NULL,
    prices              TEXT NOT NULL,
    audio_ms            INTEGER NOT NULL,
    characters          INTEGER NOT NULL,
    speech_ms           INTEGER NOT NULL,
    input_tokens        INTEGER NOT NULL,
    cached_tokens       INTEGER NOT NULL,
    output_tokens       INTEGER NOT NULL,
    audio_input_tokens  INTEGER NOT NULL,
    audio_cached_tokens INTEGER NOT NULL,
    audio_output_tokens INTEGER NOT NULL,
    tool_calls          INTEGER NOT NULL,
    tool_ms             INTEGER NOT NULL,
    estimated           BOOLEAN NOT NULL,
    cost_pico           INTEGER,
    PRIMARY KEY (tenant, session, run, number)
);

CREATE INDEX usage_by_time ON usage (tenant, at);

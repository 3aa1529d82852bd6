-- Conversations: one row a session, one row an item. `settings` and `content` are sealed when there are keys for it.
CREATE TABLE sessions (
    tenant     TEXT COLLATE "C" NOT NULL,
    id         TEXT COLLATE "C" NOT NULL,
    started_at TIMESTAMPTZ NOT NULL CHECK (isfinite(started_at)),
    project    TEXT COLLATE "C" NOT NULL,
    model      TEXT NOT NULL,
    settings   BYTEA NOT NULL,
    revision   BIGINT NOT NULL,
    ended_at   TIMESTAMPTZ CHECK (isfinite(ended_at)),
    outcome    TEXT,
    PRIMARY KEY (tenant, id),
    UNIQUE (tenant, id, started_at)
);

CREATE INDEX sessions_by_start ON sessions (started_at, tenant, id);

ALTER TABLE sessions ENABLE ROW LEVEL SECURITY;
ALTER TABLE sessions FORCE ROW LEVEL SECURITY;

CREATE POLICY of_the_tenant ON sessions
    USING (tenant = NULLIF(current_setting('antiphon.tenant', true), ''));

-- What has outlived its time is sought among all tenants, by work that says so and may then read this one table. It is
-- removed tenant by tenant.
CREATE POLICY of_maintenance ON sessions FOR SELECT
    USING (current_setting('antiphon.maintenance', true) = 'on');

-- An item lies where its session began: one conversation is in one partition, and goes with it. First by tenant, then
-- by month, so that retention is dropping a table and not deleting rows.
CREATE TABLE conversation_items (
    tenant     TEXT COLLATE "C" NOT NULL,
    session_at TIMESTAMPTZ NOT NULL,
    session    TEXT COLLATE "C" NOT NULL,
    id         TEXT COLLATE "C" NOT NULL,
    position   BIGINT NOT NULL,
    revision   BIGINT NOT NULL,
    created_at TIMESTAMPTZ NOT NULL CHECK (isfinite(created_at)),
    content    BYTEA NOT NULL,
    PRIMARY KEY (tenant, session_at, session, id),
    FOREIGN KEY (tenant, session, session_at) REFERENCES sessions (tenant, id, started_at) ON DELETE CASCADE
) PARTITION BY HASH (tenant);

-- Everything a reader of the last items asks for, except the content: an index entry ends at 2.7 kB, a text does not.
CREATE INDEX conversation_items_in_order ON conversation_items (tenant, session, position, id)
    INCLUDE (revision, created_at);

-- The wall of the whole does not stand around its parts: each gets its own, against whoever asks a part by its name.
CREATE FUNCTION antiphon_wall(part text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY', part);
    EXECUTE format('CREATE POLICY of_the_tenant ON %I '
        'USING (tenant = NULLIF(current_setting(''antiphon.tenant'', true), ''''))', part);
END
$$;

SELECT antiphon_wall('conversation_items');

DO $$
BEGIN
    FOR part IN 0..7 LOOP
        EXECUTE format('CREATE TABLE conversation_items_h%s PARTITION OF conversation_items '
            'FOR VALUES WITH (MODULUS 8, REMAINDER %s) PARTITION BY RANGE (session_at)', part, part);
        PERFORM antiphon_wall('conversation_items_h' || part);
    END LOOP;
END
$$;

-- Makes the partitions of the month of `at` and of so many after it, and says how many it made. The application may
-- create no tables: this runs with the rights of the owner, and does nothing else.
CREATE FUNCTION antiphon_make_months(at timestamptz, ahead integer) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET lock_timeout = '3s' AS $$
DECLARE
    first timestamp := date_trunc('month', at AT TIME ZONE 'UTC');
    month timestamp;
    part text;
    made integer := 0;
BEGIN
    IF ahead NOT BETWEEN 0 AND 24 THEN
        RAISE EXCEPTION 'months ahead: expected 0 to 24, got %', ahead;
    END IF;
    PERFORM pg_advisory_xact_lock(hashtextextended('antiphon months', 0));
    FOR step IN 0..ahead LOOP
        month := first + make_interval(months => step);
        FOR hash IN 0..7 LOOP
            part := format('conversation_items_h%s_%s', hash, to_char(month, 'YYYY_MM'));
            CONTINUE WHEN to_regclass(quote_ident(part)) IS NOT NULL;
            EXECUTE format('CREATE TABLE %I PARTITION OF %I FOR VALUES FROM (%L) TO (%L)',
                part, 'conversation_items_h' || hash,
                month AT TIME ZONE 'UTC', (month + interval '1 month') AT TIME ZONE 'UTC');
            PERFORM antiphon_wall(part);
            made := made + 1;
        END LOOP;
    END LOOP;
    RETURN made;
END
$$;

-- Drops the partitions of months that ended before `expired`, and of months before `at` in which no session began that
-- is still there. Says how many.
CREATE FUNCTION antiphon_drop_months(expired timestamptz, at timestamptz) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET lock_timeout = '3s' AS $$
DECLARE
    part record;
    first timestamptz;
    ended timestamptz;
    dropped integer := 0;
BEGIN
    -- without this no session would be seen, and every month would look empty
    PERFORM set_config('antiphon.maintenance', 'on', true);
    PERFORM pg_advisory_xact_lock(hashtextextended('antiphon months', 0));
    FOR part IN
        SELECT month.relname AS name, to_date(right(month.relname, 7), 'YYYY_MM') AS first
        FROM pg_inherits
        JOIN pg_class month ON month.oid = inhrelid
        JOIN pg_inherits hash ON hash.inhrelid = pg_inherits.inhparent
        WHERE hash.inhparent = to_regclass('conversation_items')
        ORDER BY 1
    LOOP
        first := part.first::timestamp AT TIME ZONE 'UTC';
        ended := (part.first + interval '1 month') AT TIME ZONE 'UTC';
        CONTINUE WHEN ended > at;
        IF ended <= expired OR NOT EXISTS (
            SELECT FROM sessions WHERE started_at >= first AND started_at < ended
        ) THEN
            EXECUTE format('DROP TABLE %I', part.name);
            dropped := dropped + 1;
        END IF;
    END LOOP;
    RETURN dropped;
END
$$;

-- A function with the rights of its owner looks where it was made, and nowhere that its caller names.
DO $$
DECLARE
    made text;
BEGIN
    FOREACH made IN ARRAY ARRAY['antiphon_make_months(timestamptz, integer)', 'antiphon_drop_months(timestamptz, timestamptz)'] LOOP
        EXECUTE format('ALTER FUNCTION %s SET search_path = %I, pg_temp', made, current_schema());
        EXECUTE format('REVOKE ALL ON FUNCTION %s FROM PUBLIC', made);
    END LOOP;
END
$$;
REVOKE ALL ON FUNCTION antiphon_wall(text) FROM PUBLIC;

-- Usage in parts, as the items of conversations: first by tenant, then by the month in which it was used, so that retention
-- is dropping a table and a bill reads the months that it is about.
ALTER TABLE usage RENAME TO usage_whole;
ALTER INDEX usage_pkey RENAME TO usage_whole_pkey;
ALTER INDEX usage_by_time RENAME TO usage_whole_by_time;
-- its owner moves the rows of all tenants
ALTER TABLE usage_whole NO FORCE ROW LEVEL SECURITY;

-- A piece of work is written again with the same time, so that the key still names it.
CREATE TABLE usage (
    LIKE usage_whole INCLUDING CONSTRAINTS,
    PRIMARY KEY (tenant, session, run, number, at)
) PARTITION BY HASH (tenant);

CREATE INDEX usage_by_time ON usage (tenant, at);

DO $$
BEGIN
    FOR part IN 0..7 LOOP
        EXECUTE format('CREATE TABLE usage_h%s PARTITION OF usage '
            'FOR VALUES WITH (MODULUS 8, REMAINDER %s) PARTITION BY RANGE (at)', part, part);
        PERFORM antiphon_wall('usage_h' || part);
    END LOOP;
END
$$;

-- Makes the partitions of the month of `moment` and of so many after it, and says how many it made.
CREATE FUNCTION antiphon_make_usage_months(moment timestamptz, ahead integer) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET lock_timeout = '3s' AS $$
DECLARE
    first timestamp := date_trunc('month', moment AT TIME ZONE 'UTC');
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
            part := format('usage_h%s_%s', hash, to_char(month, 'YYYY_MM'));
            CONTINUE WHEN to_regclass(quote_ident(part)) IS NOT NULL;
            EXECUTE format('CREATE TABLE %I PARTITION OF %I FOR VALUES FROM (%L) TO (%L)',
                part, 'usage_h' || hash,
                month AT TIME ZONE 'UTC', (month + interval '1 month') AT TIME ZONE 'UTC');
            PERFORM antiphon_wall(part);
            made := made + 1;
        END LOOP;
    END LOOP;
    RETURN made;
END
$$;

-- Drops the partitions of months that ended before `expired`, and says how many.
CREATE FUNCTION antiphon_drop_usage_months(expired timestamptz) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET lock_timeout = '3s' AS $$
DECLARE
    part record;
    dropped integer := 0;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended('antiphon months', 0));
    FOR part IN
        SELECT month.relname AS name, to_date(right(month.relname, 7), 'YYYY_MM') AS first
        FROM pg_inherits
        JOIN pg_class month ON month.oid = inhrelid
        JOIN pg_inherits hash ON hash.inhrelid = pg_inherits.inhparent
        WHERE hash.inhparent = to_regclass('usage')
        ORDER BY 1
    LOOP
        IF (part.first + interval '1 month') AT TIME ZONE 'UTC' <= expired THEN
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
    FOREACH made IN ARRAY ARRAY['antiphon_make_usage_months(timestamptz, integer)', 'antiphon_drop_usage_months(timestamptz)'] LOOP
        EXECUTE format('ALTER FUNCTION %s SET search_path = %I, pg_temp', made, current_schema());
        EXECUTE format('REVOKE ALL ON FUNCTION %s FROM PUBLIC', made);
    END LOOP;
END
$$;

DO $$
DECLARE
    month timestamp;
BEGIN
    FOR month IN SELECT DISTINCT date_trunc('month', at AT TIME ZONE 'UTC') FROM usage_whole LOOP
        PERFORM antiphon_make_usage_months(month AT TIME ZONE 'UTC', 0);
    END LOOP;
END
$$;

INSERT INTO usage SELECT * FROM usage_whole;
DROP TABLE usage_whole;

-- The walls, last: they bind the owner as well.
SELECT antiphon_wall('usage');

-- The sums of all tenants, and rows that have outlived their time, are sought by work that says so. There are no words in
-- these rows.
CREATE POLICY of_maintenance ON usage FOR SELECT
    USING (current_setting('antiphon.maintenance', true) = 'on');

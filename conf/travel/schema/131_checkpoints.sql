-- How far a long job is, by its own words (workers/store/checkpoint.h).

CREATE TABLE jobs.checkpoint (
    job         uuid        PRIMARY KEY,
    cursor      jsonb       NOT NULL,
    written_at  timestamptz NOT NULL DEFAULT clock_timestamp()
) WITH (fillfactor = 50);

-- Under its lease; false: the fence is stale.
CREATE FUNCTION jobs.checkpoint(p_job uuid, p_cursor jsonb, p_queue text,
    p_partition integer, p_owner text, p_fence bigint) RETURNS boolean
LANGUAGE plpgsql AS $$
BEGIN
    IF NOT jobs.fenced(p_queue, p_partition, p_owner, p_fence) THEN
        RETURN false;
    END IF;

    INSERT INTO jobs.checkpoint AS c (job, cursor) VALUES (p_job, p_cursor)
    ON CONFLICT (job) DO UPDATE
       SET cursor = EXCLUDED.cursor, written_at = clock_timestamp();
    RETURN true;
END $$;

CREATE FUNCTION jobs.expire_checkpoints(p_keep interval, p_limit integer)
RETURNS bigint
LANGUAGE sql AS $$
    WITH gone AS (
        DELETE FROM jobs.checkpoint WHERE ctid = ANY (ARRAY(
            SELECT c.ctid FROM jobs.checkpoint AS c
             WHERE c.written_at < now() - p_keep LIMIT p_limit))
        RETURNING 1)
    SELECT count(*) FROM gone
$$;

GRANT SELECT, INSERT, UPDATE, DELETE ON jobs.checkpoint TO travel_worker;
GRANT EXECUTE ON FUNCTION
    jobs.checkpoint(uuid, jsonb, text, integer, text, bigint),
    jobs.expire_checkpoints(interval, integer) TO travel_worker;

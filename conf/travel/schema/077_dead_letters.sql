-- Dead letters in an operator's hands: found by a filter, requeued, dropped.
--
-- A filter is a JSON object: job, queue, type, cause, sub (as in the row), uuid
-- (of the job), after, before (died_at), limit; all of its members must hold.  Requeued and
-- dropped is by deleting the row and noting in the outbox what Redis is to
-- know, in one transaction; the partition's owner relays that (kinds 'requeue'
-- and 'drop').

ALTER TABLE jobs.outbox DROP CONSTRAINT outbox_kind_check;
ALTER TABLE jobs.outbox ADD CONSTRAINT outbox_kind_check
    CHECK (kind IN ('job', 'live', 'requeue', 'drop'));

-- The letter's place in the partition's :dead stream; NULL in rows of before.
ALTER TABLE jobs.dead ADD COLUMN entry text;
CREATE INDEX dead_uuid ON jobs.dead (right(job_id, 36));

CREATE FUNCTION jobs.dead_matching(f jsonb) RETURNS SETOF jobs.dead
LANGUAGE sql STABLE AS $$
    SELECT d.*
      FROM jobs.dead AS d
     WHERE (f->>'job' IS NULL OR d.job_id = f->>'job')
       AND (f->>'uuid' IS NULL OR right(d.job_id, 36) = f->>'uuid')
       AND (f->>'queue' IS NULL OR d.queue = f->>'queue')
       AND (f->>'type' IS NULL OR d.type = f->>'type')
       AND (f->>'cause' IS NULL OR d.cause = f->>'cause')
       AND (f->>'sub' IS NULL OR d.sub = f->>'sub')
       AND (f->>'after' IS NULL OR d.died_at >= (f->>'after')::timestamptz)
       AND (f->>'before' IS NULL OR d.died_at < (f->>'before')::timestamptz)
     ORDER BY d.died_at, d.job_id
     LIMIT least(coalesce((f->>'limit')::bigint, 100000), 100000)
$$;

-- Can it be run again?  Its id must name the partition in which it died:
-- whoever may write one stream must not reach another by a letter.
CREATE FUNCTION jobs.dead_runs(d jobs.dead) RETURNS boolean
LANGUAGE sql STABLE AS $$
    SELECT d.job_id ~ ('^' || d.queue || '\.' || d.partition
                       || '\.[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$')
           AND d.envelope ?& ARRAY['type', 'sub', 'key', 'body']
           AND d.envelope->>'type' <> '' AND d.envelope->>'key' <> ''
$$;

-- Back into the queue under their own ids, in the order in which they died;
-- with 'rate' (jobs a second) in f spread over time.  What cannot be run again
-- stays and is counted.
CREATE FUNCTION jobs.requeue_dead(f jsonb, OUT requeued bigint,
    OUT unfit bigint)
LANGUAGE plpgsql AS $$
DECLARE
    gap   float8 := 1000 / nullif((f->>'rate')::float8, 0);
    began float8 := extract(epoch FROM now()) * 1000;
BEGIN
    SELECT count(*) INTO unfit
      FROM jobs.dead_matching(f) AS d WHERE NOT jobs.dead_runs(d);

    WITH found AS (
        SELECT d.job_id FROM jobs.dead_matching(f) AS d WHERE jobs.dead_runs(d)
    ), taken AS (
        DELETE FROM jobs.dead AS d USING found
         WHERE d.job_id = found.job_id
        RETURNING d.*
    ), told AS (
        INSERT INTO jobs.outbox (queue, partition, kind, aggregate, payload)
        SELECT t.queue, t.partition, 'requeue',
               right(t.job_id, 36)::uuid,
               jsonb_build_object('id', t.job_id, 'entry', t.entry,
                   'not_before', coalesce(trunc(began + t.n * gap), 0),
                   'type', t.envelope->'type', 'sub', t.envelope->'sub',
                   'email', t.envelope->'email', 'key', t.envelope->'key',
                   'tp', t.envelope->'tp', 'ts', t.envelope->'ts',
                   'sealed', t.envelope->'sealed',
                   'body', t.envelope->'body')
          FROM (SELECT *, row_number() OVER (ORDER BY died_at, job_id) - 1 AS n
                  FROM taken) AS t
         ORDER BY t.n
        RETURNING 1
    )
    SELECT count(*) INTO requeued FROM told;
END $$;

CREATE FUNCTION jobs.drop_dead(f jsonb) RETURNS bigint
LANGUAGE plpgsql AS $$
DECLARE
    n bigint;
BEGIN
    WITH taken AS (
        DELETE FROM jobs.dead AS d USING jobs.dead_matching(f) AS m
         WHERE d.job_id = m.job_id
        RETURNING d.*
    ), told AS (
        INSERT INTO jobs.outbox (queue, partition, kind, aggregate, payload)
        SELECT queue, partition, 'drop', '00000000-0000-0000-0000-000000000000',
               jsonb_build_object('entry', entry)
          FROM taken WHERE entry IS NOT NULL
    )
    SELECT count(*) INTO n FROM taken;
    RETURN n;
END $$;

-- Those of one queue that are past their time, at most p_limit.
CREATE FUNCTION jobs.expire_dead(p_queue text, p_keep interval,
    p_limit integer) RETURNS bigint
LANGUAGE plpgsql AS $$
DECLARE
    n bigint;
BEGIN
    DELETE FROM jobs.dead WHERE job_id = ANY (ARRAY(
        SELECT d.job_id FROM jobs.dead AS d
         WHERE d.queue = p_queue AND d.died_at < now() - p_keep
         LIMIT p_limit));
    GET DIAGNOSTICS n = ROW_COUNT;
    RETURN n;
END $$;

-- What an operator sees of them over HTTP; errors are JSON but for texts that
-- something else than a worker wrote.
CREATE FUNCTION jobs.error_json(t text) RETURNS json
LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
    RETURN nullif(t, '')::json;
EXCEPTION WHEN OTHERS THEN
    RETURN to_json(t);
END $$;

CREATE VIEW travel.dead_jobs AS
    SELECT d.job_id, right(d.job_id, 36) AS uuid, d.queue, d.type, d.cause,
           d.sub, d.died_at,
           json_build_object(
               'job', d.job_id, 'queue', d.queue, 'type', d.type,
               'sub', d.sub, 'key', d.key, 'attempts', d.attempts,
               'cause', d.cause,
               'first_error', jobs.error_json(d.first_error),
               'last_error', jobs.error_json(d.last_error),
               'trace_id', nullif(d.trace, ''),
               'requeueable', jobs.dead_runs(d),
               'died_at', travel.rfc3339(d.died_at)) AS item,
           d.body
      FROM jobs.dead AS d;

GRANT SELECT ON travel.dead_jobs TO travel_edge;
GRANT EXECUTE ON FUNCTION jobs.error_json(text), jobs.dead_runs(jobs.dead)
    TO travel_edge, travel_worker;
GRANT EXECUTE ON FUNCTION jobs.dead_matching(jsonb), jobs.requeue_dead(jsonb),
    jobs.drop_dead(jsonb), jobs.expire_dead(text, interval, integer)
    TO travel_worker;

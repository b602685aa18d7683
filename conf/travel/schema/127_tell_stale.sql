-- For whoever changes rows of the product by SQL: the caches of all nodes hear of
-- it by a job (maintenance.stale) of the outbox, so after the commit, and only
-- then, nginx and workers running or not.

CREATE FUNCTION jobs.tell_stale(p_tags text[]) RETURNS uuid
LANGUAGE plpgsql AS $$
DECLARE
    job uuid := gen_random_uuid();
BEGIN
    INSERT INTO jobs.outbox (queue, partition, kind, aggregate, payload)
    VALUES ('maintenance', 0, 'job', job, jsonb_build_object(
        'id', 'maintenance.0.' || job, 'type', 'maintenance.stale',
        'sub', '00000000-0000-8000-8000-000000000000', 'key', job,
        'priority', 'high', 'not_before', 0,
        'bucket', (('x' || right(job::text, 3))::bit(12))::integer,
        'body', jsonb_build_object('tags', p_tags)));
    RETURN job;
END $$;
GRANT EXECUTE ON FUNCTION jobs.tell_stale(text[]) TO travel_worker;

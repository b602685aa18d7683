REVOKE EXECUTE ON FUNCTION ml.predict(uuid, text, timestamptz)
    FROM travel_worker;
DROP FUNCTION ml.predict_all(text, integer, uuid, text, text, integer);
DELETE FROM events.type WHERE stream_type = 'prediction';
DROP TABLE ml.prediction;

CREATE OR REPLACE FUNCTION jobs.notify(p_channel text, p_template text, p_users uuid[],
    p_data jsonb DEFAULT '{}') RETURNS SETOF uuid
LANGUAGE plpgsql AS $$
DECLARE
    batch uuid;
    i     integer := 1;
BEGIN
    IF p_channel NOT IN ('email', 'push') THEN
        RAISE EXCEPTION 'channel "%" is neither email nor push', p_channel;
    END IF;
    WHILE i <= cardinality(p_users) LOOP
        batch := gen_random_uuid();
        PERFORM jobs.notice_rows(batch, p_channel,
            (SELECT jsonb_agg(jsonb_build_object('user', u))
               FROM unnest(p_users[i:i + 9999]) AS u));
        INSERT INTO jobs.outbox (queue, partition, kind, aggregate, payload)
        VALUES ('notification', 0, 'job', batch, jsonb_build_object(
            'id', 'notification.0.' || batch, 'type', 'notification.batch',
            'sub', '00000000-0000-8000-8000-000000000000', 'key', batch,
            'priority', 'low', 'not_before', 0,
            'bucket', (('x' || right(batch::text, 3))::bit(12))::integer,
            'body', jsonb_build_object('channel', p_channel,
                'template', p_template, 'data', p_data)));
        RETURN NEXT batch;
        i := i + 10000;
    END LOOP;
END $$;
DROP FUNCTION jobs.tell_noticed(text, integer, uuid, text, jsonb);

CREATE OR REPLACE FUNCTION events.append_many(p events.fact[]) RETURNS void
LANGUAGE plpgsql SET plan_cache_mode = force_generic_plan AS $$
DECLARE
    wrong text := events.facts_wrong(p);
BEGIN
    IF wrong IS NOT NULL THEN
        RAISE EXCEPTION '%', wrong USING ERRCODE = 'check_violation';
    END IF;

    WITH f AS MATERIALIZED (SELECT f.* FROM unnest(p) AS f),
    s AS (
        INSERT INTO events.stream AS s (stream_type, stream_id, version)
        SELECT stream_type, stream_id, cardinality(types) FROM f
         ORDER BY stream_type, stream_id
        ON CONFLICT (stream_type, stream_id) DO UPDATE
            SET version = s.version + EXCLUDED.version,
                xid = pg_current_xact_id()
        RETURNING s.stream_type, s.stream_id, s.version),
    e AS MATERIALIZED (
        SELECT f.*, u.type, u.data AS d,
               s.version - cardinality(f.types) + u.n::integer AS version
          FROM f JOIN s USING (stream_type, stream_id),
               unnest(f.types, f.data) WITH ORDINALITY AS u(type, data, n)),
    written AS (
        INSERT INTO events.event (stream_type, stream_id, version, type, data,
                                  user_id, job_id, trace)
        SELECT stream_type, stream_id, version, type, d, user_id, job_id,
               trace FROM e)
    INSERT INTO jobs.outbox (queue, partition, kind, aggregate, payload, trace)
    SELECT queue, partition, 'live', stream_id, jsonb_build_object(
               'topics', array_remove(ARRAY['user:' || user_id || ':events',
                   CASE WHEN stream_type = 'journey'
                        THEN 'journey:' || stream_id END], NULL),
               'messages', jsonb_agg(jsonb_build_object('type', type,
                   'id', stream_id || '/' || version, 'data', d,
                   'aggregate', jsonb_build_object('type', stream_type,
                                                   'id', stream_id),
                   'ts', clock_timestamp()) ORDER BY version)),
           min(trace)
      FROM e
     GROUP BY queue, partition, stream_type, stream_id, user_id
     ORDER BY stream_id;
END $$;

DROP FUNCTION events.user_topic(text, uuid);
ALTER TABLE events.type DROP COLUMN channel;

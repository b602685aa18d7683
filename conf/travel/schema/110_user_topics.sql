-- What is told to a user's own topics besides "events" (user:{id}:predictions,
-- :insights, :notifications): an event by what stands with its type, a push or
-- a mail to many when it is decided upon.  By the outbox, in the transaction
-- that made the fact.

ALTER TABLE events.type ADD COLUMN channel text
    CHECK (channel IN ('predictions', 'insights', 'notifications'));

-- Where an event of that type goes, too, or NULL.
CREATE FUNCTION events.user_topic(p_type text, p_user uuid) RETURNS text
LANGUAGE sql STABLE AS $$
    SELECT 'user:' || p_user || ':' || channel FROM events.type
     WHERE type = p_type
$$;

-- A batch's messages of one stream to one topic are one row: the user's events
-- (and a journey's), and each channel that a type among them names.
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
               trace FROM e),
    m AS MATERIALIZED (
        SELECT e.queue, e.partition, e.stream_type, e.stream_id, e.user_id,
               e.trace, e.version, t.channel,
               jsonb_build_object('type', type,
                   'id', e.stream_id || '/' || e.version, 'data', e.d,
                   'aggregate', jsonb_build_object('type', e.stream_type,
                                                   'id', e.stream_id),
                   'ts', clock_timestamp()) AS message
          FROM e JOIN events.type AS t USING (type)),
    told AS (
        SELECT m.*, ARRAY['user:' || user_id || ':events',
                          CASE WHEN stream_type = 'journey'
                               THEN 'journey:' || stream_id END] AS topics
          FROM m
        UNION ALL
        SELECT m.*, ARRAY['user:' || user_id || ':' || channel]
          FROM m WHERE channel IS NOT NULL AND user_id IS NOT NULL)
    INSERT INTO jobs.outbox (queue, partition, kind, aggregate, payload, trace)
    SELECT queue, partition, 'live', stream_id, jsonb_build_object(
               'topics', array_remove(topics, NULL),
               'messages', jsonb_agg(message ORDER BY version)),
           min(trace)
      FROM told
     GROUP BY queue, partition, stream_type, stream_id, topics
     ORDER BY stream_id, min(version);
END $$;

UPDATE events.type SET channel = 'notifications'
 WHERE type IN ('booking.confirmed', 'booking.cancelled', 'booking.failed',
                'booking.cancel_failed');
-- What a provider has made of what was said about him.
UPDATE events.type SET channel = 'insights' WHERE type = 'persona.ready';

-- --- notices -----------------------------------------------------------------

-- Those whom a batch has rows for, a hundred of them to an outbox row.
CREATE FUNCTION jobs.tell_noticed(p_queue text, p_partition integer,
    p_batch uuid, p_template text, p_data jsonb) RETURNS void
LANGUAGE sql AS $$
    INSERT INTO jobs.outbox (queue, partition, kind, aggregate, payload)
    SELECT p_queue, p_partition, 'live', p_batch, jsonb_build_object(
               'topics', jsonb_agg('user:' || w.user_id || ':notifications'
                                   ORDER BY w.i),
               'message', jsonb_build_object('type', 'notification.made',
                   'id', p_batch, 'data', jsonb_build_object(
                       'template', p_template, 'data', w.data),
                   'aggregate', jsonb_build_object('type', 'notification',
                                                   'id', p_batch),
                   'ts', clock_timestamp()))
      FROM (SELECT n.user_id, n.data,
                   row_number() OVER (PARTITION BY n.data
                                      ORDER BY n.user_id) AS i
              FROM (SELECT DISTINCT o.user_id,
                           coalesce(o.data, p_data, '{}') AS data
                      FROM jobs.notice AS o
                     WHERE o.batch = p_batch AND o.user_id IS NOT NULL) AS n
           ) AS w
     GROUP BY w.data, (w.i - 1) / 100
$$;

CREATE OR REPLACE FUNCTION jobs.notify(p_channel text, p_template text,
    p_users uuid[], p_data jsonb DEFAULT '{}') RETURNS SETOF uuid
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
        PERFORM jobs.tell_noticed('notification', 0, batch, p_template,
                                  p_data);
        RETURN NEXT batch;
        i := i + 10000;
    END LOOP;
END $$;

-- --- predictions -------------------------------------------------------------

-- What a model that went live has said of those whose life was told of of
-- late; to whom it is new.
CREATE TABLE ml.prediction (
    id          uuid             PRIMARY KEY,
    user_id     uuid             NOT NULL,
    model_type  text             NOT NULL REFERENCES ml.kind,
    prediction  float8           NOT NULL,
    confidence  float8           NOT NULL,
    said        jsonb            NOT NULL,
    created_at  timestamptz      NOT NULL DEFAULT now()
);
CREATE INDEX prediction_user ON ml.prediction (user_id, created_at DESC, id);

INSERT INTO events.type (type, stream_type, fold, status, members, topic,
                         channel) VALUES
('prediction.made', 'prediction', 'merge', NULL,
    '{"kind": "string", "prediction": "number", "confidence": "number",
      "model_version": "integer"}', 'ai-agent-events', 'predictions');

-- Of the users who told of such a thing in the last day, the latest first.
CREATE FUNCTION ml.predict_all(p_kind text, p_max integer, p_job uuid,
    p_trace text, p_queue text, p_partition integer) RETURNS bigint
LANGUAGE plpgsql AS $$
DECLARE
    f events.fact[];
BEGIN
    WITH who AS (
        SELECT l.user_id FROM travel.life_events AS l
         WHERE l.type = p_kind AND l.type IN ('energy', 'mood')
           AND l.occurred_at > now() - interval '1 day'
         GROUP BY l.user_id ORDER BY max(l.occurred_at) DESC LIMIT p_max),
    made AS (
        INSERT INTO ml.prediction (id, user_id, model_type, prediction,
                                   confidence, said)
        SELECT gen_random_uuid(), w.user_id, p_kind,
               (p.said->>'prediction')::float8,
               (p.said->>'confidence')::float8, p.said
          FROM who AS w,
               LATERAL (SELECT ml.predict(w.user_id, p_kind, now())::jsonb
                               AS said) AS p
         WHERE p.said IS NOT NULL
        RETURNING id, user_id, said)
    SELECT array_agg(('prediction', m.id, ARRAY['prediction.made'],
                      ARRAY[m.said], m.user_id, p_job, p_trace, p_queue,
                      p_partition)::events.fact) INTO f
      FROM made AS m;

    IF f IS NOT NULL THEN
        PERFORM events.append_many(f);
    END IF;
    RETURN coalesce(cardinality(f), 0);
END $$;

GRANT SELECT, INSERT ON ml.prediction TO travel_worker;
GRANT SELECT ON ml.prediction TO travel_edge;
GRANT EXECUTE ON FUNCTION events.user_topic(text, uuid),
    jobs.tell_noticed(text, integer, uuid, text, jsonb),
    ml.predict(uuid, text, timestamptz),
    ml.predict_all(text, integer, uuid, text, text, integer)
    TO travel_worker;

DROP FUNCTION travel.bookings_confirm(text[], text[], integer[], bigint[],
    integer[], uuid[], uuid[], text[], text[], text[], text[], text[],
    text[]);
DROP FUNCTION travel.bookings_begin(text[], text[], integer[], bigint[],
    integer[], uuid[], uuid[], text[], text[], text[]);
DROP FUNCTION jobs.sagas_go_on(text[], text[], integer[], bigint[], integer[],
    uuid[], text[], text[], text[]);
DROP FUNCTION events.append_many(events.fact[]);
DROP FUNCTION events.facts_wrong(events.fact[]);
DROP TYPE events.fact;
DROP FUNCTION jobs.held(text[], text[], integer[], bigint[]);

CREATE OR REPLACE FUNCTION events.data_wrong(p_members jsonb, p_data jsonb) RETURNS text
LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
    m     record;
    name  text;
    found text;
BEGIN
    FOR m IN SELECT key, value FROM jsonb_each_text(p_members) LOOP
        name := rtrim(m.key, '?');
        found := coalesce(jsonb_typeof(p_data -> name), 'null');
        IF found = 'number' AND m.value = 'integer'
           AND (p_data ->> name)::numeric % 1 = 0
        THEN
            found := 'integer';
        END IF;
        IF found = m.value OR (found = 'null' AND m.key LIKE '%?') THEN
            CONTINUE;
        END IF;
        RETURN format('"%s" is %s, not %s', name, found, m.value);
    END LOOP;
    RETURN NULL;
END $$;

DROP FUNCTION events.kind_of(jsonb, text);

-- A job of a batch, an element of the array that a function is given.
CREATE TYPE jobs.batched AS (
    n         integer,      -- its place in the batch
    queue     text,
    partition integer,
    fence     bigint,
    id        uuid,
    job       text,         -- the job's whole id
    sub       uuid,
    email     text,         -- of the token, or NULL
    trace     text,
    body      jsonb,
    facts     jsonb         -- what the step is about
);

-- Those of 'p' whose partitions are still the owner's, locked as by
-- jobs.fenced.
CREATE FUNCTION jobs.held(p_owner text, p jsonb) RETURNS jobs.batched[]
LANGUAGE plpgsql SET plan_cache_mode = force_generic_plan AS $$
BEGIN
    RETURN (WITH r AS MATERIALIZED (
        SELECT x FROM jsonb_populate_recordset(NULL::jobs.batched, p) AS x),
    f AS MATERIALIZED (
        SELECT d.queue, d.partition, d.fence,
               jobs.fenced(d.queue, d.partition, p_owner, d.fence) AS ok
          FROM (SELECT DISTINCT (x).queue, (x).partition, (x).fence FROM r
                 ORDER BY 1, 2) AS d)
    SELECT array_agg(x) FROM r JOIN f ON f.queue = (x).queue
       AND f.partition = (x).partition AND f.fence = (x).fence WHERE f.ok);
END $$;

-- A domain event to be, and the partition whose outbox tells of it.
CREATE TYPE events.fact AS (
    stream_type text,
    stream_id   uuid,
    place       integer,    -- among its stream's in this batch, from 1
    type        text,
    data        jsonb,
    user_id     uuid,
    job_id      uuid,
    trace       text,
    queue       text,
    partition   integer
);

-- events.append for many, next versions only; and who watches is told, as by
-- the worker's transactions: one outbox row for what a stream gets.
CREATE FUNCTION events.append_many(p events.fact[]) RETURNS void
LANGUAGE plpgsql SET plan_cache_mode = force_generic_plan AS $$
DECLARE
    wrong text;
BEGIN
    SELECT coalesce(format('data of %s: %s', t.type,
                           events.data_wrong(t.members, e.data)),
                    format('events.type has no "%s" of a %s', e.type,
                           e.stream_type)) INTO wrong
      FROM unnest(p) AS e
      LEFT JOIN events.type AS t ON t.type = e.type
                                AND t.stream_type = e.stream_type
     WHERE t.type IS NULL OR events.data_wrong(t.members, e.data) IS NOT NULL
     LIMIT 1;

    IF wrong IS NOT NULL THEN
        RAISE EXCEPTION '%', wrong USING ERRCODE = 'check_violation';
    END IF;

    WITH many AS (
        SELECT e.stream_type, e.stream_id, count(*)::integer AS n
          FROM unnest(p) AS e GROUP BY 1, 2 ORDER BY 1, 2),
    s AS (
        INSERT INTO events.stream AS s (stream_type, stream_id, version)
        SELECT stream_type, stream_id, n FROM many
        ON CONFLICT (stream_type, stream_id) DO UPDATE
            SET version = s.version + EXCLUDED.version,
                xid = pg_current_xact_id()
        RETURNING s.stream_type, s.stream_id, s.version),
    e AS MATERIALIZED (
        SELECT e.*, s.version - many.n + e.place AS version
          FROM unnest(p) AS e
          JOIN many USING (stream_type, stream_id)
          JOIN s USING (stream_type, stream_id)),
    written AS (
        INSERT INTO events.event (stream_type, stream_id, version, type, data,
                                  user_id, job_id, trace)
        SELECT stream_type, stream_id, version, type, data, user_id, job_id,
               trace FROM e ORDER BY stream_id, version)
    INSERT INTO jobs.outbox (queue, partition, kind, aggregate, payload, trace)
    SELECT queue, partition, 'live', stream_id, jsonb_build_object(
               'topics', array_remove(ARRAY['user:' || user_id || ':events',
                   CASE WHEN stream_type = 'journey'
                        THEN 'journey:' || stream_id END], NULL),
               'messages', jsonb_agg(jsonb_build_object('type', type,
                   'id', stream_id || '/' || version, 'data', data,
                   'aggregate', jsonb_build_object('type', stream_type,
                                                   'id', stream_id),
                   'ts', clock_timestamp()) ORDER BY version)),
           min(trace)
      FROM e
     GROUP BY queue, partition, stream_type, stream_id, user_id
     ORDER BY stream_id;
END $$;

-- booking.create up to where the partner is asked: row pending,
-- booking.created, the saga on record and its step "hold" taken.
CREATE FUNCTION travel.bookings_begin(p_owner text, p jsonb)
RETURNS TABLE (n integer)
LANGUAGE plpgsql SET plan_cache_mode = force_generic_plan
SET enable_hashjoin = off SET enable_mergejoin = off SET enable_seqscan = off
AS $$
DECLARE
    r    jobs.batched[] := jobs.held(p_owner, p);
    f    events.fact[];
    seen uuid[] := ARRAY(
        SELECT i.job_id FROM jobs.inbox AS i
         WHERE i.job_id = ANY (ARRAY(SELECT x.id FROM unnest(r) AS x))
           AND i.step = 'create');
BEGIN
    SELECT array_agg(x) INTO r
      FROM unnest(r) AS x
      JOIN travel.users AS u
        ON u.id = x.sub AND (x.email IS NULL OR u.email IS NOT NULL)
      JOIN travel.partners AS t ON t.code = x.body->>'partner'
     WHERE (x.body->>'booking_date')::timestamptz > now()
       AND jsonb_typeof(x.body->'venue_id') = 'string'
       AND jsonb_typeof(x.body->'party_size') = 'number'
       AND (x.body->>'journey_id' IS NULL OR EXISTS
            (SELECT FROM travel.journeys AS j
              WHERE j.id = (x.body->>'journey_id')::uuid
                AND j.user_id = x.sub))
       AND x.id <> ALL (seen);

    IF r IS NULL THEN
        RETURN;
    END IF;

    WITH b AS (
        INSERT INTO travel.bookings AS b (id, user_id, journey_id, partner,
            venue_id, booking_date, party_size, status)
        SELECT x.id, x.sub, (x.body->>'journey_id')::uuid, x.body->>'partner',
               x.body->>'venue_id', (x.body->>'booking_date')::timestamptz,
               (x.body->>'party_size')::integer, 'pending'
          FROM unnest(r) AS x
        RETURNING b.id, travel.booking_json(b)::jsonb AS doc)
    SELECT array_agg(('booking', x.id, 1, 'booking.created', b.doc, x.sub,
                      x.id, x.trace, x.queue, x.partition)::events.fact)
      INTO f
      FROM b JOIN unnest(r) AS x USING (id);

    PERFORM events.append_many(f);

    WITH run AS (
        INSERT INTO jobs.saga_run (id, name, job_id, type, sub, email, key,
                                   body)
        SELECT x.id, 'booking', x.job, 'booking.create', x.sub, x.email, x.id,
               x.body
          FROM unnest(r) AS x),
    step AS (
        INSERT INTO jobs.saga (job_id, step, state, key, fence, lease)
        SELECT x.id, 'hold', 'taken', x.job || ':hold', x.fence,
               x.queue || '.' || x.partition
          FROM unnest(r) AS x)
    INSERT INTO jobs.inbox (job_id, step, result, tags)
    SELECT e.stream_id, 'create', e.data, array_remove(ARRAY[
               'user:' || e.user_id, 'bookings:' || e.user_id,
               'booking:' || e.stream_id,
               'journey:' || (e.data->>'journey_id')], NULL)
      FROM unnest(f) AS e;

    RETURN QUERY SELECT x.n FROM unnest(r) AS x;
END $$;

-- One step of sagas is over, the next is taken: facts {"step", "result",
-- "next"}.
CREATE FUNCTION jobs.sagas_go_on(p_owner text, p jsonb)
RETURNS TABLE (n integer)
LANGUAGE plpgsql SET plan_cache_mode = force_generic_plan
SET enable_hashjoin = off SET enable_mergejoin = off SET enable_seqscan = off
AS $$
DECLARE
    held jobs.batched[] := jobs.held(p_owner, p);
    ids  uuid[] := ARRAY(SELECT x.id FROM unnest(held) AS x);
    done text[] := ARRAY(SELECT DISTINCT x.facts->>'step'
                           FROM unnest(held) AS x);
BEGIN
    RETURN QUERY
    WITH r AS MATERIALIZED (SELECT x.* FROM unnest(held) AS x),
    s AS (
        UPDATE jobs.saga AS s
           SET state = 'done', result = r.facts->'result', updated_at = now()
          FROM r
         WHERE s.job_id = ANY (ids) AND s.step = ANY (done)
           AND s.job_id = r.id AND s.step = r.facts->>'step'
           AND s.state = 'taken' AND s.fence = r.fence
           AND s.lease = r.queue || '.' || r.partition
        RETURNING r.n, r.id, r.job, r.fence, s.lease,
                  r.facts->>'next' AS next),
    t AS (
        INSERT INTO jobs.saga (job_id, step, state, key, fence, lease)
        SELECT id, next, 'taken', job || ':' || next, fence, lease FROM s)
    SELECT s.n FROM s;
END $$;

-- booking.create from the partner's confirmation to its end: facts {"hold",
-- "pay", "confirm", "mail"}: what the steps yielded, and the follow-up job
-- but for its data.  "pay" may be missing.
CREATE FUNCTION travel.bookings_confirm(p_owner text, p jsonb)
RETURNS TABLE (n integer, booking json)
LANGUAGE plpgsql SET plan_cache_mode = force_generic_plan
SET enable_hashjoin = off SET enable_mergejoin = off SET enable_seqscan = off
AS $$
DECLARE
    r    jobs.batched[] := jobs.held(p_owner, p);
    ids  uuid[] := ARRAY(SELECT x.id FROM unnest(r) AS x);
    seen uuid[] := ARRAY(SELECT i.job_id FROM jobs.inbox AS i
                          WHERE i.job_id = ANY (ids) AND i.step = 'confirm');
BEGIN
    ids := ARRAY(SELECT b.id FROM travel.bookings AS b
                  WHERE b.id = ANY (ids) AND b.id <> ALL (seen)
                    AND b.status = 'pending' FOR NO KEY UPDATE);

    -- a step that somebody else has taken over keeps the booking from this
    WITH x AS MATERIALIZED (SELECT x.*, x AS whole FROM unnest(r) AS x),
    s AS (
        UPDATE jobs.saga AS s
           SET state = 'done', result = x.facts->'confirm', updated_at = now()
          FROM x
         WHERE s.job_id = ANY (ids) AND s.step = 'confirm'
           AND s.job_id = x.id AND s.state = 'taken' AND s.fence = x.fence
           AND s.lease = x.queue || '.' || x.partition
        RETURNING x.whole)
    SELECT array_agg(s.whole) INTO r FROM s;

    IF r IS NULL THEN
        RETURN;
    END IF;

    ids := ARRAY(SELECT x.id FROM unnest(r) AS x);
    UPDATE jobs.saga_run AS s SET state = 'done', updated_at = now()
     WHERE s.id = ANY (ids);

    RETURN QUERY
    WITH x AS MATERIALIZED (
        SELECT x.*, t.commission_bps, t.name AS partner_name, u.email AS mail,
               u.name, u.tz,
               coalesce(CASE WHEN jsonb_typeof(
                                  x.facts->'confirm'->'amount_cents')
                                  = 'number'
                             THEN x.facts->'confirm'->>'amount_cents' END,
                        x.facts->'hold'->>'amount_cents')::bigint AS cents
          FROM unnest(r) AS x
          JOIN travel.bookings AS b ON b.id = x.id AND b.id = ANY (ids)
          JOIN travel.partners AS t ON t.code = b.partner
          JOIN travel.users AS u ON u.id = b.user_id),
    b AS (
        UPDATE travel.bookings AS b
           SET status = 'confirmed',
               confirmation_number = x.facts->'confirm'
                                     ->>'confirmation_number',
               venue_name = x.facts->'confirm'->>'venue_name',
               amount_cents = x.cents, hold_id = x.facts->'hold'->>'hold_id',
               commission_cents = floor((x.cents::numeric * x.commission_bps
                                         + 5000) / 10000)::bigint,
               charge_id = x.facts->'pay'->>'charge_id',
               error = NULL, updated_at = now()
          FROM x WHERE b.id = ANY (ids) AND b.id = x.id
        RETURNING b.id, b.charge_id, travel.booking_json(b) AS doc,
                  to_char(b.booking_date AT TIME ZONE x.tz,
                          'FMDay, FMDD FMMonth YYYY, HH24:MI')
                  || ' (' || x.tz || ')' AS date,
                  to_char(b.amount_cents / 100.0, 'FM999999999990.00')
                  AS amount),
    d AS MATERIALIZED (
        SELECT b.*, b.doc::jsonb AS j, x.n, x.queue, x.partition, x.sub,
               x.email, x.trace, x.facts, x.commission_bps, x.partner_name,
               x.mail, x.name
          FROM b JOIN x USING (id)),
    told AS MATERIALIZED (
        SELECT events.append_many(array_agg(('booking', d.id, e.place,
                   e.type, e.data, d.sub, d.id, d.trace, d.queue,
                   d.partition)::events.fact))
          FROM d, LATERAL (
            SELECT row_number() OVER (ORDER BY v.k)::integer AS place, v.type,
                   v.data
              FROM (VALUES
                (1, 'payment.captured', CASE WHEN d.charge_id IS NOT NULL
                    THEN jsonb_build_object('charge_id', d.charge_id,
                        'amount_cents', d.j->'amount_cents') END),
                (2, 'booking.confirmed', jsonb_build_object(
                    'confirmation_number', d.j->'confirmation_number',
                    'venue_name', d.j->'venue_name',
                    'amount_cents', d.j->'amount_cents',
                    'partner', d.j->'partner', 'error', d.j->'error',
                    'updated_at', d.j->'updated_at')),
                (3, 'commission.calculated', jsonb_build_object(
                    'amount_cents', d.j->'amount_cents',
                    'commission_bps', d.commission_bps,
                    'commission_cents', d.j->'commission_cents',
                    'partner', d.j->'partner',
                    'updated_at', d.j->'updated_at'))) AS v (k, type, data)
             WHERE v.data IS NOT NULL) AS e),
    mail AS (
        INSERT INTO jobs.outbox (queue, partition, kind, aggregate, payload,
                                 trace)
        SELECT d.queue, d.partition, 'job', d.id,
               d.facts->'mail' || jsonb_build_object('body',
                   jsonb_build_object('template', 'booking_confirmed',
                       'to', coalesce(d.email, d.mail),
                       'data', jsonb_build_object(
                           'partner', d.partner_name,
                           'name', coalesce(d.name, 'traveller'),
                           'date', d.date, 'amount', d.amount,
                           'venue_name', d.j->'venue_name',
                           'party_size', d.j->'party_size',
                           'confirmation_number',
                           d.j->'confirmation_number',
                           'booking_id', d.j->'id'))), d.trace
          FROM d, told),
    seen AS (
        INSERT INTO jobs.inbox (job_id, step, result, tags)
        SELECT d.id, 'confirm', d.j, array_remove(ARRAY['user:' || d.sub,
                   'bookings:' || d.sub, 'booking:' || d.id,
                   'journey:' || (d.j->>'journey_id')], NULL)
          FROM d)
    SELECT d.n, d.doc FROM d;
END $$;

GRANT EXECUTE ON FUNCTION jobs.held(text, jsonb),
    jobs.sagas_go_on(text, jsonb), events.append_many(events.fact[]),
    travel.bookings_begin(text, jsonb), travel.bookings_confirm(text, jsonb)
    TO travel_worker;

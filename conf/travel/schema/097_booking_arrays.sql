-- Bookings by the batch (087) with their columns as arrays: nothing of a job
-- is written as JSON around its JSON and taken apart again, what an event must
-- have is looked up once a batch, and each step is one statement.
--
-- As there: plpgsql with plans made once.  A plan made while a table was empty
-- must do when it has grown, so the tables' rows are looked up by "= ANY", in
-- which an index is used whole, and joined by hashes.

DROP FUNCTION travel.bookings_confirm(text, jsonb);
DROP FUNCTION travel.bookings_begin(text, jsonb);
DROP FUNCTION jobs.sagas_go_on(text, jsonb);
DROP FUNCTION events.append_many(events.fact[]);
DROP FUNCTION jobs.held(text, jsonb);
DROP TYPE events.fact;
DROP TYPE jobs.batched;

-- Which of these partitions are still their owners', locked as by jobs.fenced.
CREATE FUNCTION jobs.held(p_owners text[], p_queues text[],
    p_partitions integer[], p_fences bigint[]) RETURNS boolean[]
LANGUAGE plpgsql AS $$
BEGIN
    RETURN ARRAY(SELECT jobs.fenced(f.queue, f.partition, f.owner, f.fence)
                   FROM unnest(p_owners, p_queues, p_partitions, p_fences)
                        WITH ORDINALITY AS f(owner, queue, partition, fence, n)
                  ORDER BY f.n);
END $$;

-- --- events -----------------------------------------------------------------

-- What a value is, in the words of events.type; asked for an integer, a number
-- that is one is called so.
CREATE FUNCTION events.kind_of(v jsonb, asked text) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE WHEN $2 = 'integer' AND jsonb_typeof($1) = 'number'
                     AND ($1 #>> '{}')::numeric % 1 = 0 THEN 'integer'
                ELSE coalesce(jsonb_typeof($1), 'null') END
$$;

CREATE OR REPLACE FUNCTION events.data_wrong(p_members jsonb, p_data jsonb)
RETURNS text
LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
    wrong text;
BEGIN
    SELECT format('"%s" is %s, not %s', rtrim(m.key, '?'),
                  events.kind_of(p_data -> rtrim(m.key, '?'), m.value), m.value)
      INTO wrong
      FROM jsonb_each_text(p_members) AS m
     WHERE events.kind_of(p_data -> rtrim(m.key, '?'), m.value) <> m.value
       AND NOT (m.key LIKE '%?'
                AND events.kind_of(p_data -> rtrim(m.key, '?'), '') = 'null')
     LIMIT 1;
    RETURN wrong;
END $$;

-- What a stream gets, at once, and the partition whose outbox tells of it.
CREATE TYPE events.fact AS (
    stream_type text,
    stream_id   uuid,
    types       text[],
    data        jsonb[],
    user_id     uuid,
    job_id      uuid,
    trace       text,
    queue       text,
    partition   integer
);

-- The first thing that is wrong with what the streams would get, or NULL.  A
-- type's members are taken apart once, however many events are of it.
CREATE FUNCTION events.facts_wrong(p events.fact[]) RETURNS text
LANGUAGE plpgsql STABLE SET plan_cache_mode = force_generic_plan AS $$
DECLARE
    wrong text;
BEGIN
    WITH e AS MATERIALIZED (
        SELECT f.stream_type, u.type, u.data
          FROM unnest(p) AS f, unnest(f.types, f.data) AS u(type, data)),
    m AS MATERIALIZED (
        SELECT t.stream_type, t.type, rtrim(k.key, '?') AS name, k.value AS kind,
               k.key LIKE '%?' AS may_lack
          FROM events.type AS t
          LEFT JOIN LATERAL jsonb_each_text(t.members) AS k ON true
         WHERE t.type IN (SELECT e.type FROM e))
    SELECT CASE WHEN m.type IS NULL
                THEN format('events.type has no "%s" of a %s', e.type,
                            e.stream_type)
                ELSE format('data of %s: "%s" is %s, not %s', e.type, m.name,
                            events.kind_of(e.data -> m.name, m.kind), m.kind)
           END INTO wrong
      FROM e LEFT JOIN m ON m.type = e.type AND m.stream_type = e.stream_type
     WHERE m.type IS NULL
        OR (events.kind_of(e.data -> m.name, m.kind) <> m.kind
            AND NOT (m.may_lack AND events.kind_of(e.data -> m.name, '')
                                    = 'null'))
     LIMIT 1;
    RETURN wrong;
END $$;

-- events.append for many, next versions only; and who watches is told, as by
-- the worker's transactions: one outbox row for what a stream gets.
CREATE FUNCTION events.append_many(p events.fact[]) RETURNS void
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

-- --- sagas --------------------------------------------------------------------

-- One step of sagas is over, with a result, and the next is taken.  Each
-- partition is p_queues to p_fences, each job p_of (its partition's place, from
-- 1) to p_nexts; so below.  Returns the places of the jobs it was done for.
CREATE FUNCTION jobs.sagas_go_on(p_owners text[], p_queues text[],
    p_partitions integer[], p_fences bigint[], p_of integer[], p_ids uuid[],
    p_steps text[], p_results text[], p_nexts text[])
RETURNS SETOF integer
LANGUAGE plpgsql SET plan_cache_mode = force_generic_plan
SET enable_nestloop = off SET enable_mergejoin = off SET enable_seqscan = off
AS $$
DECLARE
    held boolean[] := jobs.held(p_owners, p_queues, p_partitions, p_fences);
BEGIN
    RETURN QUERY
    WITH r AS MATERIALIZED (
        SELECT x.n::integer AS n, x.id, x.step, x.result::jsonb AS result,
               x.next, p_fences[x.of] AS fence,
               p_queues[x.of] || '.' || p_partitions[x.of] AS lease
          FROM unnest(p_of, p_ids, p_steps, p_results, p_nexts) WITH ORDINALITY
               AS x(of, id, step, result, next, n)
         WHERE held[x.of]),
    s AS (
        UPDATE jobs.saga AS s
           SET state = 'done', result = r.result, updated_at = now()
          FROM r
         WHERE s.job_id = ANY (p_ids) AND s.job_id = r.id AND s.step = r.step
           AND s.state = 'taken' AND s.fence = r.fence AND s.lease = r.lease
        RETURNING r.n, r.id, r.fence, r.lease, r.next),
    t AS (
        INSERT INTO jobs.saga (job_id, step, state, key, fence, lease)
        SELECT id, next, 'taken', lease || '.' || id || ':' || next, fence,
               lease FROM s)
    SELECT s.n FROM s;
END $$;

-- --- bookings -----------------------------------------------------------------

-- booking.create up to where the partner is asked: row pending,
-- booking.created, the saga on record and its step "hold" taken.
CREATE FUNCTION travel.bookings_begin(p_owners text[], p_queues text[],
    p_partitions integer[], p_fences bigint[], p_of integer[], p_ids uuid[],
    p_subs uuid[], p_emails text[], p_traces text[], p_bodies text[])
RETURNS SETOF integer
LANGUAGE plpgsql SET plan_cache_mode = force_generic_plan
SET enable_nestloop = off SET enable_mergejoin = off SET enable_seqscan = off
AS $$
DECLARE
    held boolean[] := jobs.held(p_owners, p_queues, p_partitions, p_fences);
    seen uuid[] := ARRAY(SELECT i.job_id FROM jobs.inbox AS i
                          WHERE i.job_id = ANY (p_ids) AND i.step = 'create');
BEGIN
    RETURN QUERY
    WITH x AS MATERIALIZED (
        SELECT x.n::integer AS n, x.id, x.sub, x.email, x.trace,
               x.body::jsonb AS body, x.of
          FROM unnest(p_of, p_ids, p_subs, p_emails, p_traces, p_bodies)
               WITH ORDINALITY AS x(of, id, sub, email, trace, body, n)
         WHERE held[x.of] AND x.id <> ALL (seen)),
    r AS MATERIALIZED (
        SELECT x.*, p_queues[x.of] AS queue, p_partitions[x.of] AS partition,
               p_fences[x.of] AS fence,
               p_queues[x.of] || '.' || p_partitions[x.of] AS lease,
               x.body->>'partner' AS partner,
               (x.body->>'journey_id')::uuid AS journey_id,
               (x.body->>'booking_date')::timestamptz AS booking_date
          FROM x
          JOIN travel.users AS u
            ON u.id = ANY (p_subs) AND u.id = x.sub
           AND (x.email IS NULL OR u.email IS NOT NULL)
          JOIN travel.partners AS t ON t.code = x.body->>'partner'
         WHERE (x.body->>'booking_date')::timestamptz > now()
           AND jsonb_typeof(x.body->'venue_id') = 'string'
           AND jsonb_typeof(x.body->'party_size') = 'number'
           AND (x.body->>'journey_id' IS NULL OR EXISTS
                (SELECT FROM travel.journeys AS j
                  WHERE j.id = (x.body->>'journey_id')::uuid
                    AND j.user_id = x.sub))),
    b AS (
        INSERT INTO travel.bookings AS b (id, user_id, journey_id, partner,
            venue_id, booking_date, party_size, status)
        SELECT id, sub, journey_id, partner, body->>'venue_id', booking_date,
               (body->>'party_size')::integer, 'pending'
          FROM r
        RETURNING b.id, travel.booking_json(b)::jsonb AS doc),
    d AS MATERIALIZED (SELECT r.*, b.doc FROM r JOIN b USING (id)),
    told AS MATERIALIZED (
        SELECT events.append_many(array_agg(('booking', id,
                   ARRAY['booking.created'], ARRAY[doc], sub, id, trace, queue,
                   partition)::events.fact)) FROM d),
    run AS (
        INSERT INTO jobs.saga_run (id, name, job_id, type, sub, email, key,
                                   body)
        SELECT id, 'booking', lease || '.' || id, 'booking.create', sub, email,
               id, body FROM d),
    step AS (
        INSERT INTO jobs.saga (job_id, step, state, key, fence, lease)
        SELECT id, 'hold', 'taken', lease || '.' || id || ':hold', fence, lease
          FROM d),
    done AS (
        INSERT INTO jobs.inbox (job_id, step, result, tags)
        SELECT id, 'create', doc, array_remove(ARRAY['user:' || sub,
                   'bookings:' || sub, 'booking:' || id,
                   'journey:' || journey_id], NULL) FROM d)
    SELECT d.n FROM d, told;
END $$;

-- booking.create from the partner's confirmation to its end: what the steps
-- yielded (p_pays may be NULL), and the follow-up job but for its body.
CREATE FUNCTION travel.bookings_confirm(p_owners text[], p_queues text[],
    p_partitions integer[], p_fences bigint[], p_of integer[], p_ids uuid[],
    p_subs uuid[], p_emails text[], p_traces text[], p_holds text[],
    p_pays text[], p_confirms text[], p_mails text[])
RETURNS TABLE (n integer, booking json)
LANGUAGE plpgsql SET plan_cache_mode = force_generic_plan
SET enable_nestloop = off SET enable_mergejoin = off SET enable_seqscan = off
AS $$
DECLARE
    held boolean[] := jobs.held(p_owners, p_queues, p_partitions, p_fences);
BEGIN
    RETURN QUERY
    WITH x AS MATERIALIZED (
        SELECT x.n::integer AS n, x.id, x.email, x.trace, x.hold::jsonb AS hold,
               x.pay::jsonb AS pay, x.confirm::jsonb AS confirm,
               x.mail::jsonb AS mail, p_queues[x.of] AS queue,
               p_partitions[x.of] AS partition, p_fences[x.of] AS fence,
               p_queues[x.of] || '.' || p_partitions[x.of] AS lease
          FROM unnest(p_of, p_ids, p_emails, p_traces, p_holds, p_pays,
                      p_confirms, p_mails) WITH ORDINALITY
               AS x(of, id, email, trace, hold, pay, confirm, mail, n)
         WHERE held[x.of]),
    -- a step that somebody else has taken over keeps the booking from this
    s AS (
        UPDATE jobs.saga AS s
           SET state = 'done', result = x.confirm, updated_at = now()
          FROM x
         WHERE s.job_id = ANY (p_ids) AND s.step = 'confirm'
           AND s.job_id = x.id AND s.state = 'taken' AND s.fence = x.fence
           AND s.lease = x.lease
        RETURNING x.*, coalesce(CASE
            WHEN jsonb_typeof(x.confirm->'amount_cents') = 'number'
            THEN x.confirm->>'amount_cents' END,
            x.hold->>'amount_cents')::bigint AS cents),
    b AS (
        UPDATE travel.bookings AS b
           SET status = 'confirmed',
               confirmation_number = s.confirm->>'confirmation_number',
               venue_name = s.confirm->>'venue_name', amount_cents = s.cents,
               hold_id = s.hold->>'hold_id',
               commission_cents = floor((s.cents::numeric * t.commission_bps
                                         + 5000) / 10000)::bigint,
               charge_id = s.pay->>'charge_id', error = NULL,
               updated_at = now()
          FROM s, travel.partners AS t, travel.users AS u
         WHERE b.id = ANY (p_ids) AND b.id = s.id AND b.status = 'pending'
           AND t.code = b.partner AND u.id = ANY (p_subs) AND u.id = b.user_id
        RETURNING s.n, s.queue, s.partition, s.trace, s.mail,
                  coalesce(s.email, u.email) AS address,
                  coalesce(u.name, 'traveller') AS name,
                  t.name AS partner_name, t.commission_bps, b.id, b.user_id,
                  b.journey_id, b.charge_id, travel.booking_json(b) AS doc,
                  to_char(b.booking_date AT TIME ZONE u.tz,
                          'FMDay, FMDD FMMonth YYYY, HH24:MI')
                  || ' (' || u.tz || ')' AS date,
                  to_char(b.amount_cents / 100.0, 'FM999999999990.00')
                  AS amount),
    d AS MATERIALIZED (SELECT b.*, b.doc::jsonb AS j FROM b),
    e AS MATERIALIZED (
        SELECT d.*, jsonb_build_object(
                   'confirmation_number', j->'confirmation_number',
                   'venue_name', j->'venue_name',
                   'amount_cents', j->'amount_cents', 'partner', j->'partner',
                   'error', j->'error', 'updated_at', j->'updated_at')
                   AS confirmed,
               jsonb_build_object(
                   'amount_cents', j->'amount_cents',
                   'commission_bps', commission_bps,
                   'commission_cents', j->'commission_cents',
                   'partner', j->'partner', 'updated_at', j->'updated_at')
                   AS commission,
               CASE WHEN charge_id IS NOT NULL THEN jsonb_build_object(
                   'charge_id', charge_id, 'amount_cents', j->'amount_cents')
               END AS captured
          FROM d),
    told AS MATERIALIZED (
        SELECT events.append_many(array_agg(('booking', id,
                   array_remove(ARRAY[CASE WHEN captured IS NOT NULL
                                           THEN 'payment.captured' END,
                                'booking.confirmed', 'commission.calculated'],
                                NULL),
                   array_remove(ARRAY[captured, confirmed, commission], NULL),
                   user_id, id, trace, queue, partition)::events.fact))
          FROM e),
    run AS (
        UPDATE jobs.saga_run AS r SET state = 'done', updated_at = now()
          FROM d WHERE r.id = ANY (p_ids) AND r.id = d.id),
    mail AS (
        INSERT INTO jobs.outbox (queue, partition, kind, aggregate, payload,
                                 trace)
        SELECT queue, partition, 'job', id,
               mail || jsonb_build_object('body', jsonb_build_object(
                   'template', 'booking_confirmed', 'to', address, 'data',
                   jsonb_build_object('partner', partner_name, 'name', name,
                       'date', date, 'amount', amount,
                       'venue_name', j->'venue_name',
                       'party_size', j->'party_size',
                       'confirmation_number', j->'confirmation_number',
                       'booking_id', j->'id'))), trace
          FROM d, told),
    seen AS (
        INSERT INTO jobs.inbox (job_id, step, result, tags)
        SELECT id, 'confirm', j, array_remove(ARRAY['user:' || user_id,
                   'bookings:' || user_id, 'booking:' || id,
                   'journey:' || journey_id], NULL) FROM d)
    SELECT d.n, d.doc FROM d;
END $$;

GRANT EXECUTE ON FUNCTION jobs.held(text[], text[], integer[], bigint[]),
    events.kind_of(jsonb, text), events.facts_wrong(events.fact[]),
    events.append_many(events.fact[]),
    jobs.sagas_go_on(text[], text[], integer[], bigint[], integer[], uuid[],
        text[], text[], text[]),
    travel.bookings_begin(text[], text[], integer[], bigint[], integer[],
        uuid[], uuid[], text[], text[], text[]),
    travel.bookings_confirm(text[], text[], integer[], bigint[], integer[],
        uuid[], uuid[], text[], text[], text[], text[], text[], text[])
    TO travel_worker;

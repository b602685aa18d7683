ALTER TABLE jobs.outbox RESET (autovacuum_vacuum_scale_factor,
    autovacuum_vacuum_threshold);
ALTER TABLE jobs.saga SET (fillfactor = 50);
ALTER TABLE travel.bookings SET (fillfactor = 50);

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

-- booking.create up to where the partner is asked: row pending,
-- booking.created, the saga on record and its step "hold" taken.
CREATE OR REPLACE FUNCTION travel.bookings_begin(p_owners text[], p_queues text[],
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
CREATE OR REPLACE FUNCTION travel.bookings_confirm(p_owners text[], p_queues text[],
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

DROP TRIGGER must_have_told ON travel.bookings;
DROP TRIGGER must_have_told_new ON travel.bookings;
DROP TRIGGER must_tell ON travel.bookings;
CREATE CONSTRAINT TRIGGER must_tell AFTER INSERT OR UPDATE
    ON travel.bookings DEFERRABLE INITIALLY DEFERRED FOR EACH ROW
    EXECUTE FUNCTION events.must_tell('booking');
DROP FUNCTION events.must_have_told();

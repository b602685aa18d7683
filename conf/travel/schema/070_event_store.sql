-- The event store grown up: which events there are and what they do to the
-- state of their aggregate, any aggregate's state at any time, tailing without
-- gaps, projections, snapshots; and nobody changes the product's rows without
-- saying so in an event.

-- Streams for others to follow.  An event goes to the topic of its type, into
-- one partition per aggregate, and is kept there for 'retention'.
CREATE TABLE events.topic (
    name        text     PRIMARY KEY CHECK (name ~ '^[a-z-]{1,40}$'),
    partitions  integer  NOT NULL CHECK (partitions BETWEEN 1 AND 256),
    retention   interval NOT NULL
);
INSERT INTO events.topic VALUES
    ('trip-events', 12, '7 days'), ('booking-events', 6, '30 days'),
    ('ai-agent-events', 24, '1 day'), ('analytics-events', 8, '90 days');

-- Every type that may be appended.
--   fold     'merge': the data are members of the state; a word: they are put
--            below that member of the state; '': the state does not change
--   status   what "status" of the state becomes, if anything
--   members  what the data must have: {"name": "string"}; a name that ends
--            with '?' may be missing or null
CREATE TABLE events.type (
    type        text    PRIMARY KEY,
    stream_type text    NOT NULL,
    fold        text    NOT NULL DEFAULT 'merge' CHECK (fold ~ '^[a-z_]*$'),
    status      text,
    members     jsonb   NOT NULL DEFAULT '{}'
                CHECK (jsonb_typeof(members) = 'object'),
    topic       text    REFERENCES events.topic
);
INSERT INTO events.type (type, stream_type, fold, status, members, topic) VALUES
('user.created',      'user',    'merge', NULL, '{"email?": "string"}',
    'analytics-events'),
('user.updated',      'user',    'merge', NULL, '{}', 'analytics-events'),
('user.logged_in',    'user',    '',      NULL, '{}', 'analytics-events'),
('journey.started',   'journey', 'merge', 'active',
    '{"origin": "object", "destination": "object"}', 'trip-events'),
('journey.completed', 'journey', 'merge', 'completed', '{}', 'trip-events'),
('journey.failed',    'journey', 'error', 'failed',
    '{"code": "string"}', 'trip-events'),
('story.requested',   'story',   'merge', 'pending',
    '{"journey_id": "string"}', 'ai-agent-events'),
('story.generated',   'story',   'merge', 'ready',
    '{"journey_id": "string"}', 'ai-agent-events'),
('story.failed',      'story',   'error', 'failed',
    '{"code": "string"}', 'ai-agent-events'),
('booking.created',   'booking', 'merge', 'pending',
    '{"partner": "string", "venue_id": "string", "party_size": "integer"}',
    'booking-events'),
('booking.confirmed', 'booking', 'merge', 'confirmed',
    '{"confirmation_number": "string"}', 'booking-events'),
('booking.cancelling', 'booking', '', 'cancelling', '{}', 'booking-events'),
('booking.cancelled', 'booking', 'merge', 'cancelled', '{}',
    'booking-events'),
('booking.cancel_failed', 'booking', '', 'confirmed',
    '{"code": "string"}', 'booking-events'),
('booking.failed',    'booking', 'error', 'failed',
    '{"code": "string"}', 'booking-events'),
('commission.calculated', 'booking', 'merge', NULL,
    '{"commission_cents": "integer", "commission_bps": "integer"}',
    'booking-events'),
('commission.reversed', 'booking', '', NULL,
    '{"commission_cents": "integer"}', 'booking-events'),
('notification.failed', 'notification', 'error', 'failed',
    '{"code": "string"}', NULL),
('system.error',      'system',  '',      NULL, '{"code": "string"}', NULL),
('trip_created',      'trip',    'merge', NULL,
    '{"user_id": "string", "trip_id": "string", "destination": "object",
      "dates": "object", "preferences": "object"}', 'trip-events'),
('itinerary_generated', 'trip',  'itinerary', NULL,
    '{"trip_id": "string", "itinerary_id": "string", "version": "integer",
      "items": "array"}', 'trip-events'),
('booking_requested', 'trip',    '',      NULL,
    '{"trip_id": "string", "item_id": "string", "provider": "string",
      "details": "object"}', 'booking-events'),
('trend_detected',    'trend',   'merge', NULL,
    '{"location": "object", "trend_type": "string", "confidence": "number",
      "source": "string", "metadata": "object"}', 'analytics-events');

-- What is wrong with an event's data, or NULL.
CREATE FUNCTION events.data_wrong(p_members jsonb, p_data jsonb) RETURNS text
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

-- The transaction that moved a stream last: events.must_tell compares it.
-- The time of an event is read while its stream is locked, so that it grows
-- with the version.
ALTER TABLE events.stream ADD COLUMN xid xid8 NOT NULL
    DEFAULT pg_current_xact_id();
ALTER TABLE events.event ALTER COLUMN created_at
    SET DEFAULT clock_timestamp();
CREATE INDEX event_xid ON events.event (xid, position);

CREATE OR REPLACE FUNCTION events.append(p_stream_type text, p_stream_id uuid,
    p_expected integer, p_type text, p_data jsonb, p_user uuid, p_job uuid,
    p_trace text) RETURNS integer
LANGUAGE plpgsql AS $$
DECLARE
    v     integer;
    t     events.type;
    wrong text;
BEGIN
    SELECT * INTO t FROM events.type WHERE type = p_type;
    IF NOT FOUND OR t.stream_type <> p_stream_type THEN
        RAISE EXCEPTION 'events.type has no "%" of a %', p_type, p_stream_type
            USING ERRCODE = 'check_violation';
    END IF;
    wrong := events.data_wrong(t.members, p_data);
    IF wrong IS NOT NULL THEN
        RAISE EXCEPTION 'data of %: %', p_type, wrong
            USING ERRCODE = 'check_violation';
    END IF;

    INSERT INTO events.stream AS s (stream_type, stream_id, version)
    VALUES (p_stream_type, p_stream_id, 1)
    ON CONFLICT (stream_type, stream_id) DO UPDATE
        SET version = s.version + 1, xid = pg_current_xact_id()
    RETURNING version INTO v;

    IF p_expected IS NOT NULL AND v <> p_expected + 1 THEN
        RAISE EXCEPTION 'stream % % is at version %, not %', p_stream_type,
            p_stream_id, v - 1, p_expected
            USING ERRCODE = 'serialization_failure';
    END IF;

    INSERT INTO events.event (stream_type, stream_id, version, type, data,
                              user_id, job_id, trace)
    VALUES (p_stream_type, p_stream_id, v, p_type, p_data, p_user, p_job,
            p_trace);
    RETURN v;
END $$;

-- --- append-only -----------------------------------------------------------

-- Row triggers are copied to partitions, statement triggers are not.
CREATE FUNCTION events.guard_partition(p_partition regclass) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_trigger WHERE tgrelid = p_partition
                    AND tgname = 'event_no_truncate')
    THEN
        EXECUTE format('CREATE TRIGGER event_no_truncate BEFORE TRUNCATE ON %s '
                       'EXECUTE FUNCTION events.refuse_change()', p_partition);
    END IF;
END $$;
SELECT events.guard_partition('events.event');
SELECT events.guard_partition(inhrelid::regclass) FROM pg_inherits
 WHERE inhparent = 'events.event'::regclass;

-- Whoever may run the workers' jobs may have partitions made, not made by hand.
CREATE OR REPLACE FUNCTION events.ensure_partitions(p_ahead integer)
RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    first timestamptz := date_trunc('month', now(), 'UTC');
    made  integer := 0;
    name  text;
BEGIN
    FOR i IN 0 .. least(p_ahead, 120) LOOP
        name := 'event_' || to_char((first AT TIME ZONE 'UTC')
                                    + make_interval(months => i), 'YYYY_MM');
        IF to_regclass('events.' || name) IS NULL THEN
            EXECUTE format('CREATE TABLE events.%I PARTITION OF events.event '
                           'FOR VALUES FROM (%L) TO (%L)', name,
                           ((first AT TIME ZONE 'UTC')
                            + make_interval(months => i)) AT TIME ZONE 'UTC',
                           ((first AT TIME ZONE 'UTC')
                            + make_interval(months => i + 1))
                           AT TIME ZONE 'UTC');
            PERFORM events.guard_partition(
                        ('events.' || quote_ident(name))::regclass);
            made := made + 1;
        END IF;
    END LOOP;
    RETURN made;
END $$;

-- --- what was and what is --------------------------------------------------

CREATE FUNCTION events.get_events(p_stream_type text, p_stream_id uuid,
    p_after_version integer, p_limit integer) RETURNS SETOF events.event
LANGUAGE sql STABLE AS $$
    SELECT * FROM events.event
     WHERE stream_type = p_stream_type AND stream_id = p_stream_id
       AND version > p_after_version
     ORDER BY version LIMIT p_limit
$$;

-- Newest first: the audit of what somebody did.
CREATE FUNCTION events.get_user_events(p_user uuid, p_before timestamptz,
    p_limit integer) RETURNS SETOF events.event
LANGUAGE sql STABLE AS $$
    SELECT * FROM events.event
     WHERE user_id = p_user AND created_at < p_before
     ORDER BY created_at DESC, position DESC LIMIT p_limit
$$;

CREATE FUNCTION events.apply(p_state jsonb, e events.event) RETURNS jsonb
LANGUAGE plpgsql STABLE AS $$
DECLARE
    t events.type;
    s jsonb := coalesce(p_state,
        jsonb_build_object('id', e.stream_id, 'user_id', e.user_id,
                           'created_at', e.created_at));
BEGIN
    SELECT * INTO t FROM events.type WHERE type = e.type;
    IF t.fold = 'merge' THEN
        s := s || e.data;
    ELSIF t.fold <> '' THEN
        s := s || jsonb_build_object(t.fold, e.data);
    END IF;
    IF t.status IS NOT NULL THEN
        s := s || jsonb_build_object('status', t.status);
    END IF;
    IF e.data ? 'updated_at' THEN
        RETURN s || jsonb_build_object('updated_at', e.data -> 'updated_at');
    END IF;
    RETURN s || jsonb_build_object('updated_at', e.created_at);
END $$;

-- Where folding may begin: states that were once computed.
CREATE TABLE events.snapshot (
    stream_type text        NOT NULL,
    stream_id   uuid        NOT NULL,
    version     integer     NOT NULL,
    at          timestamptz NOT NULL,
    state       jsonb       NOT NULL,
    PRIMARY KEY (stream_type, stream_id, version)
);

-- The state of an aggregate as it was at p_at; NULL: it was not there yet.
CREATE FUNCTION events.state_at(p_stream_type text, p_stream_id uuid,
    p_at timestamptz) RETURNS jsonb
LANGUAGE plpgsql STABLE AS $$
DECLARE
    s events.snapshot;
    j jsonb;
BEGIN
    SELECT * INTO s FROM events.snapshot AS n
     WHERE n.stream_type = p_stream_type AND n.stream_id = p_stream_id
       AND n.at <= p_at
     ORDER BY n.version DESC LIMIT 1;
    SELECT events.apply_all(s.state, array_agg(e ORDER BY e.version)) INTO j
      FROM events.event AS e
     WHERE e.stream_type = p_stream_type AND e.stream_id = p_stream_id
       AND e.version > coalesce(s.version, 0) AND e.created_at <= p_at;
    RETURN j;
END $$;

CREATE FUNCTION events.apply_all(p_state jsonb, p_events events.event[])
RETURNS jsonb
LANGUAGE plpgsql STABLE AS $$
DECLARE
    e events.event;
    s jsonb := p_state;
BEGIN
    FOREACH e IN ARRAY coalesce(p_events, '{}') LOOP
        s := events.apply(s, e);
    END LOOP;
    RETURN s;
END $$;

-- Snapshots of streams that have grown by p_every since their last one.
CREATE FUNCTION events.take_snapshots(p_every integer, p_limit integer)
RETURNS integer
LANGUAGE plpgsql AS $$
DECLARE
    st   record;
    last record;
    made integer := 0;
BEGIN
    FOR st IN
        SELECT s.stream_type, s.stream_id
          FROM events.stream AS s
         WHERE s.version >= p_every
           AND s.version - p_every >= coalesce(
               (SELECT max(n.version) FROM events.snapshot AS n
                 WHERE n.stream_type = s.stream_type
                   AND n.stream_id = s.stream_id), 0)
         LIMIT p_limit
    LOOP
        SELECT e.version, e.created_at INTO last FROM events.event AS e
         WHERE e.stream_type = st.stream_type AND e.stream_id = st.stream_id
         ORDER BY e.version DESC LIMIT 1;
        INSERT INTO events.snapshot
        VALUES (st.stream_type, st.stream_id, last.version, last.created_at,
                events.state_at(st.stream_type, st.stream_id,
                                last.created_at))
        ON CONFLICT DO NOTHING;
        made := made + 1;
    END LOOP;
    RETURN made;
END $$;

-- Months whose events are all older than p_keep leave events.event for the
-- schema events_archive, each stream's state at their end kept as a snapshot.
CREATE SCHEMA IF NOT EXISTS events_archive;
CREATE FUNCTION events.archive(p_keep interval) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    part record;
    gone integer := 0;
BEGIN
    FOR part IN
        SELECT c.oid::regclass AS rel, c.relname
          FROM pg_inherits AS i JOIN pg_class AS c ON c.oid = i.inhrelid
         WHERE i.inhparent = 'events.event'::regclass
           AND c.relname ~ '^event_\d{4}_\d{2}$'
           AND to_date(substr(c.relname, 7), 'YYYY_MM') + interval '1 month'
               < now() - greatest(p_keep, interval '31 days')
         ORDER BY c.relname
    LOOP
        EXECUTE format(
            'INSERT INTO events.snapshot '
            'SELECT l.stream_type, l.stream_id, l.version, l.at, '
            '       events.state_at(l.stream_type, l.stream_id, l.at) '
            '  FROM (SELECT stream_type, stream_id, max(version) AS version, '
            '               max(created_at) AS at FROM %s GROUP BY 1, 2) AS l '
            'ON CONFLICT DO NOTHING', part.rel);
        EXECUTE format('ALTER TABLE events.event DETACH PARTITION %s',
                       part.rel);
        EXECUTE format('ALTER TABLE %s SET SCHEMA events_archive', part.rel);
        gone := gone + 1;
    END LOOP;
    RETURN gone;
END $$;

-- --- tailing and projections -----------------------------------------------

-- Up to which transaction a reader that has all before p_from may go on: all
-- events with p_from <= xid < the answer are there for good, none of an
-- earlier version of their stream is still to come, and they are about
-- p_limit.  Equal to p_from: nothing yet.
--
-- Positions are no such thing: a sequence gives them before the commit.  Nor is
-- the order of transactions that of versions (one that began earlier may have
-- waited for the stream): hence the second condition.  Read in the order of
-- positions, versions of a stream come in order.
CREATE FUNCTION events.horizon(p_from xid8, p_limit integer) RETURNS xid8
LANGUAGE plpgsql STABLE AS $$
DECLARE
    top   xid8 := pg_snapshot_xmin(pg_current_snapshot());
    first xid8;
    h     xid8;
    lower xid8;
    n     integer := greatest(p_limit, 1);
BEGIN
    SELECT e.xid INTO first FROM events.event AS e
     WHERE e.xid >= p_from AND e.xid < top ORDER BY e.xid LIMIT 1;
    IF NOT FOUND THEN
        RETURN greatest(top, p_from);
    END IF;
    LOOP
        SELECT e.xid INTO h FROM events.event AS e
         WHERE e.xid >= p_from AND e.xid < top
         ORDER BY e.xid OFFSET n LIMIT 1;
        IF NOT FOUND THEN
            h := top;
        ELSIF h = first THEN     -- a transaction is taken whole
            h := (first::text::numeric + 1)::text::xid8;
        END IF;
        LOOP
            SELECT min(e.xid::text::numeric)::text::xid8 INTO lower
              FROM events.event AS e
             WHERE e.xid >= p_from AND e.xid < h
               AND EXISTS (SELECT FROM events.event AS p
                            WHERE p.stream_type = e.stream_type
                              AND p.stream_id = e.stream_id
                              AND p.version < e.version AND p.xid >= h);
            EXIT WHEN lower IS NULL;
            h := lower;
        END LOOP;
        IF h > first OR n > 1000000 THEN
            RETURN h;
        END IF;
        n := n * 4 + 16;
    END LOOP;
END $$;

CREATE FUNCTION events.tail(p_from xid8, p_to xid8) RETURNS SETOF events.event
LANGUAGE sql STABLE AS $$
    SELECT * FROM events.event WHERE xid >= p_from AND xid < p_to
     ORDER BY position
$$;

-- A projection is a function (generation integer, e events.event) and tables
-- whose rows carry their generation.  Readers see the live one; a rebuild
-- makes the next one beside it, which becomes live when it has caught up.
CREATE TABLE events.projection (
    name        text        NOT NULL,
    generation  integer     NOT NULL,
    handler     regproc     NOT NULL,
    tables      regclass[]  NOT NULL,
    checkpoint  xid8        NOT NULL DEFAULT '0',
    events      bigint      NOT NULL DEFAULT 0,
    live        boolean     NOT NULL,
    updated_at  timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (name, generation)
);
CREATE UNIQUE INDEX projection_live ON events.projection (name) WHERE live;

CREATE FUNCTION events.generation(p_name text) RETURNS integer
LANGUAGE sql STABLE AS $$
    SELECT generation FROM events.projection WHERE name = p_name AND live
$$;

-- Takes a batch into one generation; the checkpoint moves in the same
-- transaction.  Returns how many events, -1 when somebody else is at it.
CREATE FUNCTION events.project(p_name text, p_generation integer,
    p_limit integer) RETURNS integer
LANGUAGE plpgsql AS $$
DECLARE
    p events.projection;
    h xid8;
    e events.event;
    n integer := 0;
BEGIN
    SELECT * INTO p FROM events.projection
     WHERE name = p_name AND generation = p_generation
       FOR UPDATE SKIP LOCKED;
    IF NOT FOUND THEN
        RETURN -1;
    END IF;
    h := events.horizon(p.checkpoint, p_limit);
    FOR e IN SELECT * FROM events.tail(p.checkpoint, h) LOOP
        EXECUTE format('SELECT %s($1, $2)', p.handler) USING p.generation, e;
        n := n + 1;
    END LOOP;
    UPDATE events.projection
       SET checkpoint = h, events = events + n, updated_at = now()
     WHERE name = p_name AND generation = p_generation;
    RETURN n;
END $$;

-- A new generation from the first event on; rows of one that never became live
-- are dropped.
CREATE FUNCTION events.rebuild(p_name text) RETURNS integer
LANGUAGE plpgsql AS $$
DECLARE
    p events.projection;
    o events.projection;
    t regclass;
BEGIN
    SELECT * INTO STRICT p FROM events.projection
     WHERE name = p_name AND live FOR UPDATE;
    FOR o IN SELECT * FROM events.projection
              WHERE name = p_name AND NOT live FOR UPDATE
    LOOP
        FOREACH t IN ARRAY o.tables LOOP
            EXECUTE format('DELETE FROM %s WHERE generation = $1', t)
              USING o.generation;
        END LOOP;
        DELETE FROM events.projection
         WHERE name = p_name AND generation = o.generation;
    END LOOP;
    INSERT INTO events.projection (name, generation, handler, tables, live)
    VALUES (p_name, p.generation + 1, p.handler, p.tables, false);
    RETURN p.generation + 1;
END $$;

-- The generation takes the live one's place, if it is not behind it.
CREATE FUNCTION events.switch(p_name text, p_generation integer)
RETURNS boolean
LANGUAGE plpgsql AS $$
DECLARE
    old events.projection;
    new events.projection;
    t   regclass;
BEGIN
    SELECT * INTO old FROM events.projection
     WHERE name = p_name AND live FOR UPDATE;
    SELECT * INTO new FROM events.projection
     WHERE name = p_name AND generation = p_generation AND NOT live FOR UPDATE;
    IF new.name IS NULL OR EXISTS
        (SELECT FROM events.event AS e
          WHERE e.xid >= new.checkpoint AND e.xid < old.checkpoint)
    THEN
        RETURN false;
    END IF;
    UPDATE events.projection SET live = false
     WHERE name = p_name AND generation = old.generation;
    UPDATE events.projection SET live = true, updated_at = now()
     WHERE name = p_name AND generation = p_generation;
    FOREACH t IN ARRAY old.tables LOOP
        EXECUTE format('DELETE FROM %s WHERE generation = $1', t)
          USING old.generation;
    END LOOP;
    DELETE FROM events.projection
     WHERE name = p_name AND generation = old.generation;
    RETURN true;
END $$;

-- How often each way is travelled: the first projection.
CREATE TABLE travel.route_counts (
    generation           integer NOT NULL,
    origin_place_id      bigint  NOT NULL,
    destination_place_id bigint  NOT NULL,
    journeys             bigint  NOT NULL,
    last_at              timestamptz NOT NULL,
    PRIMARY KEY (generation, origin_place_id, destination_place_id)
);
CREATE INDEX route_counts_most ON travel.route_counts
    (generation, journeys DESC);

CREATE FUNCTION events.count_route(p_generation integer, e events.event)
RETURNS void
LANGUAGE sql AS $$
    INSERT INTO travel.route_counts AS c
    SELECT p_generation, (e.data #>> '{origin,place_id}')::bigint,
           (e.data #>> '{destination,place_id}')::bigint, 1, e.created_at
     WHERE e.type = 'journey.started'
       AND e.data #>> '{origin,place_id}' IS NOT NULL
       AND e.data #>> '{destination,place_id}' IS NOT NULL
    ON CONFLICT (generation, origin_place_id, destination_place_id)
    DO UPDATE SET journeys = c.journeys + 1,
                  last_at = greatest(c.last_at, EXCLUDED.last_at)
$$;
INSERT INTO events.projection (name, generation, handler, tables, live)
VALUES ('popular_routes', 1, 'events.count_route',
        '{travel.route_counts}', true);

-- --- no change without an event ----------------------------------------------

-- At the end of a worker's transaction each row of the product that it changed
-- must have got an event.  The owner, who migrates and mends, is not asked.
CREATE FUNCTION events.must_tell() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF session_user = 'travel_worker' AND NOT EXISTS
        (SELECT FROM events.stream
          WHERE stream_type = TG_ARGV[0] AND stream_id = NEW.id
            AND xid = pg_current_xact_id())
    THEN
        RAISE EXCEPTION 'the % % was changed without an event', TG_ARGV[0],
            NEW.id USING ERRCODE = 'check_violation';
    END IF;
    RETURN NULL;
END $$;

DO $$
DECLARE
    pair text[];
BEGIN
    FOREACH pair SLICE 1 IN ARRAY ARRAY[['users', 'user'],
        ['journeys', 'journey'], ['stories', 'story'], ['bookings', 'booking']]
    LOOP
        EXECUTE format('CREATE CONSTRAINT TRIGGER must_tell AFTER INSERT OR '
                       'UPDATE ON travel.%I DEFERRABLE INITIALLY DEFERRED '
                       'FOR EACH ROW EXECUTE FUNCTION events.must_tell(%L)',
                       pair[1], pair[2]);
    END LOOP;
END $$;

-- --- what the edge may ask ---------------------------------------------------

CREATE FUNCTION travel.state_at(p_stream_type text, p_stream_id uuid,
    p_at timestamptz) RETURNS jsonb
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT events.state_at(p_stream_type, p_stream_id, p_at)
$$;

CREATE FUNCTION travel.popular_routes_generation() RETURNS integer
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT events.generation('popular_routes')
$$;

CREATE FUNCTION travel.booking_at(p_id uuid, p_at timestamptz) RETURNS json
LANGUAGE sql STABLE AS $$
    SELECT travel.booking_json(jsonb_populate_record(NULL::travel.bookings, s))
      FROM travel.state_at('booking', p_id, p_at) AS s WHERE s IS NOT NULL
$$;

CREATE FUNCTION travel.journey_at(p_id uuid, p_at timestamptz) RETURNS json
LANGUAGE sql STABLE AS $$
    SELECT json_build_object(
        'id', s -> 'id', 'origin', s -> 'origin',
        'destination', s -> 'destination', 'theme', s -> 'theme',
        'personality', s -> 'personality',
        'distance_miles', s -> 'distance_miles', 'status', s -> 'status',
        'created_at', travel.rfc3339((s ->> 'created_at')::timestamptz))
      FROM travel.state_at('journey', p_id, p_at) AS s WHERE s IS NOT NULL
$$;

CREATE FUNCTION travel.story_at(p_id uuid, p_at timestamptz) RETURNS json
LANGUAGE sql STABLE AS $$
    SELECT travel.story_json(jsonb_populate_record(NULL::travel.stories, s))
      FROM travel.state_at('story', p_id, p_at) AS s WHERE s IS NOT NULL
$$;

-- One person's events as clients see them.
CREATE FUNCTION travel.user_events(p_user uuid) RETURNS TABLE (
    at timestamptz, pos bigint, stream_type text, stream_id uuid,
    version integer, type text, data jsonb)
LANGUAGE sql STABLE ROWS 1000 SECURITY DEFINER
SET search_path = pg_catalog, pg_temp AS $$
    SELECT created_at, position, stream_type, stream_id, version, type, data
      FROM events.event WHERE user_id = p_user
$$;

GRANT SELECT ON events.topic, events.type TO travel_worker;
GRANT SELECT, INSERT ON events.snapshot TO travel_worker;
GRANT SELECT, INSERT, UPDATE, DELETE ON events.projection,
    travel.route_counts TO travel_worker;
GRANT SELECT ON travel.route_counts TO travel_edge;
GRANT EXECUTE ON FUNCTION
    events.data_wrong(jsonb, jsonb), events.ensure_partitions(integer),
    events.get_events(text, uuid, integer, integer),
    events.get_user_events(uuid, timestamptz, integer),
    events.apply(jsonb, events.event),
    events.apply_all(jsonb, events.event[]),
    events.state_at(text, uuid, timestamptz),
    events.take_snapshots(integer, integer), events.archive(interval),
    events.horizon(xid8, integer), events.tail(xid8, xid8),
    events.generation(text), events.project(text, integer, integer),
    events.rebuild(text), events.switch(text, integer),
    events.count_route(integer, events.event)
    TO travel_worker;
GRANT EXECUTE ON FUNCTION travel.state_at(text, uuid, timestamptz),
    travel.popular_routes_generation(),
    travel.booking_at(uuid, timestamptz), travel.journey_at(uuid, timestamptz),
    travel.story_at(uuid, timestamptz), travel.user_events(uuid)
    TO travel_edge, travel_worker;

-- Trips and their itineraries: what to see on which day, version by version.

CREATE TABLE travel.trips (
    id           uuid        PRIMARY KEY,
    user_id      uuid        NOT NULL REFERENCES travel.users,
    destination  text        NOT NULL,
    place_id     bigint      NOT NULL,
    starts_on    date        NOT NULL,
    ends_on      date        NOT NULL,
    preferences  jsonb       NOT NULL DEFAULT '{}',
    created_at   timestamptz NOT NULL DEFAULT now(),
    CHECK (ends_on BETWEEN starts_on AND starts_on + 29)
);
CREATE INDEX trips_user ON travel.trips (user_id, id DESC);

CREATE TABLE travel.itineraries (
    id          uuid        PRIMARY KEY,
    trip_id     uuid        NOT NULL REFERENCES travel.trips,
    user_id     uuid        NOT NULL REFERENCES travel.users,
    version     integer     NOT NULL,
    status      text        NOT NULL DEFAULT 'pending'
                CHECK (status IN ('pending', 'ready', 'failed')),
    title       text,
    content     text,
    items       jsonb       NOT NULL DEFAULT '[]',
    provider    text,
    error       jsonb,
    created_at  timestamptz NOT NULL DEFAULT now(),
    updated_at  timestamptz NOT NULL DEFAULT now(),
    UNIQUE (trip_id, version)
);

INSERT INTO events.type (type, stream_type, fold, status, members, topic) VALUES
('trip.failed',         'trip', 'error', 'failed', '{"code": "string"}',
    'trip-events'),
('itinerary_requested', 'trip', '', NULL,
    '{"trip_id": "string", "itinerary_id": "string", "version": "integer"}',
    'ai-agent-events'),
('itinerary_failed',    'trip', '', NULL,
    '{"itinerary_id": "string", "code": "string"}', 'ai-agent-events');

-- An itinerary is told of in the stream of its trip.
CREATE CONSTRAINT TRIGGER must_tell AFTER INSERT OR UPDATE ON travel.trips
    DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION events.must_tell('trip');

CREATE FUNCTION travel.trip_json(t travel.trips) RETURNS json
LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT json_build_object(
        'id', ($1).id,
        'destination', travel.place_json(($1).place_id),
        'starts_on', ($1).starts_on,
        'ends_on', ($1).ends_on,
        'preferences', ($1).preferences,
        'created_at', travel.rfc3339(($1).created_at))
$$;

CREATE FUNCTION travel.itinerary_json(i travel.itineraries) RETURNS json
LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT json_build_object(
        'id', ($1).id,
        'trip_id', ($1).trip_id,
        'version', ($1).version,
        'status', ($1).status,
        'title', ($1).title,
        'content', ($1).content,
        'items', ($1).items,
        'provider', ($1).provider,
        'error', ($1).error,
        'created_at', travel.rfc3339(($1).created_at))
$$;

-- A trip's days, each with what is on in the country that day and with places
-- around the destination that no other day has, nearest first; how many
-- follows from the pace.
CREATE FUNCTION travel.trip_days(p_trip uuid) RETURNS json
LANGUAGE sql STABLE AS $$
    WITH t AS (
        SELECT t.*, p.name, p.region, p.country_code, p.lat, p.lon,
               CASE t.preferences ->> 'pace' WHEN 'slow' THEN 1
                    WHEN 'full' THEN 4 ELSE 2 END AS pace
          FROM travel.trips AS t JOIN travel.place AS p ON p.id = t.place_id
         WHERE t.id = p_trip
    ), day AS (
        SELECT n, t.starts_on + n AS date
          FROM t, generate_series(0, t.ends_on - t.starts_on) AS n
    ), stop AS (
        SELECT s.*, (row_number() OVER (ORDER BY s.km, s.id) - 1) / t.pace AS n
          FROM t, LATERAL travel.places_near(t.lat, t.lon, 150,
                   (t.pace * (t.ends_on - t.starts_on + 1))::integer) AS s
    ), plan AS (
        SELECT day.n, day.date,
               (SELECT coalesce(json_agg(json_build_object(
                           'place_id', s.id, 'name', s.name, 'lat', s.lat,
                           'lon', s.lon, 'km', round(s.km::numeric, 1))
                           ORDER BY s.km, s.id), '[]')
                  FROM stop AS s WHERE s.n = day.n) AS stops,
               (SELECT string_agg(s.name, ', ' ORDER BY s.km, s.id)
                  FROM stop AS s WHERE s.n = day.n) AS names,
               (SELECT coalesce(json_agg(a.name ORDER BY a.name), '[]')
                  FROM travel.attraction AS a, t
                 WHERE a.country_code = t.country_code
                   AND a.starts_on = day.date
                   AND a.region IN ('', coalesce(t.region, ''))) AS events
          FROM day
    )
    SELECT json_build_object(
               'destination', t.name, 'region',
               coalesce(t.region, t.country_code),
               'country_code', t.country_code,
               'days', t.ends_on - t.starts_on + 1,
               'theme', coalesce(t.preferences ->> 'theme', 'default'),
               'items', (SELECT json_agg(json_build_object('day', p.n + 1,
                                    'date', p.date, 'stops', p.stops,
                                    'names', coalesce(p.names, t.name),
                                    'events', p.events) ORDER BY p.n)
                           FROM plan AS p))
      FROM t
$$;

GRANT SELECT ON travel.trips, travel.itineraries TO travel_edge;
GRANT SELECT, INSERT, UPDATE ON travel.trips, travel.itineraries
    TO travel_worker;
GRANT EXECUTE ON FUNCTION travel.trip_json(travel.trips),
    travel.itinerary_json(travel.itineraries) TO travel_edge, travel_worker;
GRANT EXECUTE ON FUNCTION travel.trip_days(uuid) TO travel_worker;

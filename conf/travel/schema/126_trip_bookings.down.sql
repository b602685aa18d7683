CREATE OR REPLACE FUNCTION travel.booking_json(b travel.bookings) RETURNS json
LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT json_build_object(
        'id', ($1).id,
        'partner', ($1).partner,
        'venue_id', ($1).venue_id,
        'venue_name', ($1).venue_name,
        'booking_date', travel.rfc3339(($1).booking_date),
        'party_size', ($1).party_size,
        'journey_id', ($1).journey_id,
        'status', ($1).status,
        'confirmation_number', ($1).confirmation_number,
        'amount_cents', ($1).amount_cents,
        'commission_cents', ($1).commission_cents,
        'error', ($1).error,
        'created_at', travel.rfc3339(($1).created_at),
        'updated_at', travel.rfc3339(($1).updated_at))
$$;
DROP FUNCTION travel.booking_own_json(travel.bookings);
DROP FUNCTION travel.trip_item_wrong(uuid, uuid, text);

CREATE OR REPLACE FUNCTION travel.trip_days(p_trip uuid) RETURNS json
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

ALTER TABLE travel.bookings DROP COLUMN trip_id, DROP COLUMN item_id;

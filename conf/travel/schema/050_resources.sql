-- The shapes in which clients see the product's rows: used by the edge's
-- queries and by the workers' results alike, so that both say the same.
--
-- The *_json functions of rows hold no sub-select: PostgreSQL inlines them,
-- and a list of rows costs what its columns cost.  place_json looks a row up
-- and is PL/pgSQL, whose plan a session keeps.

-- An instant as the API writes it: UTC, milliseconds, 'Z'.
CREATE FUNCTION travel.rfc3339(at timestamptz) RETURNS text
LANGUAGE sql STABLE STRICT PARALLEL SAFE AS $$
    SELECT to_char($1 AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')
$$;

CREATE FUNCTION travel.place_json(place_id bigint) RETURNS json
LANGUAGE plpgsql STABLE STRICT PARALLEL SAFE AS $$
DECLARE
    found json;
BEGIN
    SELECT json_build_object('place_id', p.id, 'name', p.name,
                             'country_code', p.country_code,
                             'admin1', p.admin1, 'lat', p.lat, 'lon', p.lon)
      INTO found
      FROM travel.place AS p
     WHERE p.id = $1;
    RETURN found;
END $$;

CREATE FUNCTION travel.journey_json(j travel.journeys) RETURNS json
LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT json_build_object(
        'id', ($1).id,
        'origin', travel.place_json(($1).origin_place_id),
        'destination', travel.place_json(($1).destination_place_id),
        'theme', ($1).theme,
        'personality', ($1).personality,
        'distance_miles', ($1).distance_miles,
        'status', ($1).status,
        'created_at', travel.rfc3339(($1).created_at))
$$;

CREATE FUNCTION travel.story_json(s travel.stories) RETURNS json
LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT json_build_object(
        'id', ($1).id,
        'journey_id', ($1).journey_id,
        'status', ($1).status,
        'theme', ($1).theme,
        'title', ($1).title,
        'content', ($1).content,
        'places', ($1).places,
        'provider', ($1).provider,
        'error', ($1).error,
        'created_at', travel.rfc3339(($1).created_at))
$$;

CREATE FUNCTION travel.booking_json(b travel.bookings) RETURNS json
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

GRANT EXECUTE ON FUNCTION travel.rfc3339(timestamptz),
    travel.place_json(bigint), travel.journey_json(travel.journeys),
    travel.story_json(travel.stories), travel.booking_json(travel.bookings)
    TO travel_edge, travel_worker;

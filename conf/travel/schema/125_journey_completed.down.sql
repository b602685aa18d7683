CREATE OR REPLACE FUNCTION travel.journey_at(p_id uuid, p_at timestamptz)
RETURNS json
LANGUAGE sql STABLE AS $$
    SELECT json_build_object(
        'id', s -> 'id', 'origin', s -> 'origin',
        'destination', s -> 'destination', 'theme', s -> 'theme',
        'personality', s -> 'personality',
        'distance_miles', s -> 'distance_miles', 'status', s -> 'status',
        'created_at', travel.rfc3339((s ->> 'created_at')::timestamptz))
      FROM travel.state_at('journey', p_id, p_at) AS s WHERE s IS NOT NULL
$$;

CREATE OR REPLACE FUNCTION travel.journey_json(j travel.journeys) RETURNS json
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

DELETE FROM events.type WHERE type = 'journey.complete_failed';
UPDATE events.type SET members = '{}' WHERE type = 'journey.completed';
ALTER TABLE travel.journeys DROP COLUMN completed_at;

-- A journey ends when its traveller says so (journey.complete), once; nobody
-- else ends it for him, however long it takes.

ALTER TABLE travel.journeys
    ADD COLUMN completed_at timestamptz,
    ADD CHECK ((status = 'completed') = (completed_at IS NOT NULL));

UPDATE events.type
   SET members = '{"completed_at?": "string", "duration_s?": "integer"}'
 WHERE type = 'journey.completed';
INSERT INTO events.type (type, stream_type, fold, status, members, topic) VALUES
('journey.complete_failed', 'journey', '', NULL, '{"code": "string"}',
    'trip-events');

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
        'created_at', travel.rfc3339(($1).created_at),
        'completed_at', travel.rfc3339(($1).completed_at))
$$;

CREATE OR REPLACE FUNCTION travel.journey_at(p_id uuid, p_at timestamptz)
RETURNS json
LANGUAGE sql STABLE AS $$
    SELECT json_build_object(
        'id', s -> 'id', 'origin', s -> 'origin',
        'destination', s -> 'destination', 'theme', s -> 'theme',
        'personality', s -> 'personality',
        'distance_miles', s -> 'distance_miles', 'status', s -> 'status',
        'created_at', travel.rfc3339((s ->> 'created_at')::timestamptz),
        'completed_at', travel.rfc3339((s ->> 'completed_at')::timestamptz))
      FROM travel.state_at('journey', p_id, p_at) AS s WHERE s IS NOT NULL
$$;

-- Journeys with how many stories and bookings they have, and how they ended.
-- @extract
SELECT j.id, j.user_id, j.origin_place_id, j.destination_place_id, j.theme,
       j.distance_miles, j.status, j.created_at, j.completed_at,
       extract(epoch FROM j.completed_at - j.created_at)::bigint AS duration_s,
       (SELECT count(*) FROM travel.stories AS s
         WHERE s.journey_id = j.id AND s.status = 'ready') AS story_count,
       (SELECT count(*) FROM travel.bookings AS b
         WHERE b.journey_id = j.id AND b.status = 'confirmed') AS booking_count
  FROM travel.journeys AS j
 WHERE j.id IN (
       SELECT events.changed($1::xid8, $2::xid8, 'journey')
        UNION
       SELECT s.journey_id FROM travel.stories AS s
        WHERE s.id IN (SELECT events.changed($1::xid8, $2::xid8, 'story'))
        UNION
       SELECT b.journey_id FROM travel.bookings AS b
        WHERE b.id IN (SELECT events.changed($1::xid8, $2::xid8, 'booking')))
-- @load
INSERT INTO analytics.fact_journeys AS f (id, user_id, origin_place_id,
    destination_place_id, theme, distance_miles, status, created_at,
    completed_at, duration_s, story_count, booking_count)
SELECT r.*
  FROM jsonb_to_recordset($1::jsonb) AS r(id uuid, user_id uuid,
       origin_place_id bigint, destination_place_id bigint, theme text,
       distance_miles numeric, status text, created_at timestamptz,
       completed_at timestamptz, duration_s bigint, story_count integer, booking_count integer)
ON CONFLICT (id) DO UPDATE
   SET status = EXCLUDED.status, theme = EXCLUDED.theme,
       completed_at = EXCLUDED.completed_at, duration_s = EXCLUDED.duration_s,
       story_count = EXCLUDED.story_count,
       booking_count = EXCLUDED.booking_count, synced_at = now()

-- The caller's bookings, newest first; of one status or journey if asked.
-- @param    limit       int 1..100 = 20
-- @param    cursor      uuid?
-- @param    status      enum(pending|confirmed|cancelling|cancelled|failed)?
-- @param    journey_id  uuid?
-- @returns  list
-- @tags     bookings:{viewer}
WITH page AS (
    SELECT b, b.id, row_number() OVER (ORDER BY b.id DESC) AS n
      FROM travel.bookings AS b
     WHERE b.user_id = :viewer
       AND b.id < coalesce(:cursor, 'ffffffff-ffff-ffff-ffff-ffffffffffff')
       AND (:status IS NULL OR b.status = :status)
       AND (:journey_id IS NULL OR b.journey_id = :journey_id)
     ORDER BY b.id DESC
     LIMIT :limit + 1
)
SELECT json_build_object(
           'items', coalesce(json_agg(travel.booking_json(b) ORDER BY n)
                             FILTER (WHERE n <= :limit), '[]'),
           'next_cursor', CASE WHEN count(*) > :limit
                          THEN min(id::text) FILTER (WHERE n = :limit) END
       )::text
  FROM page

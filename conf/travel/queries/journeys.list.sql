-- The caller's journeys, newest first (a UUIDv7 sorts by its time).
-- @param    limit   int 1..100 = 20
-- @param    cursor  uuid?
-- @returns  list
-- @tags     journeys:{viewer}
WITH page AS (
    SELECT j, j.id, row_number() OVER (ORDER BY j.id DESC) AS n
      FROM travel.journeys AS j
     WHERE j.user_id = :viewer
       AND j.id < coalesce(:cursor, 'ffffffff-ffff-ffff-ffff-ffffffffffff')
     ORDER BY j.id DESC
     LIMIT :limit + 1
)
SELECT json_build_object(
           'items', coalesce(json_agg(travel.journey_json(j) ORDER BY n)
                             FILTER (WHERE n <= :limit), '[]'),
           'next_cursor', CASE WHEN count(*) > :limit
                          THEN min(id::text) FILTER (WHERE n = :limit) END
       )::text
  FROM page

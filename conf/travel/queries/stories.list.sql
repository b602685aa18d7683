-- The stories about one journey of the caller's, newest first; no row (404)
-- when there is no such journey.
-- @param    journey_id  uuid
-- @param    limit       int 1..100 = 20
-- @param    cursor      uuid?
-- @returns  one
-- @tags     journey:{journey_id} stories:{journey_id}
SELECT json_build_object(
           'items', coalesce(page.items, '[]'),
           'next_cursor', CASE WHEN page.found > :limit THEN page.last END
       )::text
  FROM travel.journeys AS j,
       LATERAL (
           SELECT json_agg(travel.story_json(s) ORDER BY n)
                      FILTER (WHERE n <= :limit) AS items,
                  count(*) AS found,
                  min(id::text) FILTER (WHERE n = :limit) AS last
             FROM (SELECT s, s.id, row_number() OVER (ORDER BY s.id DESC) AS n
                     FROM travel.stories AS s
                    WHERE s.journey_id = j.id
                      AND s.user_id = :viewer
                      AND s.id < coalesce(:cursor,
                              'ffffffff-ffff-ffff-ffff-ffffffffffff')
                    ORDER BY s.id DESC
                    LIMIT :limit + 1) AS newest
       ) AS page
 WHERE j.id = :journey_id
   AND j.user_id = :viewer

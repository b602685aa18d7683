-- The stories about one journey of the caller's, newest first; no row (404)
-- when there is no such journey, one without a story when it has none.
-- @param    journey_id  uuid
-- @param    limit       int 1..100 = 20
-- @returns  one
-- @cursor   id desc
-- @tags     journey:{journey_id} stories:{journey_id}
SELECT s.id, CASE WHEN s.id IS NOT NULL THEN travel.story_json(s) END AS item
  FROM travel.journeys AS j
       LEFT JOIN travel.stories AS s
              ON s.journey_id = j.id AND s.user_id = :viewer
 WHERE j.id = :journey_id
   AND j.user_id = :viewer

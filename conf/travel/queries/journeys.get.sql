-- One journey of the caller's; with as_of as it was then.
-- @param    id     uuid
-- @param    as_of  timestamp?
-- @returns  one
-- @tags     journey:{id}
-- @pending  journey
SELECT travel.journey_json(j)::text
  FROM travel.journeys AS j
 WHERE j.id = :id
   AND j.user_id = :viewer
   AND :as_of IS NULL
UNION ALL
SELECT s.state::text
  FROM travel.journeys AS j,
       LATERAL (SELECT travel.journey_at(j.id, :as_of) AS state) AS s
 WHERE j.id = :id
   AND j.user_id = :viewer
   AND :as_of IS NOT NULL
   AND s.state IS NOT NULL

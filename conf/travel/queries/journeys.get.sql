-- One journey of the caller's.
-- @param    id  uuid
-- @returns  one
-- @tags     journey:{id}
-- @pending  journey
SELECT travel.journey_json(j)::text
  FROM travel.journeys AS j
 WHERE j.id = :id
   AND j.user_id = :viewer

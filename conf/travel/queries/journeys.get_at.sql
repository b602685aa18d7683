-- One journey of the caller's, as it was at a time (?as_of=); no row, or null:
-- there was none.
-- @param    id     uuid
-- @param    as_of  timestamp
-- @returns  one
-- @tags     journey:{id}
SELECT travel.journey_at(j.id, :as_of)::text
  FROM travel.journeys AS j
 WHERE j.id = :id
   AND j.user_id = :viewer

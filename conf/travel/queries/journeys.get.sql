-- One journey of the caller's; with as_of as it was then.
-- @param    id     uuid
-- @param    as_of  timestamp?
-- @returns  one
-- @tags     journey:{id}
-- @pending  journey
SELECT CASE WHEN :as_of IS NULL THEN travel.journey_json(j)
            ELSE travel.journey_at(j.id, :as_of) END::text
  FROM travel.journeys AS j
 WHERE j.id = :id
   AND j.user_id = :viewer
   AND (:as_of IS NULL OR travel.journey_at(j.id, :as_of) IS NOT NULL)

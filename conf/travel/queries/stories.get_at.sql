-- One story of the caller's, as it was at a time (?as_of=); no row, or null:
-- there was none.
-- @param    id     uuid
-- @param    as_of  timestamp
-- @returns  one
-- @tags     story:{id}
SELECT travel.story_at(s.id, :as_of)::text
  FROM travel.stories AS s
 WHERE s.id = :id
   AND s.user_id = :viewer

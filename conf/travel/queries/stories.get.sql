-- One story of the caller's; with as_of as it was then.
-- @param    id     uuid
-- @param    as_of  timestamp?
-- @returns  one
-- @tags     story:{id}
-- @pending  story
SELECT CASE WHEN :as_of IS NULL THEN travel.story_json(s)
            ELSE travel.story_at(s.id, :as_of) END::text
  FROM travel.stories AS s
 WHERE s.id = :id
   AND s.user_id = :viewer
   AND (:as_of IS NULL OR travel.story_at(s.id, :as_of) IS NOT NULL)

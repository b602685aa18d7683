-- One story of the caller's.
-- @param    id  uuid
-- @returns  one
-- @tags     story:{id}
-- @pending  story
SELECT travel.story_json(s)::text
  FROM travel.stories AS s
 WHERE s.id = :id
   AND s.user_id = :viewer

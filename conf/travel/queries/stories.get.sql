-- One story of the caller's; with as_of as it was then.
-- @param    id     uuid
-- @param    as_of  timestamp?
-- @returns  one
-- @tags     story:{id}
-- @pending  story
SELECT travel.story_json(s)::text
  FROM travel.stories AS s
 WHERE s.id = :id
   AND s.user_id = :viewer
   AND :as_of IS NULL
UNION ALL
SELECT a.state::text
  FROM travel.stories AS s,
       LATERAL (SELECT travel.story_at(s.id, :as_of) AS state) AS a
 WHERE s.id = :id
   AND s.user_id = :viewer
   AND :as_of IS NOT NULL
   AND a.state IS NOT NULL

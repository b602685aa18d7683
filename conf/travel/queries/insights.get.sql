-- One insight of the caller's.
-- @param    id  uuid
-- @returns  one
-- @tags     insights:{viewer}
-- @pending  insight
SELECT travel.insight_json(i)::text
  FROM travel.insights AS i
 WHERE i.id = :id
   AND i.user_id = :viewer

-- The caller's insights, newest first.
-- @param    limit  int 1..100 = 20
-- @returns  list
-- @cursor   id desc
-- @tags     insights:{viewer}
SELECT i.id, travel.insight_json(i) AS item
  FROM travel.insights AS i
 WHERE i.user_id = :viewer

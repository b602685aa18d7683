-- Any aggregate of the caller's, as its events tell it, at a time (now, if none
-- is said): what is not there, or not his, is not found.
-- @param    type   text 1..40
-- @param    id     uuid
-- @param    as_of  timestamp?
-- @returns  one
-- @tags     user:{viewer}
SELECT s::text
  FROM travel.state_at(:type, :id, coalesce(:as_of, now())) AS s
 WHERE (s ->> 'user_id')::uuid = :viewer

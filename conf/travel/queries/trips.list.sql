-- The caller's trips, newest first.
-- @param    limit  int 1..100 = 20
-- @returns  list
-- @cursor   id desc
-- @tags     trips:{viewer}
SELECT t.id, travel.trip_json(t) AS item
  FROM travel.trips AS t
 WHERE t.user_id = :viewer

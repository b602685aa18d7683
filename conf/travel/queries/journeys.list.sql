-- The caller's journeys, newest first (a UUIDv7 sorts by its time).
-- @param    limit   int 1..100 = 20
-- @returns  list
-- @cursor   id desc
-- @tags     journeys:{viewer}
SELECT j.id, travel.journey_json(j) AS item
  FROM travel.journeys AS j
 WHERE j.user_id = :viewer

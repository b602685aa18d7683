-- What was seen lately, newest first: somewhere, of one type, if asked.
-- @public
-- @param    place  text? 1..120
-- @param    type   text? 1..64
-- @param    limit  int 1..100 = 20
-- @returns  list
-- @cursor   observed_at desc, id desc
-- @tags     trends
SELECT t.observed_at, t.id, travel.trend_json(t) AS item
  FROM travel.trends AS t
 WHERE (:place IS NULL OR t.place_id =
           (SELECT p.id FROM travel.resolve_place(:place) AS p))
   AND (:type IS NULL OR t.trend_type = :type)

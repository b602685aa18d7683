-- The itineraries of one trip of the caller's, newest first; no row (404) when
-- there is no such trip.
-- @param    trip_id  uuid
-- @param    limit    int 1..100 = 20
-- @returns  one
-- @cursor   id desc
-- @tags     trip:{trip_id}
SELECT i.id, CASE WHEN i.id IS NOT NULL
                  THEN travel.itinerary_json(i) END AS item
  FROM travel.trips AS t
       LEFT JOIN travel.itineraries AS i ON i.trip_id = t.id
 WHERE t.id = :trip_id
   AND t.user_id = :viewer

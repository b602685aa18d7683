-- One trip of the caller's, with its newest itinerary.
-- @param    id  uuid
-- @returns  one
-- @tags     trip:{id}
-- @pending  trip
SELECT (travel.trip_json(t)::jsonb || jsonb_build_object('itinerary',
           (SELECT travel.itinerary_json(i) FROM travel.itineraries AS i
             WHERE i.trip_id = t.id ORDER BY i.version DESC LIMIT 1)))::text
  FROM travel.trips AS t
 WHERE t.id = :id
   AND t.user_id = :viewer

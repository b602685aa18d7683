-- One itinerary of the caller's.
-- @param    id  uuid
-- @returns  one
-- @tags     itinerary:{id}
-- @pending  itinerary
SELECT travel.itinerary_json(i)::text
  FROM travel.itineraries AS i
 WHERE i.id = :id
   AND i.user_id = :viewer

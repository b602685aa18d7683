-- One booking of the caller's.
-- @param    id  uuid
-- @returns  one
-- @tags     booking:{id}
-- @pending  booking
SELECT travel.booking_json(b)::text
  FROM travel.bookings AS b
 WHERE b.id = :id
   AND b.user_id = :viewer

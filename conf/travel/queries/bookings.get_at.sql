-- One booking of the caller's, as it was at a time (?as_of=); no row, or null:
-- there was none.
-- @param    id     uuid
-- @param    as_of  timestamp
-- @returns  one
-- @tags     booking:{id}
SELECT travel.booking_at(b.id, :as_of)::text
  FROM travel.bookings AS b
 WHERE b.id = :id
   AND b.user_id = :viewer

-- One booking of the caller's; with as_of as it was then.
-- @param    id     uuid
-- @param    as_of  timestamp?
-- @returns  one
-- @tags     booking:{id}
-- @pending  booking
SELECT CASE WHEN :as_of IS NULL THEN travel.booking_json(b)
            ELSE travel.booking_at(b.id, :as_of) END::text
  FROM travel.bookings AS b
 WHERE b.id = :id
   AND b.user_id = :viewer
   AND (:as_of IS NULL OR travel.booking_at(b.id, :as_of) IS NOT NULL)

-- One booking of the caller's; with as_of as it was then.
-- @param    id     uuid
-- @param    as_of  timestamp?
-- @returns  one
-- @tags     booking:{id}
-- @pending  booking
SELECT travel.booking_json(b)::text
  FROM travel.bookings AS b
 WHERE b.id = :id
   AND b.user_id = :viewer
   AND :as_of IS NULL
UNION ALL
SELECT s.state::text
  FROM travel.bookings AS b,
       LATERAL (SELECT travel.booking_at(b.id, :as_of) AS state) AS s
 WHERE b.id = :id
   AND b.user_id = :viewer
   AND :as_of IS NOT NULL
   AND s.state IS NOT NULL

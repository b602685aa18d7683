-- The caller's bookings, newest first; of a status, journey, trip if asked.
-- @param    limit       int 1..100 = 20
-- @param    status      enum(pending|confirmed|cancelling|cancelled|failed)?
-- @param    journey_id  uuid?
-- @param    trip_id     uuid?
-- @returns  list
-- @cursor   id desc
-- @tags     bookings:{viewer}
SELECT b.id, travel.booking_json(b) AS item
  FROM travel.bookings AS b
 WHERE b.user_id = :viewer
   AND (:status IS NULL OR b.status = :status)
   AND (:journey_id IS NULL OR b.journey_id = :journey_id)
   AND (:trip_id IS NULL OR b.trip_id = :trip_id)

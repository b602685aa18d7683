-- A booking of the caller's that has not ended.
-- @param    booking_id  uuid
-- @returns  rows
SELECT 'RESOURCE_NOT_FOUND' AS code, '/booking_id' AS pointer,
       'There is no such booking.' AS message
 WHERE NOT EXISTS (SELECT FROM travel.bookings AS b
                    WHERE b.id = :booking_id AND b.user_id = :viewer)
 UNION ALL
SELECT 'BOOKING_NOT_CANCELLABLE', '/booking_id',
       'The booking is ' || b.status || '.'
  FROM travel.bookings AS b
 WHERE b.id = :booking_id
   AND b.user_id = :viewer
   AND b.status IN ('cancelled', 'failed')

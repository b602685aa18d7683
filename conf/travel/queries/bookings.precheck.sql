-- What a schema cannot say of a new booking: a partner of ours, a time to
-- come, a journey of the caller's, an item of a trip of his.
-- @param    partner       text
-- @param    booking_date  timestamp
-- @param    journey_id    uuid?
-- @param    trip_id       uuid?
-- @param    item_id       text?
-- @returns  rows
SELECT 'VALIDATION_ERROR' AS code, '/partner' AS pointer,
       'There is no such partner.' AS message
 WHERE NOT EXISTS (SELECT FROM travel.partners AS p WHERE p.code = :partner)
 UNION ALL
SELECT 'VALIDATION_ERROR', '/booking_date', 'The time must be in the future.'
 WHERE :booking_date <= now()
 UNION ALL
SELECT 'RESOURCE_NOT_FOUND', '/journey_id', 'There is no such journey.'
 WHERE :journey_id IS NOT NULL
   AND NOT EXISTS (SELECT FROM travel.journeys AS j
                    WHERE j.id = :journey_id AND j.user_id = :viewer)
 UNION ALL
SELECT CASE w WHEN 'trip' THEN 'RESOURCE_NOT_FOUND' ELSE 'VALIDATION_ERROR' END,
       '/' || w || '_id',
       CASE w WHEN 'trip' THEN 'There is no such trip.'
              ELSE 'No itinerary of the trip has such an item.' END
  FROM travel.trip_item_wrong(:trip_id, :viewer, :item_id) AS w
 WHERE :trip_id IS NOT NULL
   AND w IS NOT NULL

-- What a schema cannot say of a new booking: a partner of ours, a time to
-- come, a journey of the caller's.
-- @param    partner       text
-- @param    booking_date  timestamp
-- @param    journey_id    uuid?
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

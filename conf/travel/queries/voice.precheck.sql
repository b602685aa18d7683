-- What is said about a journey is said about one of the caller's.
-- @param    journey_id  uuid?
-- @returns  rows
SELECT 'RESOURCE_NOT_FOUND' AS code, '/journey_id' AS pointer,
       'There is no such journey.' AS message
 WHERE :journey_id IS NOT NULL
   AND NOT EXISTS (SELECT FROM travel.journeys AS j
                    WHERE j.id = :journey_id AND j.user_id = :viewer)

-- A journey of the caller's that has not ended.
-- @param    journey_id  uuid
-- @returns  rows
SELECT 'RESOURCE_NOT_FOUND' AS code, '/journey_id' AS pointer,
       'There is no such journey.' AS message
 WHERE NOT EXISTS (SELECT FROM travel.journeys AS j
                    WHERE j.id = :journey_id AND j.user_id = :viewer)
 UNION ALL
SELECT 'JOURNEY_COMPLETED', '/journey_id', 'The journey is completed already.'
  FROM travel.journeys AS j
 WHERE j.id = :journey_id
   AND j.user_id = :viewer
   AND j.status = 'completed'

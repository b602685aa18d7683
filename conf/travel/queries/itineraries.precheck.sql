-- An itinerary is of a trip of the caller's.
-- @param    trip_id  uuid
-- @returns  rows
SELECT 'RESOURCE_NOT_FOUND' AS code, '/trip_id' AS pointer,
       'There is no such trip.' AS message
 WHERE NOT EXISTS (SELECT FROM travel.trips AS t
                    WHERE t.id = :trip_id AND t.user_id = :viewer)

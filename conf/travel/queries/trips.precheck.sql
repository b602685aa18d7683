-- What a schema cannot say of a new trip.
-- @public
-- @param    destination  text
-- @param    starts_on    date
-- @param    ends_on      date
-- @returns  rows
SELECT 'VALIDATION_ERROR' AS code, '/destination' AS pointer,
       'No place is known by this name.' AS message
 WHERE NOT EXISTS (SELECT FROM travel.resolve_place(:destination))
 UNION ALL
SELECT 'VALIDATION_ERROR', '/ends_on',
       'A trip ends on the day it starts, or within 29 days of it.'
 WHERE :ends_on NOT BETWEEN :starts_on AND :starts_on + 29

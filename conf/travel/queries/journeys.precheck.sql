-- What a schema cannot say of a new journey: are these places?
-- @public
-- @param    origin       text
-- @param    destination  text
-- @returns  rows
SELECT 'VALIDATION_ERROR' AS code, '/origin' AS pointer,
       'No place is known by this name.' AS message
 WHERE NOT EXISTS (SELECT FROM travel.resolve_place(:origin))
 UNION ALL
SELECT 'VALIDATION_ERROR', '/destination', 'No place is known by this name.'
 WHERE NOT EXISTS (SELECT FROM travel.resolve_place(:destination))

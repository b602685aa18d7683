-- A flow that has ended, and not well.
-- @requires  flows:write
-- @param     flow  uuid
-- @returns   rows
SELECT 'RESOURCE_NOT_FOUND' AS code, '/flow' AS pointer,
       'There is no such flow.' AS message
 WHERE NOT EXISTS (SELECT FROM travel.flows AS f WHERE f.id = :flow)
 UNION ALL
SELECT 'CONFLICT', '/flow', 'The flow is ' || f.state || '.'
  FROM travel.flows AS f
 WHERE f.id = :flow
   AND f.state NOT IN ('failed', 'cancelled')

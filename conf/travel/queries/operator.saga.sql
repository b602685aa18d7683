-- One of them, with its steps in the order in which they were begun.
-- @requires  operator:read
-- @param     saga  uuid
-- @returns   one
SELECT (s.item::jsonb || jsonb_build_object('steps', s.steps))::text
  FROM travel.sagas AS s
 WHERE s.id = :saga

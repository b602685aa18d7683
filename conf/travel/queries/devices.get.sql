-- One device of the caller's.
-- @param    id  uuid
-- @returns  one
-- @tags     user:{viewer}
SELECT json_build_object('id', d.id, 'service', d.service,
           'registered_at', travel.rfc3339(d.registered_at))::text
  FROM travel.devices AS d
 WHERE d.id = :id AND d.user_id = :viewer

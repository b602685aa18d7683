-- The caller's devices that can be pushed to, newest first.
-- @param    limit  int 1..100 = 20
-- @returns  list
-- @cursor   id desc
-- @tags     user:{viewer}
SELECT d.id, json_build_object('id', d.id, 'service', d.service,
           'registered_at', travel.rfc3339(d.registered_at)) AS item
  FROM travel.devices AS d
 WHERE d.user_id = :viewer

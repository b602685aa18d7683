-- Where the caller is logged in, newest first.
-- @param    limit  int 1..100 = 20
-- @param    session  text = ''
-- @returns  list
-- @cursor   id desc
-- @tags     user:{viewer}
SELECT s.id, json_build_object('id', s.id, 'device', s.device,
           'current', s.id::text = :session,
           'created_at', travel.rfc3339(s.created_at),
           'used_at', travel.rfc3339(s.used_at),
           'expires_at', travel.rfc3339(s.expires_at)) AS item
  FROM travel.user_sessions(:viewer) AS s

-- Who the caller is to us; somebody who has never written has no name yet.
-- @returns  one
-- @tags     user:{viewer}
SELECT json_build_object(
           'id', v.id, 'email', u.email, 'name', u.name,
           'tz', coalesce(u.tz, 'UTC'),
           'created_at', travel.rfc3339(u.created_at)
       )::text
  FROM (SELECT :viewer AS id) AS v
       LEFT JOIN travel.users AS u ON u.id = v.id

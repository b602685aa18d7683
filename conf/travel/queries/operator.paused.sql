-- What is paused, since when, by whom and why.
-- @requires  operator:read
-- @returns   one
SELECT json_build_object('items', coalesce(json_agg(p.item ORDER BY p.since),
                                           '[]'))
  FROM travel.paused AS p

-- What happens by the clock, as the database has it.
-- @requires  operator:read
-- @returns   one
SELECT json_build_object('items', coalesce(json_agg(s.item ORDER BY s.name),
                                           '[]'))
  FROM travel.schedules AS s

-- The voices of the season.
-- @public
-- @returns  list
-- @tags     personalities
SELECT json_build_object('items', coalesce(json_agg(json_build_object(
           'code', p.code, 'name', p.name, 'voice', p.voice,
           'seasonal', p.months <> '{}') ORDER BY p.name), '[]'),
           'next_cursor', NULL)::text
  FROM travel.personalities AS p
 WHERE p.active

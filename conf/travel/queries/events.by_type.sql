-- What the caller did of one type, newest first (events.list with ?type=), by an
-- index of its own.
-- @param    limit  int 1..100 = 20
-- @param    type   text 1..64
-- @param    from   timestamp?
-- @param    until  timestamp?
-- @returns  list
-- @cursor   at desc, pos desc
-- @tags     user:{viewer}
SELECT e.at, e.pos, e.item
  FROM travel.user_events AS e
 WHERE e.user_id = :viewer
   AND e.type = :type
   AND e.at >= coalesce(:from, '-infinity')
   AND e.at < coalesce(:until, 'infinity')

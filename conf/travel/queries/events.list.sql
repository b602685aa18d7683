-- What the caller did, newest first: the audit of his own changes; of some time
-- if asked.  A page reads a page, by the index.
-- @param    limit  int 1..100 = 20
-- @param    from   timestamp?
-- @param    until  timestamp?
-- @returns  list
-- @cursor   at desc, pos desc
-- @tags     user:{viewer}
SELECT e.at, e.pos, e.item
  FROM travel.user_events AS e
 WHERE e.user_id = :viewer
   AND e.at >= coalesce(:from, '-infinity')
   AND e.at < coalesce(:until, 'infinity')

-- What the caller did, newest first: the audit of his own changes; of one
-- aggregate, of one type, of some time if asked.  A page reads a page by the
-- index; of one aggregate or type, as far back as it takes to fill it.
-- @param    limit  int 1..100 = 20
-- @param    of     uuid?
-- @param    type   text? 1..64
-- @param    from   timestamp?
-- @param    until  timestamp?
-- @returns  list
-- @cursor   at desc, pos desc
-- @tags     user:{viewer}
SELECT e.at, e.pos,
       json_build_object('id', e.pos, 'type', e.type,
                         'aggregate', e.stream_type,
                         'aggregate_id', e.stream_id, 'version', e.version,
                         'data', e.data,
                         'created_at', travel.rfc3339(e.at)) AS item
  FROM travel.user_events AS e
 WHERE e.user_id = :viewer
   AND e.at >= coalesce(:from, '-infinity')
   AND e.at < coalesce(:until, 'infinity')
   AND (:of IS NULL OR e.stream_id = :of)
   AND (:type IS NULL OR e.type = :type)
